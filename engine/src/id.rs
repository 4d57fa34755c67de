//! The small integers by which the engine names things, one type each so that they cannot be mixed.

use std::fmt;

/// A device of the roster: its place in every table that is indexed by device.
///
/// The index of an IMEI does not change while the process lives, so a position decoded under one
/// roster is still routed rightly under the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceIndex(pub u32);

impl DeviceIndex {
    /// A device that no event knows: stored, never shown.
    pub const ORPHAN: Self = Self(u32::MAX);
}

/// An event of the roster. Like [`DeviceIndex`] it keeps its meaning from one roster to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventIndex(pub u32);

/// A device's place in one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotIndex(pub u32);

/// One thread's share of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardIndex(pub u8);

/// The number of an accepted position within its event: 1 is the first, 0 means "none yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// A viewer of one shard. The generation makes a late answer for a viewer who has left harmless:
/// the place may have been given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewerId {
    /// Place in the shard's table of viewers.
    pub index: u32,
    /// How often that place was given away before.
    pub generation: u32,
}

/// The uuid of an event, as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u128);

/// Length of the text form of an [`EventId`].
pub const EVENT_ID_TEXT_BYTES: usize = 36;

impl EventId {
    /// Reads the canonical text form: 36 bytes, lower case, dashes at 8, 13, 18 and 23.
    ///
    /// Only that form is accepted: a topic is echoed in every frame, and two spellings of one topic
    /// would make a client miss its own frames.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != EVENT_ID_TEXT_BYTES {
            return None;
        }
        let mut value = 0_u128;
        for (at, &byte) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return None,
            };
            value = value << 4 | u128::from(digit);
        }
        Some(Self(value))
    }

    /// The canonical text form.
    #[must_use]
    pub fn text(self) -> [u8; EVENT_ID_TEXT_BYTES] {
        let mut text = [b'-'; EVENT_ID_TEXT_BYTES];
        let mut shift = 128;
        for (at, byte) in text.iter_mut().enumerate() {
            if !matches!(at, 8 | 13 | 18 | 23) {
                shift -= 4;
                *byte = b"0123456789abcdef"[(self.0 >> shift & 15) as usize];
            }
        }
        text
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(std::str::from_utf8(&self.text()).expect("hexadecimal is ASCII"))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::EventId;

    fn check(text: &str, expected: Option<u128>) {
        assert_eq!(EventId::parse(text.as_bytes()).map(|id| id.0), expected, "{text}");
    }

    #[test]
    fn only_the_canonical_text_of_a_uuid_is_an_event_id() {
        check("00000000-0000-0000-0000-0000000000ff", Some(255));
        check("ffffffff-ffff-ffff-ffff-ffffffffffff", Some(u128::MAX));
        check("FFFFFFFF-ffff-ffff-ffff-ffffffffffff", None);
        check("ffffffffffffffffffffffffffffffffffff", None);
        check("{fffffff-ffff-ffff-ffff-ffffffffffff", None);
        check("fffffffff-fff-ffff-ffff-ffffffffffff", None);
        check("", None);
    }

    #[test]
    fn text_and_number_are_the_same_id() {
        let text = "6f1b1e8a-3c52-4e0e-9a41-0d7f5c1b2a3d";
        assert_eq!(EventId::parse(text.as_bytes()).expect("canonical").to_string(), text);
    }
}
