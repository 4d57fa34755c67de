//! The flat fields of one stream entry, before anything inside them is read.
//!
//! Refuses entries without the four fields of the platform, with one of them twice, or with a codec
//! nobody knows. Ignores and counts fields it does not know.

use super::error::{DecodeError, EntryField};
use crate::limits::ENTRY_FIELDS_MAX;
use crate::position::Codec;

/// The four fields of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryFields<'a> {
    /// Who sent it, by the word of the stream; the payload's word counts.
    pub device_id: &'a [u8],
    /// When, by the word of the stream (`ts`); the payload's word counts.
    pub timestamp: &'a [u8],
    /// How the device wrote it. Only the entry says so.
    pub codec: Codec,
    /// The JSON text that is the truth.
    pub payload: &'a [u8],
    /// Fields that v1 does not know.
    pub unknown: u32,
}

impl<'a> EntryFields<'a> {
    /// Sorts the name and value pairs of an entry, which may come in any order.
    ///
    /// # Errors
    /// A field that is missing, repeated or one too many; an unknown codec.
    pub fn from_pairs<I>(pairs: I) -> Result<Self, DecodeError>
    where
        I: IntoIterator<Item = (&'a [u8], &'a [u8])>,
    {
        let mut found: [Option<&'a [u8]>; EntryField::ALL.len()] = [None; _];
        let mut unknown = 0;
        for (index, (name, value)) in pairs.into_iter().enumerate() {
            if index == ENTRY_FIELDS_MAX {
                return Err(DecodeError::EntryFieldsTooMany);
            }
            match EntryField::named(name) {
                None => unknown += 1,
                Some(field) => {
                    if found[field as usize].replace(value).is_some() {
                        return Err(DecodeError::EntryFieldRepeated(field));
                    }
                }
            }
        }
        let field = |field| found[field as usize].ok_or(DecodeError::EntryFieldMissing(field));
        Ok(Self {
            device_id: field(EntryField::DeviceId)?,
            timestamp: field(EntryField::Timestamp)?,
            codec: Codec::parse(field(EntryField::Codec)?).ok_or(DecodeError::CodecUnknown)?,
            payload: field(EntryField::Payload)?,
            unknown,
        })
    }

    /// Refuses texts that are no texts. Only needed when they differ from the payload's, which are.
    #[cold]
    pub(super) fn check_texts(&self) -> Result<(), DecodeError> {
        for (field, text) in
            [(EntryField::DeviceId, self.device_id), (EntryField::Timestamp, self.timestamp)]
        {
            if text.contains(&0) || std::str::from_utf8(text).is_err() {
                return Err(DecodeError::EntryFieldNotText(field));
            }
        }
        Ok(())
    }
}
