//! The entries of a reply to `XREAD`, `XREADGROUP` and their like: ids and fields, in place.
//!
//! The first entry of another shape ends the walk with an error. Whoever walks decides nothing
//! before the walk is over: then half a reply is never acted upon.

use engine::rows::EntryId;

use super::cursor::Cursor;
use super::reply::Malformed;

/// Some entries of one stream.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    cursor: Cursor<'a>,
    left: usize,
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: EntryId,
    /// Its fields; nothing when it was trimmed away while it was pending.
    pub fields: Option<Pairs<'a>>,
}

/// Names and values of an entry's fields, known to be whole.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    cursor: Cursor<'a>,
    left: usize,
}

impl<'a> Entries<'a> {
    /// No entries.
    pub const NONE: Self = Self { cursor: Cursor::new(&[]), left: 0 };

    /// The entries of a read from one stream; none when it found nothing.
    ///
    /// # Errors
    /// When the reply has another shape.
    pub fn of_read(mut reply: Cursor<'a>) -> Result<Self, Malformed> {
        match reply.array()? {
            None => return Ok(Self::NONE),
            Some(1) => {}
            Some(_) => return Err(Malformed::Unexpected),
        }
        if reply.array()? != Some(2) {
            return Err(Malformed::Unexpected);
        }
        reply.text()?.ok_or(Malformed::Unexpected)?;
        Self::of_list(reply)
    }

    /// The entries of a list, as `XRANGE` gives it.
    ///
    /// # Errors
    /// When the reply has another shape.
    pub fn of_list(mut reply: Cursor<'a>) -> Result<Self, Malformed> {
        let left = reply.array()?.ok_or(Malformed::Unexpected)?;
        Ok(Self { cursor: reply, left })
    }

    /// How many are left.
    #[must_use]
    pub const fn count_left(&self) -> usize {
        self.left
    }

    fn entry(&mut self) -> Result<Entry<'a>, Malformed> {
        let id = next_id(&mut self.cursor)?;
        let Some(values) = self.cursor.array()? else { return Ok(Entry { id, fields: None }) };
        if !values.is_multiple_of(2) {
            return Err(Malformed::Unexpected);
        }
        let fields = Pairs { cursor: self.cursor, left: values / 2 };
        for _ in 0..values {
            self.cursor.text()?.ok_or(Malformed::Unexpected)?;
        }
        Ok(Entry { id, fields: Some(fields) })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.entry();
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut text = || self.cursor.text().ok().flatten();
        // Never fails: the entry was walked through when it was given out.
        Some((text()?, text()?))
    }
}

/// The id of the first entry of a read, also of one whose reply is not whole.
#[must_use]
pub fn first_id(mut reply: Cursor<'_>) -> Option<EntryId> {
    reply.array().ok()??;
    reply.array().ok()??;
    reply.text().ok()??;
    reply.array().ok()??;
    next_id(&mut reply).ok()
}

fn next_id(cursor: &mut Cursor<'_>) -> Result<EntryId, Malformed> {
    if cursor.array()? != Some(2) {
        return Err(Malformed::Unexpected);
    }
    cursor.text()?.and_then(EntryId::parse).ok_or(Malformed::Unexpected)
}
