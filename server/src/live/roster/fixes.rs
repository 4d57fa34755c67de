//! The newest fixes of devices, as the database has them: the newest good one, and what was flagged
//! after it.
//!
//! Only what a map can show comes out: finite coordinates on the globe, a fix of a satellite, a
//! device time that is neither before 2000 nor further ahead than the tolerance.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::id::DeviceIndex;
use engine::limits::{ALTITUDE_MAX, ALTITUDE_MIN, ANGLE_MAX, SPEED_MAX};
use engine::position::{Codec, Position};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use crate::database::{Database, DatabaseError};

/// Devices that are asked about at once. A device costs two looks into an index, some 20 µs when its
/// newest pages are in memory, so one question keeps the server busy for some 10 ms.
pub(super) const CHUNK_DEVICES_MAX: usize = 500;

/// Flagged fixes of a device that are named at once, the newest ones. A slot shows the newest fix,
/// or one of the few that were the newest shortly before.
const FLAGGED_MAX: usize = 16;
const _: () = assert!(FLAGGED_MAX == 16);

/// What a map can show. NaN is greater than every number to PostgreSQL, so it is not on the globe.
macro_rules! showable {
    () => {
        "ts >= '2000-01-01 00:00:00+00' AND ts <= $3::timestamptz
            AND latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180
            AND NOT (satellites = 0 AND latitude = 0 AND longitude = 0)"
    };
}

/// The answer's types are named, so it stays the same when the table's types change. Of a device
/// whose newest fix is good and which is not wanted nothing comes.
const FIXES: &str = concat!(
    "SELECT device.id, newest.ts, newest.faulty, flagged.times, good.*
    FROM unnest($1::text[], $2::boolean[]) AS device (id, is_wanted)
    CROSS JOIN LATERAL (
        SELECT ts::timestamptz, coalesce(faulty, FALSE) AS faulty FROM positions
        WHERE device_id = device.id AND ",
    showable!(),
    "   ORDER BY ts DESC LIMIT 1
    ) AS newest
    LEFT JOIN LATERAL (
        SELECT ts::timestamptz, latitude::float8, longitude::float8, altitude::float4,
            angle::float4, speed::float4, satellites::int4, priority::int4, codec::text
        FROM positions
        WHERE device_id = device.id AND faulty = FALSE AND ",
    showable!(),
    "   ORDER BY ts DESC LIMIT 1
    ) AS good ON TRUE
    LEFT JOIN LATERAL (
        SELECT array_agg(ts::timestamptz) AS times FROM (
            SELECT ts FROM positions
            WHERE device_id = device.id AND faulty AND ts > coalesce(good.ts, '-infinity') AND ",
    showable!(),
    "       ORDER BY ts DESC LIMIT 16
        ) AS flagged
    ) AS flagged ON newest.faulty
    WHERE newest.faulty OR device.is_wanted",
);

/// What the database has of one device.
#[derive(Clone, Debug)]
pub(super) struct Fixes {
    /// The IMEI.
    pub(super) device_id: Box<str>,
    /// The newest fix is flagged.
    pub(super) is_flagged: bool,
    /// Device times of the flagged fixes that are newer than the good one, the newest first.
    pub(super) flagged_ms: Vec<i64>,
    /// The newest good fix.
    pub(super) good: Option<Position>,
}

/// Asks about at most [`CHUNK_DEVICES_MAX`] devices: about each one whose newest fix is flagged, and
/// about each one that is wanted.
pub(super) async fn read(
    database: &Database,
    devices: &[(&str, bool)],
    newest_ms: i64,
) -> Result<Vec<Fixes>, DatabaseError> {
    let ids: Vec<&str> = devices.iter().map(|&(id, _)| id).collect();
    let wanted: Vec<bool> = devices.iter().map(|&(_, is_wanted)| is_wanted).collect();
    let newest: SystemTime =
        UNIX_EPOCH + Duration::from_millis(u64::try_from(newest_ms).unwrap_or(0));
    let rows = database.query(FIXES, &[&ids, &wanted, &newest]).await?;
    rows.iter().map(|row| fixes(row).map_err(DatabaseError::from)).collect()
}

