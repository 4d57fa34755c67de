//! Turns the fields of one stream entry into a [`Position`], or says in one small error why not.
//!
//! There is one decision for both planes: what is accepted here can be shown to viewers and stored
//! in PostgreSQL, what is refused here is neither. The `payload` field is the truth; the fields
//! beside it only have to be there, and a disagreement is counted.
//!
//! Two readers stand behind one door. `fast` knows the text the platform writes, in whatever order
//! and spacing, and never allocates; whatever surprises it goes to `general`, which knows all of JSON
//! and is the only one that words an error. What both accept, both read alike.

mod attributes;
mod entry;
mod error;
mod fast;
mod general;
mod number;
mod plain;
mod scan;
mod tally;
mod timestamp;

pub use attributes::write_for_database;
pub use entry::EntryFields;
pub use error::{DecodeError, EntryField, Field, JsonFault, TimestampFault};
pub use tally::Tally;

use crate::position::{Codec, Position};
use general::Scratch;
use tally::Notes;

/// Reads entries, one after the other, and keeps count of what it forgave.
///
/// Reusable and without heap: it owns only the room into which an escaped text is unescaped.
#[derive(Debug, Default)]
pub struct Decoder {
    scratch: Scratch,
    tally: Tally,
}

/// What one entry said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decoded<'a> {
    /// IMEI, exactly as the device gave it: 1 to [`crate::limits::DEVICE_ID_BYTES_MAX`] bytes
    /// without NUL.
    pub device_id: &'a str,
    /// The fix. Its device is [`crate::id::DeviceIndex::ORPHAN`]: the roster names it later.
    pub position: Position,
    /// The attributes: a JSON object, validated, as it stands in the payload. The database gets it
    /// through [`write_for_database`].
    pub attributes: &'a [u8],
}

impl Decoder {
    /// A decoder that has counted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was forgiven in all entries accepted so far. Refusals are not in it: whoever gets the
    /// error has to act on it and counts it there.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Decodes one entry.
    ///
    /// # Errors
    /// The first thing that keeps the entry from being shown or stored.
    pub fn decode<'a>(&'a mut self, entry: &EntryFields<'a>) -> Result<Decoded<'a>, DecodeError> {
        let read = read(entry.payload, entry.codec, &mut self.scratch)?;
        let mismatch = read.decoded.device_id.as_bytes() != entry.device_id
            || read.timestamp_text != entry.timestamp;
        if mismatch {
            entry.check_texts()?;
        }
        self.tally.count(&read.notes);
        self.tally.entry_mismatch += u64::from(mismatch);
        self.tally.unknown_fields += u64::from(entry.unknown);
        Ok(read.decoded)
    }

    /// Decodes a payload that did not come out of an entry.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_payload<'a>(
        &'a mut self,
        payload: &'a [u8],
        codec: Codec,
    ) -> Result<Decoded<'a>, DecodeError> {
        let read = read(payload, codec, &mut self.scratch)?;
        self.tally.count(&read.notes);
        Ok(read.decoded)
    }

    /// Decodes a payload without trying the fast reader. Same answer, slower: for whoever wants to
    /// measure or check the one against the other.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_payload_general<'a>(
        &'a mut self,
        payload: &'a [u8],
        codec: Codec,
    ) -> Result<Decoded<'a>, DecodeError> {
        let read = general::read(payload, codec, &mut self.scratch)?;
        self.tally.count(&read.notes);
        Ok(read.decoded)
    }
}

/// Reads a moment as payloads have it: `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)`, in epoch
/// milliseconds.
///
/// # Errors
/// What keeps the text from naming one millisecond.
pub fn moment_ms(text: &[u8]) -> Result<i64, TimestampFault> {
    timestamp::read(text)
}

/// What a reader found in a payload, beside what the caller gets.
struct Read<'a> {
    decoded: Decoded<'a>,
    /// Compared with the `ts` field of the entry.
    timestamp_text: &'a [u8],
    notes: Notes,
}

#[inline]
fn read<'a>(
    payload: &'a [u8],
    codec: Codec,
    scratch: &'a mut Scratch,
) -> Result<Read<'a>, DecodeError> {
    match fast::read(payload, codec) {
        Some(read) => Ok(read),
        None => general::read(payload, codec, scratch),
    }
}
