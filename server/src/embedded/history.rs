//! Reads the store beside who writes it: which devices it knows, their newest fixes, their tracks.

use std::path::Path;

use engine::id::DeviceIndex;
use engine::position::{Codec, Position};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::store::table::open_to_read;

/// Each device once, by one look into the index for each, however many rows it has.
const DEVICES: &str = "
WITH RECURSIVE devices(id) AS (
    SELECT min(device_id) FROM positions
    UNION ALL
    SELECT (SELECT min(device_id) FROM positions WHERE device_id > devices.id)
    FROM devices WHERE devices.id IS NOT NULL
)
SELECT id FROM devices WHERE id IS NOT NULL LIMIT ?1";

/// What a viewer may be shown of a device.
const NEWEST: &str = "
SELECT ts, latitude, longitude, altitude, angle, speed, satellites, priority, codec
FROM positions
WHERE device_id = ?1 AND ts <= ?2 AND faulty = 0
    AND NOT (satellites = 0 AND latitude = 0 AND longitude = 0)
ORDER BY ts DESC LIMIT 1";

/// The next stretch of a track.
const TRACK: &str = "
SELECT ts, latitude, longitude, altitude, angle, speed, satellites, priority, codec, attributes
FROM positions
WHERE device_id = ?1 AND ts > ?2 AND ts < ?3 AND faulty = 0
    AND NOT (satellites = 0 AND latitude = 0 AND longitude = 0)
ORDER BY ts LIMIT ?4";

/// A connection that reads.
#[derive(Debug)]
pub(crate) struct History {
    connection: Connection,
}

impl History {
    /// Opens the store of a folder.
    pub(crate) fn open(directory: &Path) -> Result<Self, rusqlite::Error> {
        Ok(Self { connection: open_to_read(directory)? })
    }

    /// The devices that have rows, in order, at most so many.
    pub(crate) fn devices(&self, count_max: usize) -> Result<Vec<Box<str>>, rusqlite::Error> {
        let mut statement = self.connection.prepare_cached(DEVICES)?;
        let rows = statement.query_map([limit(count_max)], |row| row.get(0))?;
        rows.collect()
    }

    /// The newest fix of a device that is not later than this.
    pub(crate) fn newest(
        &self,
        device_id: &str,
        newest_ms: i64,
    ) -> Result<Option<Position>, rusqlite::Error> {
        let mut statement = self.connection.prepare_cached(NEWEST)?;
        statement.query_row(params![device_id, newest_ms], position).optional()
    }

    /// The fixes of a device behind `after_ms` and before `before_ms`, the first so many of them, with
    /// their attributes.
    pub(crate) fn track(
        &self,
        device_id: &str,
        (after_ms, before_ms): (i64, i64),
        count_max: usize,
    ) -> Result<Vec<(Position, String)>, rusqlite::Error> {
        let mut statement = self.connection.prepare_cached(TRACK)?;
        let range = params![device_id, after_ms, before_ms, limit(count_max)];
        let rows = statement.query_map(range, |row| Ok((position(row)?, row.get(9)?)))?;
        rows.collect()
    }
}

/// As SQLite wants it.
fn limit(count_max: usize) -> i64 {
    i64::try_from(count_max).unwrap_or(i64::MAX)
}

fn position(row: &Row<'_>) -> Result<Position, rusqlite::Error> {
    let codec: String = row.get(8)?;
    Ok(Position {
        timestamp_ms: row.get(0)?,
        latitude: row.get(1)?,
        longitude: row.get(2)?,
        altitude: row.get(3)?,
        angle: row.get(4)?,
        speed: row.get(5)?,
        device: DeviceIndex::ORPHAN,
        satellites: row.get(6)?,
        priority: row.get(7)?,
        // Nothing that is shown depends on it.
        codec: Codec::parse(codec.as_bytes()).unwrap_or(Codec::Codec8Extended),
    })
}
