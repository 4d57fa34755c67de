//! Targets: stream entries and their payloads.

use engine::decode::{DecodeError, Decoded, Decoder, EntryFields, Tally, write_for_database};
use engine::limits::{DEVICE_ID_BYTES_MAX, TIMESTAMP_MS_MAX, TIMESTAMP_MS_MIN};
use engine::position::Codec;

use crate::fuzz::feature::feature;

const USUAL: &str = r#"{"device_id":"356307042441013","timestamp":"2026-06-06T08:15:30.000Z","latitude":41.3275,"longitude":19.8187,"altitude":120,"angle":214,"speed":63,"satellites":11,"priority":0,"attributes":{"239":1,"66":12840,"16":{"__bigint":"18446744073709551615"},"385":{"__buffer_b64":"q83v"}}}"#;
const UNUSUAL: &str = r#" {"timestamp":"2026-06-06T10:15:30.120000+02:00", "device_id":"a\u00e9\ud83d\ude00", "latitude":-4.13275e1,"longitude":-0.0, "extra":[{"a":null},true], "attributes":{"1":{"type":"Buffer","data":[0,255]},"x":"y"}} "#;

/// Separates names and values of an entry's fields: no other target needs it as a byte.
const SEPARATOR: u8 = 0x1F;

pub(super) const PAYLOAD_DICTIONARY: &[&[u8]] = &[
    b"\"device_id\":",
    b"\"timestamp\":",
    b"\"latitude\":",
    b"\"longitude\":",
    b"\"altitude\":",
    b"\"satellites\":",
    b"\"attributes\":",
    b"{\"__bigint\":\"-1\"}",
    b"{\"__buffer_b64\":\"AA==\"}",
    b"{\"type\":\"Buffer\",\"data\":[1]}",
    b"\\u0000",
    b"\\ud83d",
    b"\\ude00",
    b"\\\"",
    b"null",
    b"1e400",
    b"0.30000000000000004",
    b"-0.0",
    b"+00:00",
    b"23:59:60",
    b"02-29",
    b"[[[[[[[[[[[[[[[[[",
    b"{\"",
    b"},",
    b"\xF0\x9F\x98\x80",
    b"\xED\xA0\x80",
];

pub(super) const ENTRY_DICTIONARY: &[&[u8]] = &[
    b"device_id\x1F",
    b"ts\x1F",
    b"codec\x1F",
    b"payload\x1F",
    b"\x1F8E\x1F",
    b"\x1F16\x1F",
    b"\x1F",
    b"\0",
];

pub(super) fn payload_seeds() -> Vec<Vec<u8>> {
    [USUAL, UNUSUAL].map(|text| text.as_bytes().to_vec()).to_vec()
}

pub(super) fn entry_seeds() -> Vec<Vec<u8>> {
    let entry = |payload: &str| {
        let device = "device_id\x1F356307042441013";
        let rest = "ts\x1F2026-06-06T08:15:30.000Z\x1Fcodec\x1F8E";
        format!("{device}\x1F{rest}\x1Fpayload\x1F{payload}").into_bytes()
    };
    vec![entry(USUAL), entry(UNUSUAL)]
}

/// Both readers give the same answer, and what they accept can be shown and stored.
pub(super) fn payload(input: &[u8]) -> u64 {
    let mut either = Decoder::new();
    let mut general = Decoder::new();
    let decoded = either.decode_payload(input, Codec::Codec8);
    let expected = general.decode_payload_general(input, Codec::Codec8);
    assert_eq!(decoded, expected, "the two readers differ");
    if let Ok(decoded) = &decoded {
        check_accepted(decoded);
    }
    let verdict = decoded.map(|_| ());
    assert_eq!(forgiven(either.tally()), forgiven(general.tally()), "the two tallies differ");
    feature((verdict, path(either.tally())))
}

/// What an entry gives is what its payload gives.
pub(super) fn entry(input: &[u8]) -> u64 {
    let pieces: Vec<&[u8]> = input.split(|&byte| byte == SEPARATOR).collect();
    let (pairs, _) = pieces.as_chunks::<2>();
    let fields = match EntryFields::from_pairs(pairs.iter().map(|&[name, value]| (name, value))) {
        Ok(fields) => fields,
        Err(error) => return feature(error),
    };
    let mut decoder = Decoder::new();
    let mut of_payload = Decoder::new();
    let decoded = decoder.decode(&fields);
    match of_payload.decode_payload(fields.payload, fields.codec) {
        Err(error) => assert_eq!(decoded, Err(error)),
        Ok(expected) => match decoded {
            Ok(decoded) => assert_eq!(decoded, expected),
            Err(DecodeError::EntryFieldNotText(_)) => {}
            Err(error) => panic!("{error} although the payload is good"),
        },
    }
    let verdict = decoded.map(|_| ());
    feature((verdict, fields.codec, fields.unknown.min(2), path(decoder.tally())))
}

fn check_accepted(decoded: &Decoded<'_>) {
    let position = &decoded.position;
    assert!(position.latitude.abs() <= 90.0 && position.longitude.abs() <= 180.0);
    assert!((TIMESTAMP_MS_MIN..=TIMESTAMP_MS_MAX).contains(&position.timestamp_ms));
    assert!((1..=DEVICE_ID_BYTES_MAX).contains(&decoded.device_id.len()));
    assert!(!decoded.device_id.contains('\0'));
    let mut once = Vec::new();
    write_for_database(decoded.attributes, &mut once);
    let mut twice = Vec::new();
    write_for_database(&once, &mut twice);
    assert_eq!(once, twice, "a sentinel was left in the column");
}

/// What was forgiven, without which of the readers did it.
fn forgiven(tally: &Tally) -> [u64; 4] {
    [tally.unknown_fields, tally.clamped, tally.defaulted, tally.attributes_unusual]
}

/// Which reader it was, and which kinds of things it forgave.
fn path(tally: &Tally) -> (u64, u64, [bool; 4]) {
    (tally.fast, tally.entry_mismatch, forgiven(tally).map(|count| count > 0))
}
