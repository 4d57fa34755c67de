//! What decode accepts and refuses: the rows of the list of bad records, and an oracle that knows
//! nothing of its code.

#[path = "decode/generate.rs"]
mod generate;
#[path = "decode/oracle.rs"]
mod oracle;
#[path = "decode/records.rs"]
mod records;
#[path = "decode/values.rs"]
mod values;

use engine::decode::{Decoder, write_for_database};
use engine::id::DeviceIndex;
use engine::position::{Codec, Position};
use oracle::Pairs;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::RngSeed;

/// The same cases on every run; the seed stands in the failure report.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 20_000,
        rng_seed: RngSeed::Fixed(0x9170_2026),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Both readers against the oracle. True when the payload was accepted.
fn check(payload: &[u8]) -> bool {
    let text = String::from_utf8_lossy(payload);
    let expected = oracle::decode(payload);
    let (mut decoder, mut general) = (Decoder::new(), Decoder::new());
    let decoded = decoder.decode_payload(payload, Codec::Codec16);
    assert_eq!(decoded, general.decode_payload_general(payload, Codec::Codec16), "{text}");
    let (Ok(decoded), Some(expected)) = (decoded, &expected) else {
        assert_eq!(decoded.is_ok(), expected.is_some(), "{decoded:?} {text}");
        return false;
    };
    let [altitude, angle, speed] = expected.reals;
    let [satellites, priority] = expected.counts;
    let position = Position {
        timestamp_ms: expected.timestamp_ms,
        latitude: expected.latitude,
        longitude: expected.longitude,
        altitude,
        angle,
        speed,
        device: DeviceIndex::ORPHAN,
        satellites,
        priority,
        codec: Codec::Codec16,
    };
    assert_eq!(bits(&decoded.position), bits(&position), "{text}");
    assert_eq!(decoded.position, position, "{text}");
    assert_eq!(decoded.device_id, expected.device_id, "{text}");
    assert_eq!(decoded.attributes, expected.attributes.as_bytes(), "{text}");
    check_stored(decoded.attributes, &expected.stored);
    for tally in [decoder.tally(), general.tally()] {
        let forgiven =
            [tally.unknown_fields, tally.clamped, tally.defaulted, tally.attributes_unusual];
        assert_eq!(forgiven, expected.forgiven, "{text}");
    }
    true
}

/// Equal floats may still differ in the sign of zero.
fn bits(position: &Position) -> [u64; 5] {
    [
        position.latitude.to_bits(),
        position.longitude.to_bits(),
        u64::from(position.altitude.to_bits()),
        u64::from(position.angle.to_bits()),
        u64::from(position.speed.to_bits()),
    ]
}

