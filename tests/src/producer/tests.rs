//! What is produced is what it is called, and the log is true.

use std::collections::{HashMap, HashSet};

use engine::decode::{Decoder, EntryFields, write_for_database};

use super::*;

fn records(mix: Mix, count: usize) -> Vec<Record> {
    let mut chance = Chance::new(mix);
    let mut log: Vec<Record> = Vec::new();
    for place in 0..count {
        let record = chance.next(&log);
        chance.note(place, &record);
        log.push(record);
    }
    log
}

/// Everything at once.
fn wild(seed: u64) -> Mix {
    Mix { undecodable: 100, refused: 50, late: 150, duplicates: 150, ..Mix::plain(seed) }
}

#[test]
fn every_record_is_decoded_as_what_it_means_or_not_at_all() {
    let mut decoder = Decoder::new();
    for record in records(wild(1), 20_000) {
        let fields = record.fields();
        let pairs = fields.iter().map(|(name, value)| (&**name, &**value));
        let decoded = EntryFields::from_pairs(pairs).and_then(|fields| {
            let decoded = decoder.decode(&fields)?;
            let mut attributes = Vec::new();
            write_for_database(decoded.attributes, &mut attributes);
            assert_eq!(String::from_utf8(attributes).expect("text"), record.stored_attributes());
            assert_eq!(decoded.device_id, record.device_id());
            Ok(decoded.position)
        });
        let Ok(position) = decoded else {
            assert_eq!(record.kind, Kind::Undecodable, "{record:?}");
            continue;
        };
        assert_ne!(record.kind, Kind::Undecodable, "{record:?}");
        let Values { latitude_e7, altitude, speed, satellites, .. } = record.values;
        let expected = (
            record.ts_ms,
            f64::from(latitude_e7) / 1e7,
            f32::from(altitude),
            f32::from(speed),
            satellites,
            record.codec(),
        );
        let (latitude, codec) = (position.latitude, position.codec.text());
        let (altitude, speed) = (position.altitude, position.speed);
        let decoded =
            (position.timestamp_ms, latitude, altitude, speed, position.satellites, codec);
        assert_eq!(decoded, expected);
        assert_eq!(i16::from(position.priority), record.priority());
    }
}

#[test]
fn a_seed_gives_the_same_records_and_every_kind_has_its_part() {
    let all = records(wild(7), 20_000);
    assert_eq!(format!("{:?}", records(wild(7), 20_000)), format!("{all:?}"));
    assert_ne!(format!("{:?}", records(wild(8), 20_000)), format!("{all:?}"));
    let log = Log { records: all };
    for (kind, count) in [
        (Kind::New, 11_000),
        (Kind::Late, 3_000),
        (Kind::Duplicate, 3_000),
        (Kind::Undecodable, 2_000),
        (Kind::Refused, 1_000),
    ] {
        let found = log.count(kind);
        assert!(found.abs_diff(count) < count / 5, "{kind:?}: {found}");
    }
}

#[test]
fn only_a_duplicate_has_the_device_and_time_of_another() {
    let mut times = HashMap::new();
    let mut payloads = HashSet::new();
    let (mut same, mut different) = (0, 0);
    for record in records(wild(3), 20_000) {
        let key = (record.device, record.ts_ms);
        let is_new_text = payloads.insert(record.fields());
        if record.kind == Kind::Duplicate {
            let original = times[&key];
            assert!(matches!(original, Kind::New | Kind::Late), "{original:?}");
            (same, different) =
                (same + u32::from(!is_new_text), different + u32::from(is_new_text));
        } else {
            assert!(is_new_text && times.insert(key, record.kind).is_none(), "{record:?}");
        }
    }
    assert!(same > 1_000 && different > 1_000, "{same} and {different}");
}
