//! Who is registered where, as the database says it: the identity rule, once.
//!
//! Positions name a device by its IMEI, `entry_devices` by the key of a row of `devices`.

use engine::id::EventId;
use engine::limits::{DEVICE_ID_BYTES_MAX, SLOTS_MAX};
use engine::roster::Registration;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::database::{Database, DatabaseError};

/// What is read. The last row of the limit is one too many: it tells that there are more than can be
/// served. A value that is too long to be one comes as NULL: it is counted, not carried.
macro_rules! registrations {
    ($cast:literal) => {
        concat!(
            "SELECT CASE WHEN octet_length(devices.imei::text) <= 64 THEN devices.imei::text END,
                CASE WHEN octet_length(entries.event_id::text) <= 36
                    THEN entries.event_id::text END
            FROM entry_devices
            JOIN devices ON devices.id",
            $cast,
            " = entry_devices.device_id",
            $cast,
            " JOIN entries ON entries.id",
            $cast,
            " = entry_devices.entry_id",
            $cast,
            " LIMIT 262145"
        )
    };
}

/// Keys of one type.
const REGISTRATIONS: &str = registrations!("");

/// Keys of which some are uuids and some are text, at three times the cost.
const REGISTRATIONS_AS_TEXT: &str = registrations!("::text");
const _: () = assert!(DEVICE_ID_BYTES_MAX == 64 && SLOTS_MAX == 262_144);

/// True when a rule on rows may hide some from us. An empty roster is then no proof that there are
/// no registrations.
const ARE_ROWS_HIDDEN: &str = "
    SELECT coalesce(bool_or(row_security_active(name::regclass)), FALSE)
    FROM unnest(ARRAY['entry_devices', 'devices', 'entries']) AS name";

/// The registrations of one moment: sorted by device, each one once.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    pairs: Vec<(Box<str>, EventId)>,
    /// Rows without a usable IMEI or event.
    pub(super) skipped: usize,
    /// There are none, but rows may be hidden from us.
    pub(super) may_be_hidden: bool,
}

/// Why there are no registrations to work with.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The database did not give them.
    Database(DatabaseError),
    /// It has more of them than [`SLOTS_MAX`].
    TooMany,
}

impl From<DatabaseError> for ReadError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl Registrations {
    /// Reads all of them.
    pub(super) async fn read(database: &Database) -> Result<Self, ReadError> {
        let rows = match database.query(REGISTRATIONS, &[]).await {
            Err(error) if error.code == Some(SqlState::UNDEFINED_FUNCTION) => {
                database.query(REGISTRATIONS_AS_TEXT, &[]).await?
            }
            rows => rows?,
        };
        if rows.len() > SLOTS_MAX {
            return Err(ReadError::TooMany);
        }
        let mut registrations = Self::of(rows.iter().map(pair));
        if rows.is_empty() {
            let answer = database.query(ARE_ROWS_HIDDEN, &[]).await?;
            let is_hidden = answer.first().map(|row| row.try_get(0)).transpose();
            registrations.may_be_hidden =
                is_hidden.map_err(DatabaseError::from)?.unwrap_or_default();
        }
        Ok(registrations)
    }

    /// What the rows say; `None` is a row that is of no use.
    fn of(rows: impl Iterator<Item = Option<(Box<str>, EventId)>>) -> Self {
        let mut registrations = Self::default();
        for row in rows {
            match row {
                Some(pair) => registrations.pairs.push(pair),
                None => registrations.skipped += 1,
            }
        }
        registrations.pairs.sort_unstable();
        registrations.pairs.dedup();
        registrations
    }

    /// True when both say the same, whatever was skipped.
    pub(super) fn are_those_of(&self, other: &Self) -> bool {
        self.pairs == other.pairs
    }

    /// For the engine.
    pub(super) fn rows(&self) -> Vec<Registration<'_>> {
        self.pairs
            .iter()
            .map(|(device_id, event)| Registration { device_id, event: *event })
            .collect()
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.pairs.len()
    }

    /// The devices, each one once, in order.
    pub(super) fn devices(&self) -> impl Iterator<Item = &str> {
        self.pairs.chunk_by(|a, b| a.0 == b.0).map(|of_one| &*of_one[0].0)
    }

    /// How many different events there are.
    pub(super) fn event_count(&self) -> usize {
        let mut events: Vec<EventId> = self.pairs.iter().map(|&(_, event)| event).collect();
        events.sort_unstable();
        events.dedup();
        events.len()
    }

    /// True when the device is registered somewhere.
    pub(super) fn knows(&self, device_id: &str) -> bool {
        self.pairs.binary_search_by(|(id, _)| (**id).cmp(device_id)).is_ok()
    }

    /// Devices with a registration that the earlier ones do not have.
    pub(super) fn newcomers<'a>(&'a self, earlier: &'a Self) -> impl Iterator<Item = &'a str> {
        let is_new = |pair: &&(Box<str>, EventId)| earlier.pairs.binary_search(pair).is_err();
        self.pairs.iter().filter(is_new).map(|(device_id, _)| &**device_id)
    }
}

fn pair(row: &Row) -> Option<(Box<str>, EventId)> {
    let device_id: Option<&str> = row.try_get(0).ok()?;
    let event: Option<&str> = row.try_get(1).ok()?;
    let device_id = device_id.filter(|id| !id.is_empty())?;
    Some((device_id.into(), EventId::parse(event?.as_bytes())?))
}

#[cfg(test)]
mod tests {
    use engine::id::EventId;

    use super::Registrations;

    fn of(pairs: &[(&str, u128)]) -> Registrations {
        Registrations::of(pairs.iter().map(|&(id, event)| Some((id.into(), EventId(event)))))
    }

    #[test]
    fn a_device_with_a_further_registration_is_a_newcomer_and_the_others_are_not() {
        let earlier = of(&[("b", 1), ("a", 1), ("a", 1)]);
        let later = of(&[("a", 1), ("a", 2), ("c", 1), ("c", 2)]);
        assert_eq!(later.newcomers(&earlier).collect::<Vec<_>>(), ["a", "c", "c"]);
        assert_eq!(earlier.newcomers(&later).collect::<Vec<_>>(), ["b"]);
        assert_eq!(later.devices().collect::<Vec<_>>(), ["a", "c"]);
        assert!(later.knows("c") && !later.knows("b") && !earlier.are_those_of(&later));
        assert_eq!((earlier.count(), later.event_count()), (2, 2));
    }
}