fn check_stored(attributes: &[u8], expected: &[(String, String)]) {
    let mut out = Vec::new();
    write_for_database(attributes, &mut out);
    let Pairs(stored) = serde_json::from_slice(&out).expect("JSON went in");
    assert_eq!(stored.len(), expected.len());
    for ((key, value), (expected_key, expected_value)) in stored.iter().zip(expected) {
        assert_eq!(key, expected_key);
        if expected_value.starts_with('"') {
            // Escapes may differ; what the string means may not.
            let [value, expected]: [String; 2] = [value.get(), expected_value]
                .map(|text| serde_json::from_str(text).expect("a string"));
            assert_eq!(value, expected);
        } else {
            assert_eq!(value.get(), expected_value);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_the_platform_writes_takes_the_fast_reader(payload in generate::platform_payload()) {
        check_fast(&payload);
    }

    #[test]
    fn the_fast_reader_takes_any_order_spacing_and_simple_surplus(
        payload in generate::reordered_payload(),
    ) {
        check_fast(&payload);
    }

    #[test]
    fn any_payload_means_what_the_oracle_says(payload in generate::any_payload()) {
        check(payload.as_bytes());
    }

    #[test]
    fn a_damaged_payload_is_read_as_the_oracle_reads_it(payload in generate::mutated_payload()) {
        check(&payload);
    }

    #[test]
    fn any_bytes_are_written_for_the_database_without_panic(
        text in generate::mutated_payload(),
        from in any::<prop::sample::Index>(),
    ) {
        let tail = text.get(from.index(text.len() + 1)..).unwrap_or_default();
        write_for_database(tail, &mut Vec::new());
    }
}

/// Accepted, by the fast reader, and with the right result.
fn check_fast(payload: &str) {
    let mut decoder = Decoder::new();
    decoder.decode_payload(payload.as_bytes(), Codec::Codec8).expect(payload);
    assert_eq!(decoder.tally().fast, 1, "{payload}");
    assert!(check(payload.as_bytes()));
}

/// The members of the usual payload, each `"key":value`.
fn usual_members() -> Vec<String> {
    let payload = include_str!("../data/decode/usual.json").trim_end();
    let Pairs(members) = serde_json::from_str(payload).expect("an object");
    members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect()
}

#[test]
fn every_field_may_stand_at_every_place() {
    let usual = usual_members();
    for from in 0..usual.len() {
        for to in 0..usual.len() {
            let mut moved = usual.clone();
            let member = moved.remove(from);
            moved.insert(to, member);
            check_fast(&format!("{{{}}}", moved.join(",")));
            let mut swapped = usual.clone();
            swapped.swap(from, to);
            check_fast(&format!("{{{}}}", swapped.join(",")));
            swapped.rotate_left(from);
            check_fast(&format!("{{{}}}", swapped.join(",")));
        }
    }
}

#[test]
fn any_of_the_fields_may_be_missing_or_repeated() {
    let usual = usual_members();
    for kept in 0..1_u32 << usual.len() {
        let is_kept = |at: usize| kept >> at & 1 == 1;
        let members: Vec<&str> =
            (0..usual.len()).filter(|&at| is_kept(at)).map(|at| usual[at].as_str()).collect();
        let payload = format!("{{{}}}", members.join(","));
        // The first four are required.
        if kept & 0b1111 == 0b1111 {
            check_fast(&payload);
        } else {
            assert!(!check(payload.as_bytes()), "{payload}");
        }
    }
    for (first, second) in (0..usual.len()).flat_map(|at| [(at, 0), (at, at), (at, usual.len())]) {
        let mut members = usual.clone();
        members.insert(second, usual[first].clone());
        let payload = format!("{{{}}}", members.join(","));
        assert!(!check(payload.as_bytes()), "{payload}");
    }
}

#[test]
fn every_single_byte_of_a_payload_may_be_any_byte() {
    let payload = include_str!("../data/decode/usual.json").trim_end().to_owned();
    let mut members = usual_members();
    members.reverse();
    members.push("\"x\":\"y\"".to_owned());
    let reversed = format!("{{{}}}", members.join(","));
    for payload in [payload, reversed] {
        let mut accepted = 0;
        for at in 0..payload.len() {
            for byte in 0..=255 {
                let mut changed = payload.clone().into_bytes();
                changed[at] = byte;
                accepted += u32::from(check(&changed));
            }
        }
        assert!(accepted > 3_000, "digits and letters may change: {accepted}");
    }
}

#[test]
fn a_payload_cut_anywhere_is_refused() {
    let payload = include_str!("../data/decode/large.json").trim_end().as_bytes();
    assert!(check(payload));
    for end in 0..payload.len() {
        assert!(!check(&payload[..end]), "cut at {end}");
    }
}

#[test]
fn the_generators_yield_both_good_and_bad_payloads() {
    let mut runner = proptest::test_runner::TestRunner::new(config());
    let mut accepted = [0; 2];
    for _ in 0..2_000 {
        let any = generate::any_payload().new_tree(&mut runner).unwrap().current();
        let mutated = generate::mutated_payload().new_tree(&mut runner).unwrap().current();
        accepted[0] += usize::from(oracle::decode(any.as_bytes()).is_some());
        accepted[1] += usize::from(oracle::decode(&mutated).is_some());
    }
    assert!(accepted.iter().all(|count| (200..1_800).contains(count)), "{accepted:?}");
}
