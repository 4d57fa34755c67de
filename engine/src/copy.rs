//! The bytes of `COPY positions (…) FROM STDIN (FORMAT binary)`.
//!
//! Knows the columns, their order and their types, and nothing of connections or statements. What
//! it writes is one header, the chosen rows of a [`RowBatch`], one trailer. Binary because there is
//! no escaping in it: a device id of `\N` or with a tab is stored as it is.

use crate::limits::{COPY_PIECE_BYTES, PAYLOAD_BYTES_MAX, TIMESTAMP_MS_MAX, TIMESTAMP_MS_MIN};
use crate::position::Position;
use crate::rows::RowBatch;

/// The columns of `positions` in the order in which every row carries them.
pub const COLUMNS: &str = "device_id, ts, latitude, longitude, altitude, angle, speed, \
                           satellites, priority, codec, attributes";

/// Writes what comes before the first row: signature, no flags, no extension.
pub fn encode_header(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
}

/// Writes the rows with these numbers, in the order given.
pub fn encode_rows(batch: &RowBatch, rows: &[u32], out: &mut Vec<u8>) {
    let encoded = encode_rows_up_to(usize::MAX, batch, rows, out);
    assert_eq!(encoded, rows.len(), "every row is encoded");
}

/// Writes what comes after the last row.
pub fn encode_trailer(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1_i16).to_be_bytes());
}

/// Encodes a part of a batch piece by piece, so that a large batch is never whole in memory twice.
#[derive(Debug)]
pub struct CopyEncoder<'a> {
    batch: &'a RowBatch,
    /// The rows still to come.
    rows: &'a [u32],
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Rows,
    Done,
}

impl<'a> CopyEncoder<'a> {
    /// Begins a COPY of the rows with these numbers, in the order given.
    #[must_use]
    pub const fn new(batch: &'a RowBatch, rows: &'a [u32]) -> Self {
        Self { batch, rows, stage: Stage::Header }
    }

    /// Appends the next piece to `out`; false when nothing is left and nothing was appended.
    ///
    /// A piece ends with the row that brings it to [`COPY_PIECE_BYTES`]. The last one is shorter and
    /// carries the trailer.
    pub fn poll_piece(&mut self, out: &mut Vec<u8>) -> bool {
        if self.stage == Stage::Done {
            return false;
        }
        let end = out.len() + COPY_PIECE_BYTES;
        if self.stage == Stage::Header {
            encode_header(out);
            self.stage = Stage::Rows;
        }
        let encoded = encode_rows_up_to(end, self.batch, self.rows, out);
        self.rows = &self.rows[encoded..];
        if self.rows.is_empty() {
            encode_trailer(out);
            self.stage = Stage::Done;
        }
        true
    }
}

/// Where the value of each column of fixed width lies in [`FIXED`]; its length stands before it.
const TS: usize = 4;
const LATITUDE: usize = TS + 8 + 4;
const LONGITUDE: usize = LATITUDE + 8 + 4;
const ALTITUDE: usize = LONGITUDE + 8 + 4;
const ANGLE: usize = ALTITUDE + 4 + 4;
const SPEED: usize = ANGLE + 4 + 4;
const SATELLITES: usize = SPEED + 4 + 4;
const PRIORITY: usize = SATELLITES + 2 + 4;
const FIXED_BYTES: usize = PRIORITY + 2;

/// The columns from `ts` to `priority`: lengths in place, values to be filled in.
const FIXED: [u8; FIXED_BYTES] = {
    let mut fixed = [0; FIXED_BYTES];
    fixed[TS - 1] = 8;
    fixed[LATITUDE - 1] = 8;
    fixed[LONGITUDE - 1] = 8;
    fixed[ALTITUDE - 1] = 4;
    fixed[ANGLE - 1] = 4;
    fixed[SPEED - 1] = 4;
    fixed[SATELLITES - 1] = 2;
    fixed[PRIORITY - 1] = 2;
    fixed
};

/// Fields of a row: the names in [`COLUMNS`].
const FIELDS: i16 = 11;

/// The first byte of a binary `jsonb`: its version.
pub const JSONB_VERSION: u8 = 1;
const _: () = assert!(PAYLOAD_BYTES_MAX < i32::MAX as usize, "lengths of fields are int32");

/// The epoch of `timestamptz`, 2000-01-01.
const EPOCH_MS: i64 = 946_684_800_000;
const _: () = assert!(TIMESTAMP_MS_MIN >= EPOCH_MS && TIMESTAMP_MS_MAX < i64::MAX / 1_000);

/// A time in epoch milliseconds as a binary `timestamptz` counts it.
#[must_use]
pub const fn timestamp_us(timestamp_ms: i64) -> i64 {
    (timestamp_ms - EPOCH_MS) * 1_000
}

/// Encodes rows until `out` has grown to `end` or they run out; says how many.
fn encode_rows_up_to(end: usize, batch: &RowBatch, rows: &[u32], out: &mut Vec<u8>) -> usize {
    for (encoded, &row) in rows.iter().enumerate() {
        if out.len() >= end {
            return encoded;
        }
        let position = &batch.positions()[row as usize];
        encode_row(batch.device_id(row), position, batch.attributes(row), out);
    }
    rows.len()
}

#[inline]
fn encode_row(device_id: &[u8], position: &Position, attributes: &[u8], out: &mut Vec<u8>) {
    let mut fixed = FIXED;
    let mut put = |at: usize, value: &[u8]| fixed[at..at + value.len()].copy_from_slice(value);
    put(TS, &timestamp_us(position.timestamp_ms).to_be_bytes());
    put(LATITUDE, &position.latitude.to_be_bytes());
    put(LONGITUDE, &position.longitude.to_be_bytes());
    put(ALTITUDE, &position.altitude.to_be_bytes());
    put(ANGLE, &position.angle.to_be_bytes());
    put(SPEED, &position.speed.to_be_bytes());
    put(SATELLITES, &i16::from(position.satellites).to_be_bytes());
    put(PRIORITY, &i16::from(position.priority).to_be_bytes());

    let codec = position.codec.text().as_bytes();
    let variable_bytes = device_id.len() + codec.len() + attributes.len();
    out.reserve(2 + 4 + FIXED_BYTES + 4 + 4 + 1 + variable_bytes);
    out.extend_from_slice(&FIELDS.to_be_bytes());
    out.extend_from_slice(&field_bytes(device_id.len()));
    out.extend_from_slice(device_id);
    out.extend_from_slice(&fixed);
    out.extend_from_slice(&field_bytes(codec.len()));
    out.extend_from_slice(codec);
    out.extend_from_slice(&field_bytes(1 + attributes.len()));
    out.push(JSONB_VERSION);
    out.extend_from_slice(attributes);
}

/// The length that stands before a field.
#[inline]
fn field_bytes(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).expect("PAYLOAD_BYTES_MAX fits i32").to_be_bytes()
}

#[cfg(test)]
mod tests;
