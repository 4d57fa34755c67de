//! One dead letter as it was found, whoever wrote it.

use engine::decode::{Decoder, EntryFields};
use engine::rows::EntryId;

use crate::durable::dead_letter::{
    AT, CODE, ENTRY, Fields, INSTANCE, LOST_FIELDS, RAW, RAW_REST, REASON, unpacked,
};
use crate::stream::{Control, Failure, Malformed};

/// The field of an entry that names its device.
const DEVICE: &[u8] = b"device_id";

/// A dead letter.
#[derive(Debug)]
pub(super) struct Letter {
    /// Its own id.
    pub(super) id: EntryId,
    /// What it says of itself.
    own: Fields,
    /// The fields of its entry.
    pub(super) fields: Fields,
    /// True when there are more of them than have a field of their own.
    pub(super) is_packed: bool,
}

impl Letter {
    fn of(id: EntryId, all: Fields) -> Self {
        let mut letter = Self { id, own: Vec::new(), fields: Vec::new(), is_packed: false };
        for (name, value) in all {
            if let Some(name) = name.strip_prefix(RAW) {
                letter.fields.push((name.to_vec(), value));
            } else if name == RAW_REST.as_bytes()
                && let Some(rest) = unpacked(&value)
            {
                letter.is_packed = true;
                letter.fields.extend(rest);
            } else {
                letter.own.push((name, value));
            }
        }
        letter
    }

    /// The id of its entry.
    pub(super) fn entry(&self) -> &[u8] {
        self.said(ENTRY)
    }

    /// Why it was written.
    pub(super) fn reason(&self) -> &[u8] {
        self.said(REASON)
    }

    /// The SQLSTATE, or that it cannot be decoded.
    pub(super) fn code(&self) -> &[u8] {
        self.said(CODE)
    }

    /// Who wrote it.
    pub(super) fn instance(&self) -> &[u8] {
        self.said(INSTANCE)
    }

    /// When, by the clock of who wrote it.
    pub(super) fn at(&self) -> &[u8] {
        self.said(AT)
    }

    /// True when the entry was trimmed before its fields were read: those here come from its row.
    pub(super) fn are_fields_lost(&self) -> bool {
        !self.said(LOST_FIELDS).is_empty()
    }

    /// The device of its entry.
    pub(super) fn device(&self) -> Option<&[u8]> {
        let field = self.fields.iter().find(|(name, _)| name == DEVICE);
        field.map(|(_, value)| value.as_slice())
    }

    /// What it says of itself beside what every letter says.
    pub(super) fn others(&self) -> impl Iterator<Item = &(Vec<u8>, Vec<u8>)> {
        let known = [ENTRY, REASON, CODE, INSTANCE, AT, LOST_FIELDS];
        self.own.iter().filter(move |(name, _)| known.iter().all(|it| it.as_bytes() != name))
    }

    /// True when its entry could be stored as far as we can tell; else why not.
    pub(super) fn decodes(&self) -> Result<(), String> {
        let pairs = self.fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        let entry = EntryFields::from_pairs(pairs).map_err(|error| error.to_string())?;
        Decoder::new().decode(&entry).map(drop).map_err(|error| error.to_string())
    }

    fn said(&self, name: &str) -> &[u8] {
        let field = self.own.iter().find(|(own, _)| own == name.as_bytes());
        field.map_or(&[], |(_, value)| value.as_slice())
    }
}

/// Some letters in their order, from one id to another, both as `XRANGE` takes them; the newest first
/// when `is_newest_first`, and then `from` is the newer one.
pub(super) async fn page(
    control: &mut Control,
    key: &str,
    (from, to): (&str, &str),
    is_newest_first: bool,
    count: u64,
) -> Result<Vec<Letter>, Failure> {
    let mut command = redis::cmd(if is_newest_first { "XREVRANGE" } else { "XRANGE" });
    command.arg(key).arg(from).arg(to).arg("COUNT").arg(count);
    let found: Vec<(Vec<u8>, Fields)> = control.call(&command).await?;
    found
        .into_iter()
        .map(|(id, fields)| {
            let id = EntryId::parse(&id).ok_or(Malformed::Unexpected)?;
            Ok(Letter::of(id, fields))
        })
        .collect()
}

/// The letter of this id, if there is one.
pub(super) async fn one(
    control: &mut Control,
    key: &str,
    id: EntryId,
) -> Result<Option<Letter>, Failure> {
    let id = id.to_string();
    Ok(page(control, key, (&id, &id), false, 1).await?.pop())
}
