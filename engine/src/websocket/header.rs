//! Frame headers: those of viewers are checked byte by byte as they arrive, ours are written in the
//! fewest bytes.

use super::Failure;
use crate::limits::{CONTROL_PAYLOAD_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGE_FRAGMENTS_MAX};

/// Two fixed bytes, eight of length, four of mask.
pub(super) const HEADER_BYTES_MAX: usize = 14;

/// What a frame of a viewer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Continuation,
    Text,
    Close,
    Ping,
    Pong,
}

impl Kind {
    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The message a frame arrives in, if one is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenMessage {
    pub(super) bytes: usize,
    pub(super) fragments: u32,
}

/// A header that broke no rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) is_final: bool,
    pub(super) mask: [u8; 4],
    pub(super) payload_bytes: usize,
    pub(super) header_bytes: usize,
}

/// Reads the header at the start of `bytes`; `None` while it is not complete.
///
/// Each byte is judged as soon as it is there and never again differently, so the answer does not
/// depend on how the bytes were split over reads.
pub(super) fn parse(bytes: &[u8], open: Option<OpenMessage>) -> Result<Option<Header>, Failure> {
    let [first, rest @ ..] = bytes else { return Ok(None) };
    let is_final = first & 0x80 != 0;
    let kind = parse_kind(*first, open)?;
    let [second, rest @ ..] = rest else { return Ok(None) };
    if second & 0x80 == 0 {
        return Err(Failure::Unmasked);
    }
    let Some((payload_bytes, rest)) = parse_length(second & 0x7F, kind, rest)? else {
        return Ok(None);
    };
    let message_bytes = open.map_or(0, |message| message.bytes);
    if !kind.is_control() && message_bytes + payload_bytes > MESSAGE_BYTES_MAX {
        return Err(Failure::MessageTooLong);
    }
    let Some(&mask) = rest.first_chunk::<4>() else { return Ok(None) };
    let header_bytes = bytes.len() - rest.len() + mask.len();
    Ok(Some(Header { kind, is_final, mask, payload_bytes, header_bytes }))
}

fn parse_kind(first: u8, open: Option<OpenMessage>) -> Result<Kind, Failure> {
    if first & 0x70 != 0 {
        return Err(Failure::ReservedBit);
    }
    let kind = match first & 0x0F {
        0x0 => Kind::Continuation,
        0x1 => Kind::Text,
        // Binary inside a message breaks the framing before it breaks the contract.
        0x2 if open.is_some() => return Err(Failure::MessageInsideMessage),
        0x2 => return Err(Failure::Binary),
        0x8 => Kind::Close,
        0x9 => Kind::Ping,
        0xA => Kind::Pong,
        _ => return Err(Failure::ReservedOpcode),
    };
    match (kind, open) {
        (Kind::Text, Some(_)) => Err(Failure::MessageInsideMessage),
        (Kind::Continuation, None) => Err(Failure::ContinuationWithoutStart),
        (Kind::Continuation, Some(message)) if message.fragments >= MESSAGE_FRAGMENTS_MAX => {
            Err(Failure::TooManyFragments)
        }
        (Kind::Close | Kind::Ping | Kind::Pong, _) if first & 0x80 == 0 => {
            Err(Failure::ControlFragmented)
        }
        _ => Ok(kind),
    }
}

/// The payload's length and what stands behind it. Lengths beyond any message are cut to one that is
/// too long all the same.
fn parse_length(short: u8, kind: Kind, rest: &[u8]) -> Result<Option<(usize, &[u8])>, Failure> {
    if kind.is_control() && usize::from(short) > CONTROL_PAYLOAD_BYTES_MAX {
        return Err(Failure::ControlTooLong);
    }
    match short {
        126 => {
            let Some((&length, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
            match u16::from_be_bytes(length) {
                0..=125 => Err(Failure::LengthNotMinimal),
                length => Ok(Some((usize::from(length), rest))),
            }
        }
        127 => {
            let Some((&length, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
            match u64::from_be_bytes(length) {
                0..=0xFFFF => Err(Failure::LengthNotMinimal),
                0x8000_0000_0000_0000.. => Err(Failure::LengthTopBit),
                _ => Ok(Some((MESSAGE_BYTES_MAX + 1, rest))),
            }
        }
        _ => Ok(Some((usize::from(short), rest))),
    }
}

/// Longest header of a frame we send: two fixed bytes and eight of length, no mask.
pub const TEXT_HEADER_BYTES_MAX: usize = 10;

/// The header of a text frame we send, held inline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextHeader {
    bytes: [u8; TEXT_HEADER_BYTES_MAX],
    length: u8,
}

impl TextHeader {
    /// The bytes to send before the payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// The header of a whole, unmasked text frame, its length in the fewest bytes.
#[must_use]
pub fn text_header(payload_bytes: usize) -> TextHeader {
    let mut bytes = [0; TEXT_HEADER_BYTES_MAX];
    bytes[0] = 0x81;
    let length = if let Ok(short @ 0..=125) = u8::try_from(payload_bytes) {
        bytes[1] = short;
        2
    } else if let Ok(medium) = u16::try_from(payload_bytes) {
        bytes[1] = 126;
        bytes[2..4].copy_from_slice(&medium.to_be_bytes());
        4
    } else {
        bytes[1] = 127;
        bytes[2..].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
        10
    };
    TextHeader { bytes, length }
}

#[cfg(test)]
mod tests {
    use super::text_header;

    fn check(payload_bytes: usize, expected: &[u8]) {
        assert_eq!(text_header(payload_bytes).as_bytes(), expected, "{payload_bytes}");
    }

    #[test]
    fn length_is_written_in_the_fewest_bytes() {
        check(0, &[0x81, 0]);
        check(125, &[0x81, 125]);
        check(126, &[0x81, 126, 0, 126]);
        check(65_535, &[0x81, 126, 0xFF, 0xFF]);
        check(65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
