//! What the meter remembers from one sample to the next, kept in Redis beside the stream.
//!
//! There it goes the way of the stream: a Redis that comes back with an older state comes back with
//! the older mark, and a process that starts anew goes on counting where another one stopped.

use std::fmt;

use engine::rows::EntryId;

/// What the last sample knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The life of Redis it was taken in; empty when Redis does not say.
    pub run: String,
    /// Entries ever added to the stream.
    pub added: u64,
    /// Of them, those that were not in it any more.
    pub removed: u64,
    /// The entry that was delivered last.
    pub delivered: EntryId,
    /// Entries lost to trimming, counted so far.
    pub lost: u64,
    /// Entries that Redis counted neither as read nor had to deliver; nothing when it was not known.
    /// Only the growth of it has a meaning.
    pub residual: Option<u64>,
    /// How often entries may have been lost and their number cannot be told.
    pub gaps: u64,
}

/// What is written for a number that is not known.
const UNKNOWN: &str = "-";

/// How many words a mark has.
const WORDS: usize = 7;

impl Mark {
    /// The key of the mark of a group.
    #[must_use]
    pub fn key(stream: &str, group: &str) -> String {
        format!("pitwall:loss:{stream}:{group}")
    }

    /// Reads what [`fmt::Display`] has written; nothing when it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let words: [&str; WORDS] = text.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let [run, added, removed, delivered, lost, residual, gaps] = words;
        Some(Self {
            run: run.strip_prefix("run:")?.to_owned(),
            added: added.parse().ok()?,
            removed: removed.parse().ok()?,
            delivered: EntryId::parse(delivered.as_bytes())?,
            lost: lost.parse().ok()?,
            residual: if residual == UNKNOWN { None } else { Some(residual.parse().ok()?) },
            gaps: gaps.parse().ok()?,
        })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, added, removed, delivered, lost, residual, gaps } = self;
        let residual = residual.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
        write!(formatter, "run:{run} {added} {removed} {delivered} {lost} {residual} {gaps}")
    }
}

#[cfg(test)]
mod tests {
    use engine::rows::EntryId;

    use super::Mark;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_nothing_else_is_one() {
        let mut mark = Mark {
            run: "a1".to_owned(),
            added: 100,
            removed: 20,
            delivered: EntryId { ms: u64::MAX, sequence: 3 },
            lost: 7,
            residual: Some(9),
            gaps: 1,
        };
        assert_eq!(mark.to_string(), "run:a1 100 20 18446744073709551615-3 7 9 1");
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark.clone()));
        (mark.run, mark.residual) = (String::new(), None);
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        for text in [
            "",
            "run:a 1 2 3-0 4 5",
            "run:a 1 2 3-0 4 5 6 7",
            "a 1 2 3-0 4 5 6",
            "run:a x 2 3-0 4 5 6",
        ] {
            assert_eq!(Mark::parse(text), None, "{text}");
        }
    }
}
