//! The file of the store: its tables, what is written in one commit, and what it was opened with.

use std::error::Error;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use crate::embedded::records::Parcel;
use crate::error::Stop;

/// The file within the folder.
pub(crate) const FILE: &str = "pitwall.sqlite";

/// The form of the tables below. A newer pitwall that changes it counts up.
const VERSION: i64 = 1;

/// How long another program's lock is waited for before the commit counts as failed: `sqlite3` on a
/// terminal locks for less.
const BUSY_MS_MAX: u64 = 1_000;

/// The log of what is not in the file yet is cut back to this after a burst.
const LOG_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// Refused records that are kept, the newest: some 400 bytes each, 40 MB when full. A device that has lost
/// its clock for a whole season fills no disk with them; those that go are counted.
const REFUSED_MAX: i64 = 100_000;

/// `positions` has the columns that it has in PostgreSQL; times are epoch milliseconds.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS positions (
    device_id TEXT NOT NULL,
    ts INTEGER NOT NULL,
    ingested_at INTEGER NOT NULL,
    latitude REAL NOT NULL,
    longitude REAL NOT NULL,
    altitude REAL NOT NULL,
    angle REAL NOT NULL,
    speed REAL NOT NULL,
    satellites INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    codec TEXT NOT NULL,
    attributes TEXT NOT NULL,
    faulty INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (device_id, ts)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
    id INTEGER PRIMARY KEY,
    received_at INTEGER NOT NULL,
    device_id TEXT NOT NULL,
    codec TEXT NOT NULL,
    reason TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;
";

const INSERT: &str = "
INSERT INTO positions (device_id, ts, ingested_at, latitude, longitude, altitude, angle, speed,
    satellites, priority, codec, attributes)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT (device_id, ts) DO NOTHING";

const REFUSE: &str = "
INSERT INTO refused (received_at, device_id, codec, reason, payload) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Ids grow by one, so this keeps the newest.
const FORGET: &str = "DELETE FROM refused WHERE id <= (SELECT max(id) FROM refused) - ?1";

/// What a commit has stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// Rows that were not there.
    pub(super) inserted: u64,
    /// Rows that were there already: the first one stands.
    pub(super) duplicate: u64,
    /// Records that are no position.
    pub(super) refused: u64,
    /// Older ones of these that had to go.
    pub(super) forgotten: u64,
}

/// The connection that writes. There is one, and its process holds the folder.
#[derive(Debug)]
pub(crate) struct Table {
    connection: Connection,
}

impl Table {
    /// Opens the file, which is made when there is none.
    ///
    /// # Errors
    /// When it is no store of ours, or the folder's disk cannot hold one.
    pub(crate) fn open(directory: &Path) -> Result<Self, Stop> {
        let path = directory.join(FILE);
        let cannot = |error: Box<dyn Error>| {
            Stop::Unavailable(format!(
                "EMBEDDED_DIR: {} cannot be used as the store: {error}. See that the disk has room, \
                 that this user may write there and that the file is a store of pitwall; or move the \
                 file away, and an empty one is made.",
                path.display()
            ))
        };
        Connection::open(&path).map_err(Box::from).and_then(Self::prepare).map_err(cannot)
    }

    fn prepare(connection: Connection) -> Result<Self, Box<dyn Error>> {
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS_MAX))?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version > VERSION {
            return Err("it was made by a newer version of pitwall".into());
        }
        // A commit is on the disk when it returns, and readers do not wait for it.
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(format!("its file system allows no write-ahead log, only {mode}").into());
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_MAX)?;
        connection.execute_batch(SCHEMA)?;
        connection.pragma_update(None, "user_version", VERSION)?;
        Ok(Self { connection })
    }

    /// Stores all of it in one commit, or nothing.
    ///
    /// # Errors
    /// What SQLite says; then it is as if it had not been tried.
    pub(super) fn store(
        &mut self,
        parcels: &[Parcel],
        now_ms: i64,
    ) -> Result<Stored, rusqlite::Error> {
        let mut stored = Stored::default();
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            let mut refuse = transaction.prepare_cached(REFUSE)?;
            for parcel in parcels {
                let device_id = parcel.imei.as_str();
                for row in &parcel.rows {
                    let position = &row.position;
                    let count = insert.execute(params![
                        device_id,
                        position.timestamp_ms,
                        now_ms,
                        position.latitude,
                        position.longitude,
                        position.altitude,
                        position.angle,
                        position.speed,
                        position.satellites,
                        position.priority,
                        position.codec.text(),
                        &*row.attributes,
                    ])?;
                    stored.inserted += count as u64;
                    stored.duplicate += 1 - count as u64;
                }
                for refused in &parcel.refused {
                    let (codec, reason) = (refused.codec, &*refused.reason);
                    refuse.execute(params![now_ms, device_id, codec, reason, &*refused.payload])?;
                    stored.refused += 1;
                }
            }
            if stored.refused > 0 {
                let forgotten = transaction.prepare_cached(FORGET)?.execute([REFUSED_MAX])?;
                stored.forgotten = forgotten as u64;
            }
        }
        transaction.commit()?;
        Ok(stored)
    }

    #[cfg(test)]
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Opens the file for who only reads it, beside a process that writes.
///
/// # Errors
/// When there is none or it cannot be read.
pub(crate) fn open_to_read(directory: &Path) -> Result<Connection, rusqlite::Error> {
    // Even who only reads takes part in the file's locks, so it is opened as if to write.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(directory.join(FILE), flags)?;
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS_MAX))?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}
