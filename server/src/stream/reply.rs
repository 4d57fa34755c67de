//! Finds out where a reply of Redis ends: RESP2, out of one buffer, without a copy.
//!
//! Nothing is given out before all of a reply is there, so half a reply is never acted upon. What a
//! length claims is checked against a bound before it is believed, and no memory is taken for it:
//! the buffer grows with what has arrived. A reply that comes in pieces is not read again from its
//! start: [`ReplyReader`] remembers how far it has come.

use std::fmt;

use super::cursor::Cursor;

/// Longest reply. The largest read asks for 10,000 entries of some 400 bytes, 4 MB; sixteen times
/// that lets unusually long entries through. Costs as much memory while such a reply is read.
pub const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest single value. A payload is at most 64 KiB and refused beyond; 1 MiB lets the refusal be
/// the decoder's, which can say what was wrong.
pub const BULK_BYTES_MAX: usize = 1024 * 1024;

/// Longest status, error or length, with its type and line end. Bounds also how often a line that
/// arrives byte by byte is looked at.
pub const LINE_BYTES_MAX: usize = 4 * 1024;

/// Room made before each read from the connection: one system call's worth.
pub const ROOM_BYTES: usize = 64 * 1024;

/// A buffer that has grown beyond this for an unusual reply is given back after it.
pub const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most values of one reply: each takes at least three bytes on the wire.
const VALUES_MAX: usize = REPLY_BYTES_MAX / 3;

/// Why bytes are no reply of Redis, or none that is wanted. The connection is of no use then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A value begins with a byte that is no type of RESP2.
    TypeUnknown,
    /// A length or an integer is none.
    NumberInvalid,
    /// A value does not end where its length says.
    EndMissing,
    /// A line is longer than [`LINE_BYTES_MAX`].
    LineTooLong,
    /// A value is longer than [`BULK_BYTES_MAX`].
    BulkTooLong,
    /// The reply is longer than [`REPLY_BYTES_MAX`].
    ReplyTooLong,
    /// The reply is whole and is not what was asked for.
    Unexpected,
}

impl Malformed {
    /// True when the reply may be a good one that is only too long to be taken in.
    #[must_use]
    pub const fn is_too_long(self) -> bool {
        matches!(self, Self::BulkTooLong | Self::ReplyTooLong)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TypeUnknown => formatter.write_str("a value of the reply has no known type"),
            Self::NumberInvalid => formatter.write_str("a length in the reply is no number"),
            Self::EndMissing => formatter.write_str("a value of the reply has no end"),
            Self::LineTooLong => write!(formatter, "a line is longer than {LINE_BYTES_MAX} bytes"),
            Self::BulkTooLong => write!(formatter, "a value is longer than {BULK_BYTES_MAX} bytes"),
            Self::ReplyTooLong => {
                write!(formatter, "the reply is longer than {REPLY_BYTES_MAX} bytes")
            }
            Self::Unexpected => formatter.write_str("the reply is not what was asked for"),
        }
    }
}

impl std::error::Error for Malformed {}

/// Takes bytes in as they arrive and says when a reply is whole.
#[derive(Debug, Default)]
pub struct ReplyReader {
    /// The reply, and what has arrived behind it.
    buffer: Vec<u8>,
    /// Where the first value begins that is not known to be whole.
    at: usize,
    /// Values still to come before the reply is whole, less one.
    left: usize,
    is_whole: bool,
}

impl ReplyReader {
    /// A reader that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the next bytes are to be appended; there is room for [`ROOM_BYTES`].
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.buffer.reserve(ROOM_BYTES);
        &mut self.buffer
    }

    /// True when a whole reply is there.
    ///
    /// # Errors
    /// When the bytes are no reply, or pass a bound. The reader is of no use then.
    pub fn measure(&mut self) -> Result<bool, Malformed> {
        while !self.is_whole {
            match value(&self.buffer, self.at)? {
                None if self.buffer.len() > REPLY_BYTES_MAX => return Err(Malformed::ReplyTooLong),
                None => return Ok(false),
                Some((values, end)) => {
                    self.left += values;
                    if end > REPLY_BYTES_MAX || self.left > VALUES_MAX {
                        return Err(Malformed::ReplyTooLong);
                    }
                    self.at = end;
                    self.is_whole = self.left == 0;
                    self.left = self.left.saturating_sub(1);
                }
            }
        }
        Ok(true)
    }

    /// Gives up the reply, if there is a whole one, and takes the next so many together for one.
    ///
    /// # Panics
    /// When it is none, or half a reply is there already.
    pub fn expect(&mut self, replies: usize) {
        self.consume();
        assert!(self.at == 0 && replies > 0, "replies are counted before they are measured");
        self.left = replies - 1;
    }

    /// The reply.
    ///
    /// # Panics
    /// When [`Self::measure`] has not said that it is whole.
    #[must_use]
    pub fn reply(&self) -> Cursor<'_> {
        assert!(self.is_whole, "only a whole reply is looked at");
        Cursor::new(&self.buffer[..self.at])
    }

    /// What has arrived of a reply that will never be whole.
    #[must_use]
    pub fn fragment(&self) -> Cursor<'_> {
        Cursor::new(&self.buffer)
    }

    /// Gives the reply up, if there is a whole one; what has arrived behind it stays.
    pub fn consume(&mut self) {
        if !self.is_whole {
            return;
        }
        let kept = self.buffer.len() - self.at;
        self.buffer.copy_within(self.at.., 0);
        self.buffer.truncate(kept);
        if self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer.shrink_to(KEPT_BYTES_MAX);
        }
        (self.at, self.is_whole) = (0, false);
    }
}

