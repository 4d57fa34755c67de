//! What the COPY encoding writes, byte by byte.

use super::*;
use crate::id::DeviceIndex;
use crate::position::Codec;
use crate::rows::{EntryId, Row};

fn batch(rows: u32, attributes: &[u8]) -> RowBatch {
    let mut batch = RowBatch::new(10_000);
    for number in 0..rows {
        let position = Position {
            timestamp_ms: 1_780_733_730_000 + i64::from(number),
            latitude: 41.3275,
            longitude: -19.8187,
            altitude: 120.0,
            angle: 214.0,
            speed: 63.0,
            device: DeviceIndex::ORPHAN,
            satellites: 255,
            priority: 2,
            codec: Codec::Codec8Extended,
        };
        let entry = EntryId::default();
        let device_id = "356307042441013";
        batch.push(&Row { entry, device_id, position, attributes, redelivered: false }).unwrap();
    }
    batch
}

fn whole(batch: &RowBatch, rows: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_header(&mut out);
    encode_rows(batch, rows, &mut out);
    encode_trailer(&mut out);
    out
}

#[test]
fn row_is_its_fields_each_with_its_length() {
    let mut expected = vec![0, 11];
    let mut field = |bytes: &[u8]| {
        expected.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
        expected.extend_from_slice(bytes);
    };
    field(b"356307042441013");
    field(&834_048_930_000_000_i64.to_be_bytes());
    field(&41.3275_f64.to_be_bytes());
    field(&(-19.8187_f64).to_be_bytes());
    field(&120_f32.to_be_bytes());
    field(&214_f32.to_be_bytes());
    field(&63_f32.to_be_bytes());
    field(&[0, 255]);
    field(&[0, 2]);
    field(b"8E");
    field(b"\x01{\"239\":1}");
    let mut out = Vec::new();
    encode_rows(&batch(1, b"{\"239\":1}"), &[0], &mut out);
    assert_eq!(out, expected);
}

#[test]
fn as_many_columns_as_fields() {
    assert_eq!(COLUMNS.split(", ").count(), usize::try_from(FIELDS).unwrap());
}

#[test]
fn pieces_together_are_the_whole() {
    // Rows that end before, at and behind the end of a piece, and rows larger than a piece.
    for (rows, attributes_bytes) in [(0, 2), (1, 2), (10_000, 2), (3_000, 171), (120, 65_000)] {
        let batch = batch(rows, &vec![b' '; attributes_bytes]);
        let numbers: Vec<u32> = (0..rows).rev().collect();
        let mut encoder = CopyEncoder::new(&batch, &numbers);
        let (mut joined, mut piece) = (Vec::new(), Vec::new());
        let mut is_last = false;
        while encoder.poll_piece(&mut piece) {
            assert!(!is_last, "a piece below the size was not the last");
            is_last = piece.len() < COPY_PIECE_BYTES;
            assert!(piece.len() < COPY_PIECE_BYTES + 200 + attributes_bytes);
            joined.append(&mut piece);
        }
        assert!(piece.is_empty());
        assert_eq!(joined, whole(&batch, &numbers), "{rows} rows");
    }
}

#[test]
fn piece_counts_its_own_bytes_not_what_was_there() {
    let batch = batch(2_000, b"{}");
    let numbers: Vec<u32> = (0..2_000).collect();
    let mut out = vec![0; 3 * COPY_PIECE_BYTES];
    assert!(CopyEncoder::new(&batch, &numbers).poll_piece(&mut out));
    assert!(out.len() >= 4 * COPY_PIECE_BYTES);
}
