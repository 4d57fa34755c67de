//! Batches and entry ids, case by case.

use super::*;
use crate::id::DeviceIndex;
use crate::position::Codec;

pub(super) fn position(timestamp_ms: i64) -> Position {
    Position {
        timestamp_ms,
        latitude: 41.3275,
        longitude: 19.8187,
        altitude: 120.0,
        angle: 214.0,
        speed: 63.0,
        device: DeviceIndex::ORPHAN,
        satellites: 11,
        priority: 0,
        codec: Codec::Codec8Extended,
    }
}

fn row<'a>(device_id: &'a str, attributes: &'a [u8]) -> Row<'a> {
    let entry = EntryId { ms: 1, sequence: 2 };
    Row { entry, device_id, position: position(1), attributes, redelivered: false }
}

#[test]
fn row_comes_back_as_it_was_pushed() {
    let mut batch = RowBatch::new(2);
    batch.push(&row("a", b"{}")).unwrap();
    let second = Row {
        entry: EntryId { ms: 7, sequence: 8 },
        device_id: "\\N\t\u{1f3c1}",
        position: position(5),
        attributes: b"{\"66\":12840}",
        redelivered: true,
    };
    batch.push(&second).unwrap();
    assert_eq!(batch.len(), 2);
    assert_eq!(batch.entries(), [EntryId { ms: 1, sequence: 2 }, second.entry]);
    assert_eq!(batch.positions(), [position(1), second.position]);
    assert_eq!((batch.device_id(0), batch.attributes(0)), (&b"a"[..], &b"{}"[..]));
    assert_eq!(batch.device_id(1), second.device_id.as_bytes());
    assert_eq!(batch.attributes(1), second.attributes);
    assert_eq!((batch.redelivered(0), batch.redelivered(1)), (false, true));
    batch.clear();
    assert!(batch.is_empty() && batch.text_bytes() == 0 && batch.entries().is_empty());
}

#[test]
fn attributes_are_kept_as_the_database_gets_them() {
    fn check(attributes: &str, expected: &str) {
        let mut batch = RowBatch::new(1);
        batch.push(&row("a", attributes.as_bytes())).unwrap();
        assert_eq!(str::from_utf8(batch.attributes(0)).unwrap(), expected, "{attributes}");
    }
    check("{}", "{}");
    check("{\"239\":1,\"66\":12840}", "{\"239\":1,\"66\":12840}");
    check(
        "{\"16\":{\"__bigint\":\"18446744073709551615\"},\"385\":{\"__buffer_b64\":\"q83v\"}}",
        "{\"16\":\"18446744073709551615\",\"385\":\"q83v\"}",
    );
    check("{\"385\":{\"type\":\"Buffer\",\"data\":[171,205,239,0]}}", "{\"385\":\"q83vAA==\"}");
    check("{\"{\":\"{\\\"__bigint\\\":\"}", "{\"{\":\"{\\\"__bigint\\\":\"}");
}

#[test]
fn full_batch_names_the_bound_and_keeps_what_it_has() {
    let mut batch = RowBatch::new(1);
    batch.push(&row("a", b"{}")).unwrap();
    assert_eq!(batch.push(&row("b", b"{}")), Err(BatchFull::Rows));
    assert_eq!((batch.len(), batch.device_id(0)), (1, &b"a"[..]));

    let longest = vec![b' '; PAYLOAD_BYTES_MAX];
    let mut batch = RowBatch::new(BATCH_ROWS_MAX);
    let rows = BATCH_BYTES_MAX / (PAYLOAD_BYTES_MAX + 1);
    for _ in 0..rows {
        batch.push(&row("a", &longest)).unwrap();
    }
    let text_bytes = batch.text_bytes();
    assert_eq!(batch.push(&row("a", &longest)), Err(BatchFull::Bytes));
    assert_eq!((batch.len(), batch.text_bytes()), (rows, text_bytes));
    // A smaller row fits to the last byte.
    let rest = vec![b' '; BATCH_BYTES_MAX - text_bytes - 1];
    batch.push(&row("a", &rest)).unwrap();
    assert_eq!(batch.text_bytes(), BATCH_BYTES_MAX);
}

#[test]
fn cleared_batch_takes_the_same_rows_into_the_same_memory() {
    let mut batch = RowBatch::new(100);
    let mut places = Vec::new();
    for _ in 0..3 {
        batch.clear();
        for _ in 0..100 {
            batch.push(&row("356307042441013", b"{\"239\":1}")).unwrap();
        }
        places.push((batch.arena.as_ptr(), batch.texts.as_ptr(), batch.positions.as_ptr()));
    }
    assert_eq!(places[1], places[0]);
    assert_eq!(places[2], places[0]);
}

#[test]
fn entry_id_is_two_decimal_numbers() {
    fn check(text: &str, expected: Option<(u64, u64)>) {
        let expected = expected.map(|(ms, sequence)| EntryId { ms, sequence });
        assert_eq!(EntryId::parse(text.as_bytes()), expected, "{text}");
    }
    check("0-0", Some((0, 0)));
    check("1749197730000-12", Some((1_749_197_730_000, 12)));
    check("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX)));
    check("18446744073709551616-0", None);
    check("1", None);
    check("-1", None);
    check("1-", None);
    check("1-2-3", None);
    check("1-*", None);
    check("+1-2", None);
    let text = "1749197730000-12";
    assert_eq!(EntryId::parse(text.as_bytes()).unwrap().to_string(), text);
}
