//! Walks through a reply in place: the caller says what must come next and gets it, borrowed.
//!
//! It never looks past what it was given, so it is safe on any bytes; on a fragment it refuses what
//! is not all there.

use super::reply::{Malformed, line, number};

/// A place in a reply.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The text of the error that comes next, if one does.
    #[must_use]
    pub fn error(&self) -> Option<&'a [u8]> {
        match self.bytes.get(self.at) {
            Some(b'-') => line(self.bytes, self.at + 1).ok().flatten(),
            _ => None,
        }
    }

    /// An array: how many values it has; nothing when it is nil. A nil text is a nil array, too:
    /// Redis writes the one for the other.
    ///
    /// # Errors
    /// When something else comes.
    #[inline]
    pub fn array(&mut self) -> Result<Option<usize>, Malformed> {
        match self.bytes.get(self.at) {
            Some(b'*') => Ok(usize::try_from(self.length()?).ok()),
            Some(b'$') => self.nil(),
            _ => Err(Malformed::Unexpected),
        }
    }

    /// A text; nothing when it is nil.
    ///
    /// # Errors
    /// When something else comes.
    #[inline]
    pub fn text(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        if self.bytes.get(self.at) != Some(&b'$') {
            return Err(Malformed::Unexpected);
        }
        let Ok(length) = usize::try_from(self.length()?) else { return Ok(None) };
        let end = self.at.checked_add(length).ok_or(Malformed::Unexpected)?;
        let text = self.bytes.get(self.at..end).ok_or(Malformed::Unexpected)?;
        self.at = end + 2;
        Ok(Some(text))
    }

    /// An integer.
    ///
    /// # Errors
    /// When something else comes.
    pub fn integer(&mut self) -> Result<i64, Malformed> {
        if self.bytes.get(self.at) != Some(&b':') {
            return Err(Malformed::Unexpected);
        }
        self.length()
    }

    /// Goes past one value, whatever it is and holds.
    ///
    /// # Errors
    /// When nothing, or half a value, comes.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        let mut left = 1_usize;
        while left > 0 {
            left -= 1;
            match self.bytes.get(self.at) {
                Some(b'*') => left = left.saturating_add(self.array()?.unwrap_or(0)),
                Some(b'$') => drop(self.text()?),
                Some(b':') => drop(self.length()?),
                Some(b'+' | b'-') => {
                    let text = line(self.bytes, self.at + 1)?.ok_or(Malformed::Unexpected)?;
                    self.at += 1 + text.len() + 2;
                }
                _ => return Err(Malformed::Unexpected),
            }
        }
        Ok(())
    }

    /// The number behind the type that comes next; afterwards the next line comes.
    #[inline]
    fn length(&mut self) -> Result<i64, Malformed> {
        let (length, next) = number(self.bytes, self.at + 1)?.ok_or(Malformed::Unexpected)?;
        self.at = next;
        Ok(length)
    }

    fn nil<T>(&mut self) -> Result<Option<T>, Malformed> {
        if self.length()? < 0 { Ok(None) } else { Err(Malformed::Unexpected) }
    }
}
