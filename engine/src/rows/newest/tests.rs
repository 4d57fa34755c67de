//! Fresh and suspect rows, case by case.

use super::*;
use crate::rows::tests::position;
use crate::rows::{EntryId, Row};

/// A row of a table: device, timestamp, redelivered.
type Case = (&'static str, i64, bool);

fn batch(rows: &[Case]) -> RowBatch {
    let mut batch = RowBatch::new(rows.len().max(1));
    for &(device_id, timestamp_ms, redelivered) in rows {
        let position = position(timestamp_ms);
        let entry = EntryId::default();
        batch.push(&Row { entry, device_id, position, attributes: b"{}", redelivered }).unwrap();
    }
    batch
}

/// With `written` committed, splits `rows` into these numbers.
fn check(written: &[Case], rows: &[Case], expected_fresh: &[u32], expected_suspect: &[u32]) {
    let mut newest = Newest::new();
    newest.commit(&batch(written));
    let (mut fresh, mut suspect) = (vec![9], vec![9]);
    for _ in 0..2 {
        newest.split(&batch(rows), &mut fresh, &mut suspect);
        assert_eq!(fresh, expected_fresh, "{rows:?} after {written:?}");
        assert_eq!(suspect, expected_suspect, "{rows:?} after {written:?}");
    }
}

#[test]
fn only_what_is_above_the_newest_written_is_fresh() {
    let written = [("a", 10, false), ("b", 20, false), ("a", 5, false)];
    check(&written, &[("a", 11, false), ("b", 21, false)], &[0, 1], &[]);
    check(&written, &[("a", 10, false), ("b", 19, false)], &[], &[0, 1]);
    check(&written, &[("a", 11, true)], &[], &[0]);
    check(&written, &[], &[], &[]);
}

#[test]
fn device_that_was_never_written_is_suspect() {
    check(&[], &[("a", 1, false)], &[], &[0]);
    check(&[("a", 1, false)], &[("A", 2, false)], &[], &[0]);
}

#[test]
fn first_of_equal_rows_is_the_fresh_one() {
    let written = [("a", 10, false)];
    check(&written, &[("a", 11, false), ("a", 11, false)], &[0], &[1]);
    check(&written, &[("a", 13, false), ("a", 12, false), ("a", 14, false)], &[0, 2], &[1]);
    // The earlier one is written the careful way, and it is the one that must stand.
    check(&written, &[("a", 11, true), ("a", 11, false), ("a", 12, false)], &[2], &[0, 1]);
}

#[test]
fn fresh_rows_are_sorted_by_device_and_time() {
    let rows = [("b", 21, false), ("a", 11, false), ("b", 22, false), ("a", 12, false)];
    check(&[("a", 10, false), ("b", 20, false)], &rows, &[1, 3, 0, 2], &[]);
}

#[test]
fn suspects_are_sorted_by_device_and_time_and_then_by_row() {
    let rows = [
        ("b", 2, false),
        ("a", 3, false),
        ("b", 1, false),
        ("a", 3, true),
        ("B", 9, false),
        ("a", 2, false),
    ];
    check(&[], &rows, &[], &[4, 5, 1, 3, 2, 0]);
}

#[test]
fn device_beyond_the_table_stays_suspect() {
    let mut newest = Newest::new();
    let mut rows = RowBatch::new(1);
    for number in 0..=WRITTEN_DEVICES_MAX {
        rows.clear();
        let (entry, position) = (EntryId::default(), position(10));
        let device_id = &number.to_string();
        rows.push(&Row { entry, device_id, position, attributes: b"{}", redelivered: false })
            .unwrap();
        newest.commit(&rows);
    }
    assert_eq!(newest.len(), WRITTEN_DEVICES_MAX);
    let (mut fresh, mut suspect) = (Vec::new(), Vec::new());
    let beyond = WRITTEN_DEVICES_MAX.to_string().leak();
    newest.split(&batch(&[(beyond, 11, false), ("0", 11, false)]), &mut fresh, &mut suspect);
    assert_eq!((fresh.as_slice(), suspect.as_slice()), (&[1][..], &[0][..]));
}
