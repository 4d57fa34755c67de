//! Rows as arrays, one per column, for statements that take a whole batch as their parameters.

use std::error::Error;

use bytes::BytesMut;
use engine::copy::{JSONB_VERSION, timestamp_us};
use engine::rows::RowBatch;
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, to_sql_checked};

/// The columns in the order of [`engine::copy::COLUMNS`].
const COLUMNS: [Which; 11] = [
    Which::DeviceId,
    Which::Ts,
    Which::Latitude,
    Which::Longitude,
    Which::Altitude,
    Which::Angle,
    Which::Speed,
    Which::Satellites,
    Which::Priority,
    Which::Codec,
    Which::Attributes,
];

/// The columns that name a row.
const KEYS: [Which; 2] = [Which::DeviceId, Which::Ts];

#[derive(Clone, Copy, Debug)]
enum Which {
    DeviceId,
    Ts,
    Latitude,
    Longitude,
    Altitude,
    Angle,
    Speed,
    Satellites,
    Priority,
    Codec,
    Attributes,
}

/// One column of some rows of a batch; an array for the server. Borrows the batch, copies nothing
/// until it is written into the message.
#[derive(Debug)]
pub(super) struct Column<'a> {
    batch: &'a RowBatch,
    rows: &'a [u32],
    which: Which,
}

/// All columns of these rows.
pub(super) fn columns<'a>(batch: &'a RowBatch, rows: &'a [u32]) -> [Column<'a>; 11] {
    COLUMNS.map(|which| Column { batch, rows, which })
}

/// What names these rows.
pub(super) fn keys<'a>(batch: &'a RowBatch, rows: &'a [u32]) -> [Column<'a>; 2] {
    KEYS.map(|which| Column { batch, rows, which })
}

/// The first and the last moment of these rows.
pub(super) fn span(batch: &RowBatch, rows: &[u32]) -> [Moment; 2] {
    let times = rows.iter().map(|&row| batch.positions()[row as usize].timestamp_ms);
    let first = times.clone().min().unwrap_or_default();
    let last = times.max().unwrap_or_default();
    [Moment(first), Moment(last)]
}

/// A time of a device, in epoch milliseconds.
#[derive(Debug)]
pub(super) struct Moment(i64);

impl Column<'_> {
    /// Appends the value of one row, without its length.
    fn put(&self, row: u32, out: &mut BytesMut) {
        let position = &self.batch.positions()[row as usize];
        match self.which {
            Which::DeviceId => out.extend_from_slice(self.batch.device_id(row)),
            Which::Ts => put_moment(position.timestamp_ms, out),
            Which::Latitude => out.extend_from_slice(&position.latitude.to_be_bytes()),
            Which::Longitude => out.extend_from_slice(&position.longitude.to_be_bytes()),
            Which::Altitude => out.extend_from_slice(&position.altitude.to_be_bytes()),
            Which::Angle => out.extend_from_slice(&position.angle.to_be_bytes()),
            Which::Speed => out.extend_from_slice(&position.speed.to_be_bytes()),
            Which::Satellites => put_small(position.satellites, out),
            Which::Priority => put_small(position.priority, out),
            Which::Codec => out.extend_from_slice(position.codec.text().as_bytes()),
            Which::Attributes => {
                out.extend_from_slice(&[JSONB_VERSION]);
                out.extend_from_slice(self.batch.attributes(row));
            }
        }
    }

    const fn element(&self) -> Type {
        match self.which {
            Which::DeviceId | Which::Codec => Type::TEXT,
            Which::Ts => Type::TIMESTAMPTZ,
            Which::Latitude | Which::Longitude => Type::FLOAT8,
            Which::Altitude | Which::Angle | Which::Speed => Type::FLOAT4,
            Which::Satellites | Which::Priority => Type::INT2,
            Which::Attributes => Type::JSONB,
        }
    }
}

/// The length that stands before a value or an array, as the protocol writes it.
fn length(bytes: usize) -> Result<[u8; 4], Box<dyn Error + Sync + Send>> {
    Ok(i32::try_from(bytes)?.to_be_bytes())
}

fn put_moment(timestamp_ms: i64, out: &mut BytesMut) {
    out.extend_from_slice(&timestamp_us(timestamp_ms).to_be_bytes());
}

fn put_small(number: u8, out: &mut BytesMut) {
    out.extend_from_slice(&i16::from(number).to_be_bytes());
}

impl ToSql for Column<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        // One dimension, no nulls, the type of the elements, how many, and that counting starts at 1.
        out.extend_from_slice(&1_i32.to_be_bytes());
        out.extend_from_slice(&0_i32.to_be_bytes());
        out.extend_from_slice(&self.element().oid().to_be_bytes());
        out.extend_from_slice(&length(self.rows.len())?);
        out.extend_from_slice(&1_i32.to_be_bytes());
        for &row in self.rows {
            let start = out.len();
            out.extend_from_slice(&[0; 4]);
            self.put(row, out);
            let value_bytes = length(out.len() - start - 4)?;
            out[start..start + 4].copy_from_slice(&value_bytes);
        }
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(kind.kind(), Kind::Array(_))
    }

    to_sql_checked!();
}

impl ToSql for Moment {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        put_moment(self.0, out);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}
