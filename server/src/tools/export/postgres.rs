//! Tracks out of PostgreSQL, with the platform's tables for who drove.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::{Client, Error, Row};

use super::{DEVICES_MAX, Driver, Fix, Found, STRETCH_MAX, Trouble, Wanted};
use crate::secret::Secret;
use crate::tools::session::{connect, plain};

const SETTINGS: &str = "SET application_name = 'pitwall-export'; \
                        SET default_transaction_read_only = on";

const EVENTS: &str = "
    SELECT id::text, name::text FROM events
    WHERE id::text = lower($1) OR name = $1 ORDER BY 1 LIMIT 2";

/// The identity rule: positions name a device by its IMEI, entries by the key of its row.
const DRIVERS: &str = "
    SELECT devices.imei::text, min(entries.race_number::text)
    FROM entry_devices
    JOIN devices ON devices.id::text = entry_devices.device_id::text
    JOIN entries ON entries.id::text = entry_devices.entry_id::text
    WHERE entries.event_id::text = $1 AND ($2::text IS NULL OR devices.imei::text = $2)
    GROUP BY 1 ORDER BY 1 LIMIT $3";

const TRACK: &str = "
    SELECT ts, latitude, longitude, altitude, angle, speed, satellites::int8, priority::int8,
        codec, attributes::text
    FROM positions
    WHERE device_id = $1 AND ts > $2 AND ts < $3 AND NOT faulty
        AND NOT (satellites = 0 AND latitude = 0 AND longitude = 0)
    ORDER BY ts LIMIT $4";

/// The last moment that PostgreSQL is asked about: no position is later than the year 2100.
const MOMENT_US_MAX: i64 = 4_102_444_800_000_000;

/// A session.
pub(super) struct Source {
    client: Client,
}

impl Source {
    /// Connects.
    pub(super) async fn open(url: &Secret) -> Result<Self, Trouble> {
        let client = connect(url.expose()).await.map_err(|words| {
            Trouble::Undone(format!(
                "PostgreSQL cannot be reached: {words}. Let POSTGRES_URL name its host, user and \
                 database, or EMBEDDED_DIR the folder of an embedded pitwall."
            ))
        })?;
        client.batch_execute(SETTINGS).await.map_err(|error| refused(&error))?;
        Ok(Self { client })
    }

    pub(super) async fn find(&self, wanted: &Wanted<'_>) -> Result<Found, Trouble> {
        let Some(name) = wanted.event else {
            let imei = wanted.device.expect("clap asks for an event or a device").to_owned();
            let driver = Driver { imei: imei.clone(), name: None, number: None };
            return Ok(Found { title: imei, drivers: vec![driver] });
        };
        let rows = self.client.query(EVENTS, &[&name]).await.map_err(|error| refused(&error))?;
        let [row] = &rows[..] else {
            return Err(Trouble::Undone(match rows.len() {
                0 => format!("There is no event {name}. Give its uuid, or its name as it stands."),
                _ => format!("Several events are called {name}: give the uuid of one."),
            }));
        };
        let (id, title): (String, Option<String>) = (row.get(0), row.get(1));
        let limit = i64::try_from(DEVICES_MAX).unwrap_or(i64::MAX);
        let rows = self.client.query(DRIVERS, &[&id, &wanted.device, &limit]).await;
        let rows = rows.map_err(|error| refused(&error))?;
        if let (true, Some(device)) = (rows.is_empty(), wanted.device) {
            let words = format!("Device {device} is not registered to event {name}.");
            return Err(Trouble::Undone(words));
        }
        let drivers =
            rows.iter().map(|row| Driver { imei: row.get(0), name: None, number: row.get(1) });
        Ok(Found { title: title.unwrap_or(id), drivers: drivers.collect() })
    }

    pub(super) async fn track(
        &self,
        imei: &str,
        after_us: i64,
        to_us: i64,
    ) -> Result<Vec<Fix>, Trouble> {
        let (after, before) = (moment(after_us), moment(to_us));
        let limit = i64::try_from(STRETCH_MAX).unwrap_or(i64::MAX);
        let rows = self.client.query(TRACK, &[&imei, &after, &before, &limit]).await;
        let fixes: Result<Vec<Fix>, Error> =
            rows.map_err(|error| refused(&error))?.iter().map(fix).collect();
        fixes.map_err(|error| refused(&error))
    }
}

fn fix(row: &Row) -> Result<Fix, Error> {
    let time: SystemTime = row.try_get(0)?;
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Fix {
        time_us: i64::try_from(since.as_micros()).unwrap_or(MOMENT_US_MAX),
        latitude: row.try_get(1)?,
        longitude: row.try_get(2)?,
        altitude: row.try_get(3)?,
        angle: row.try_get(4)?,
        speed: row.try_get(5)?,
        satellites: row.try_get(6)?,
        priority: row.try_get(7)?,
        codec: row.try_get(8)?,
        attributes: row.try_get(9)?,
    })
}

fn moment(epoch_us: i64) -> SystemTime {
    let us = u64::try_from(epoch_us.clamp(0, MOMENT_US_MAX)).unwrap_or_default();
    UNIX_EPOCH + Duration::from_micros(us)
}

fn refused(error: &Error) -> Trouble {
    let words = plain(error);
    Trouble::Undone(format!(
        "PostgreSQL refuses: {words}. `pitwall check` says what the user of POSTGRES_URL must be \
         able to read."
    ))
}