/// The value that begins at `at`: how many values it says come inside it, and where they, or what
/// follows it, begin. Nothing when it is not all there.
#[inline]
fn value(bytes: &[u8], at: usize) -> Result<Option<(usize, usize)>, Malformed> {
    let Some(&kind) = bytes.get(at) else { return Ok(None) };
    match kind {
        b'$' => {
            let Some((length, start)) = number(bytes, at + 1)? else { return Ok(None) };
            let Ok(length) = usize::try_from(length) else { return nil(length, start) };
            if length > BULK_BYTES_MAX {
                return Err(Malformed::BulkTooLong);
            }
            let end = start + length;
            match bytes.get(end..end + 2) {
                None => Ok(None),
                Some(b"\r\n") => Ok(Some((0, end + 2))),
                Some(_) => Err(Malformed::EndMissing),
            }
        }
        b'*' => {
            let Some((length, start)) = number(bytes, at + 1)? else { return Ok(None) };
            let Ok(length) = usize::try_from(length) else { return nil(length, start) };
            if length > VALUES_MAX {
                return Err(Malformed::ReplyTooLong);
            }
            Ok(Some((length, start)))
        }
        b':' => Ok(number(bytes, at + 1)?.map(|(_, end)| (0, end))),
        b'+' | b'-' => Ok(line(bytes, at + 1)?.map(|text| (0, at + 1 + text.len() + 2))),
        _ => Err(Malformed::TypeUnknown),
    }
}

/// A length below zero: only −1 has a meaning.
fn nil(length: i64, end: usize) -> Result<Option<(usize, usize)>, Malformed> {
    if length == -1 { Ok(Some((0, end))) } else { Err(Malformed::NumberInvalid) }
}

/// The number of a line that begins at `at`, and where the next line begins.
#[inline]
pub(super) fn number(bytes: &[u8], at: usize) -> Result<Option<(i64, usize)>, Malformed> {
    let rest = bytes.get(at..).unwrap_or_default();
    let is_negative = rest.first() == Some(&b'-');
    let digits = &rest[usize::from(is_negative)..];
    let mut value: i64 = 0;
    for (count, &byte) in digits.iter().enumerate() {
        if byte == b'\r' {
            let end = at + usize::from(is_negative) + count + 2;
            return match digits.get(count + 1) {
                _ if count == 0 => Err(Malformed::NumberInvalid),
                None => Ok(None),
                Some(b'\n') => Ok(Some((if is_negative { -value } else { value }, end))),
                Some(_) => Err(Malformed::EndMissing),
            };
        }
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Malformed::NumberInvalid);
        }
        let next = value.checked_mul(10).and_then(|value| value.checked_add(digit.into()));
        value = next.ok_or(Malformed::NumberInvalid)?;
    }
    Ok(None)
}

/// The text of a line that begins at `at`, without its end.
pub(super) fn line(bytes: &[u8], at: usize) -> Result<Option<&[u8]>, Malformed> {
    let rest = bytes.get(at..).unwrap_or_default();
    let looked_at = &rest[..rest.len().min(LINE_BYTES_MAX)];
    match looked_at.iter().position(|&byte| byte == b'\r') {
        None if looked_at.len() == LINE_BYTES_MAX => Err(Malformed::LineTooLong),
        None => Ok(None),
        Some(end) => match rest.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some(&rest[..end])),
            Some(_) => Err(Malformed::EndMissing),
        },
    }
}

#[cfg(test)]
mod tests;