fn fixes(row: &Row) -> Result<Fixes, tokio_postgres::Error> {
    let flagged: Option<Vec<Moment>> = row.try_get(3)?;
    let flagged_ms = flagged.unwrap_or_default().iter().map(|moment| moment.epoch_ms).collect();
    let device_id: &str = row.try_get(0)?;
    let is_flagged = row.try_get(2)?;
    Ok(Fixes { device_id: device_id.into(), is_flagged, flagged_ms, good: position(row)? })
}

/// The good fix of a row. The query left out what is not on the globe; the other numbers are held to
/// the bounds that the decoder holds them to.
fn position(row: &Row) -> Result<Option<Position>, tokio_postgres::Error> {
    let Some(moment) = row.try_get::<_, Option<Moment>>(4)? else { return Ok(None) };
    let number = |at| -> Result<f32, _> { Ok(row.try_get::<_, Option<f32>>(at)?.unwrap_or(0.0)) };
    let count = |at| -> Result<u8, tokio_postgres::Error> {
        let count: i32 = row.try_get::<_, Option<_>>(at)?.unwrap_or(0);
        Ok(u8::try_from(count.clamp(0, 255)).expect("clamped to a byte"))
    };
    // Nothing that is shown depends on it, so it may be anything, even no text.
    let codec: Option<&str> = row.try_get(12).unwrap_or_default();
    Ok(Some(Position {
        timestamp_ms: moment.epoch_ms,
        latitude: row.try_get(5)?,
        longitude: row.try_get(6)?,
        altitude: within(number(7)?, ALTITUDE_MIN, ALTITUDE_MAX),
        angle: within(number(8)?, 0.0, ANGLE_MAX),
        speed: within(number(9)?, 0.0, SPEED_MAX),
        device: DeviceIndex::ORPHAN,
        satellites: count(10)?,
        priority: count(11)?,
        codec: codec
            .and_then(|codec| Codec::parse(codec.as_bytes()))
            .unwrap_or(Codec::Codec8Extended),
    }))
}

/// The nearest number within the bounds; 0, which is never shown, for what is none.
const fn within(number: f32, least: f32, most: f32) -> f32 {
    if number.is_nan() { 0.0 } else { number.clamp(least, most) }
}

/// A moment of the database in whole milliseconds since 1970; what is finer is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    epoch_ms: i64,
}

impl<'a> FromSql<'a> for Moment {
    fn from_sql(
        _type: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        /// 2000-01-01, from which PostgreSQL counts microseconds.
        const ORIGIN_MS: i64 = 946_684_800_000;
        let us = i64::from_be_bytes(raw.try_into()?);
        Ok(Self { epoch_ms: us.div_euclid(1_000) + ORIGIN_MS })
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TIMESTAMPTZ
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::types::{FromSql as _, Type};

    use super::{Moment, within};

    #[test]
    fn a_moment_is_cut_to_the_millisecond_it_lies_in() {
        for (us, epoch_ms) in [
            (0, 946_684_800_000),
            (999, 946_684_800_000),
            (1_000, 946_684_800_001),
            (-1, 946_684_799_999),
            (834_048_930_123_999, 1_780_733_730_123),
            (i64::MAX, 9_224_318_721_654_775),
            (i64::MIN, -9_222_425_352_054_776),
        ] {
            let moment = Moment::from_sql(&Type::TIMESTAMPTZ, &i64::to_be_bytes(us));
            assert_eq!(moment.unwrap(), Moment { epoch_ms });
        }
        assert!(Moment::from_sql(&Type::TIMESTAMPTZ, &[0; 4]).is_err());
    }

    #[test]
    fn numbers_are_held_to_their_bounds() {
        let numbers = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 63.5, 400.0];
        let expected = [0.0_f32, 360.0, 0.0, 0.0, 63.5, 360.0];
        for (number, expected) in numbers.into_iter().zip(expected) {
            assert_eq!(within(number, 0.0, 360.0).to_bits(), expected.to_bits(), "{number}");
        }
    }
}
