//! The two texts a viewer gives us to echo, held inline so that a waiting request owns no memory.

use std::fmt;

use crate::id::{EVENT_ID_TEXT_BYTES, EventId};
use crate::limits::{REQUEST_ID_BYTES_MAX, TOPIC_BYTES_MAX};

const SHORT_TEXT_BYTES_MAX: usize = 64;
const _: () = assert!(TOPIC_BYTES_MAX == SHORT_TEXT_BYTES_MAX);
const _: () = assert!(REQUEST_ID_BYTES_MAX == SHORT_TEXT_BYTES_MAX);

/// What every topic of v1 begins with.
pub(super) const TOPIC_PREFIX: &str = "event:";
const _: () = assert!(TOPIC_PREFIX.len() + EVENT_ID_TEXT_BYTES <= TOPIC_BYTES_MAX);

/// A text of at most 64 bytes.
#[derive(Clone, Copy)]
pub struct ShortText {
    bytes: [u8; SHORT_TEXT_BYTES_MAX],
    length: u8,
}

impl ShortText {
    /// The text, unless it is too long.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut short = Self::empty();
        short.push(text.as_bytes()).then_some(short)
    }

    pub(super) const fn empty() -> Self {
        Self { bytes: [0; SHORT_TEXT_BYTES_MAX], length: 0 }
    }

    /// Appends bytes that end a character sooner or later; false, and no change, when they do not
    /// fit.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let from = usize::from(self.length);
        let Some(free) = self.bytes.get_mut(from..from + bytes.len()) else { return false };
        free.copy_from_slice(bytes);
        self.length = u8::try_from(from + bytes.len()).expect("at most 64");
        true
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = &self.bytes[..usize::from(self.length)];
        std::str::from_utf8(bytes).expect("only whole characters were put in")
    }
}

impl PartialEq for ShortText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ShortText {}

impl fmt::Debug for ShortText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

/// What a client calls its request. The reply has it exactly when the request had it; the empty text
/// is one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub ShortText);

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// `event:<uuid>`, the only topic of v1.
    Event(EventId),
    /// Any other text: nothing to subscribe to, but it is echoed.
    Unknown(ShortText),
}

impl Topic {
    pub(super) fn parse(text: ShortText) -> Self {
        let uuid = text.as_str().strip_prefix(TOPIC_PREFIX);
        uuid.and_then(|uuid| EventId::parse(uuid.as_bytes()))
            .map_or(Self::Unknown(text), Self::Event)
    }
}

#[cfg(test)]
mod tests {
    use super::ShortText;

    #[test]
    fn text_is_short_up_to_64_bytes() {
        let longest = "a".repeat(64);
        assert_eq!(ShortText::new(&longest).expect("fits").as_str(), longest);
        assert_eq!(ShortText::new(&"a".repeat(65)), None);
        assert_eq!(ShortText::new(&"ä".repeat(33)), None);
        assert_eq!(ShortText::new("").expect("fits").as_str(), "");
    }
}
