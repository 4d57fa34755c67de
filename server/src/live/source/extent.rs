//! How much a stream is known to have held: by it, one that was deleted and begun anew is recognized.
//!
//! Ids alone do not always tell: the clock of a new primary may be behind, so that its entries count
//! through ids that were seen before the failover. How many entries were ever added tells it, where
//! Redis says so (version 7), until more have been added than ever were before.

use engine::rows::EntryId;

use crate::stream::{Cursor, Malformed};

/// What a stream has at least held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// The newest id it has ever had.
    pub(super) end: EntryId,
    /// Entries ever added; nothing when Redis does not count them.
    pub(super) added: Option<u64>,
}

impl Extent {
    /// What `XINFO STREAM` says.
    pub(super) fn of_stream(mut reply: Cursor<'_>) -> Result<Self, Malformed> {
        let values = reply.array()?.ok_or(Malformed::Unexpected)?;
        let mut end = None;
        let mut added = None;
        for _ in 0..values / 2 {
            match reply.text()? {
                Some(b"last-generated-id") => end = reply.text()?.and_then(EntryId::parse),
                Some(b"entries-added") => added = u64::try_from(reply.integer()?).ok(),
                _ => reply.skip()?,
            }
        }
        Ok(Self { end: end.ok_or(Malformed::Unexpected)?, added })
    }

    /// So many entries were read behind `before`, the last of them `last`. Those behind the end that
    /// was known have been added since; where some may not be, one is.
    pub(super) fn grow(&mut self, before: Option<EntryId>, last: EntryId, count: u64) {
        if last <= self.end {
            return;
        }
        let are_all_new = before.is_some_and(|before| before >= self.end);
        let new = if are_all_new { count } else { 1 };
        self.added = self.added.map(|added| added.saturating_add(new));
        self.end = last;
    }
}

#[cfg(test)]
mod tests {
    use engine::rows::EntryId;

    use super::Extent;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, sequence: 0 }
    }

    #[test]
    fn f3_what_was_read_counts_as_added_only_where_it_must_have_been() {
        let mut extent = Extent { end: id(10), added: Some(7) };
        let mut check = |before: u64, last: u64, count: u64, expected: u64| {
            extent.grow(Some(id(before)), id(last), count);
            assert_eq!(extent.added, Some(expected));
        };
        check(5, 9, 3, 7);
        check(9, 12, 4, 8);
        check(12, 20, 5, 13);
        check(20, 20, 0, 13);
        let mut unknown = Extent { end: id(1), added: None };
        unknown.grow(None, id(2), 1);
        assert_eq!(unknown, Extent { end: id(2), added: None });
    }
}
