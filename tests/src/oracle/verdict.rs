//! What an oracle has found, in figures and in words.

use std::collections::BTreeMap;
use std::fmt;

/// Something that must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wrong {
    /// An entry was acknowledged, and there is neither its row nor its dead letter.
    AcknowledgedButLost,
    /// A second row of one device and time.
    StoredTwice,
    /// A row that nobody produced.
    RowOfNothing,
    /// A row of the right device and time whose values are no record's.
    ValuesChanged,
    /// A second dead letter of one entry.
    DeadLetterTwice,
    /// A dead letter of an entry that nobody produced.
    DeadLetterOfNothing,
    /// A dead letter that is not written as dead letters are, or whose fields are not its entry's.
    DeadLetterGarbled,
    /// A dead letter of a record that should have been stored.
    GoodDeadLettered,
    /// A row that is a dead-lettered record's own.
    StoredAndDeadLettered,
}

/// Examples told of each.
const EXAMPLES: usize = 5;

/// What has become of the records of a log.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Entries that exist or have existed.
    pub added: u64,
    /// Records that have become rows.
    pub stored: u64,
    /// Records whose device and time another record's row has.
    pub duplicates: u64,
    /// Records that are dead letters.
    pub dead_lettered: u64,
    /// Entries that are in the stream no more, and of which nothing else is left either.
    pub trimmed: u64,
    /// Entries that somebody has and has neither stored nor acknowledged.
    pub pending: u64,
    /// Entries that nobody was given and nobody has stored.
    pub undelivered: u64,
    /// Records that would exist if Redis had taken them, and of which there is no trace.
    pub absent: u64,
    /// Entries still to be acknowledged, whether they are stored or not.
    pub waiting: u64,
    /// `count(*)` of the table.
    pub rows: u64,
    /// `count(DISTINCT (device_id, ts))` of the table.
    pub rows_distinct: u64,
    /// Dead letters there are.
    pub letters: u64,
    /// Rows that are not the first of several records of one device and time. Right after a
    /// redelivery, but not when one writer was never disturbed.
    pub later_stands: u64,
    wrongs: BTreeMap<Wrong, (u64, Vec<String>)>,
}

impl Verdict {
    /// How often something is wrong in this way.
    #[must_use]
    pub fn count(&self, wrong: Wrong) -> u64 {
        self.wrongs.get(&wrong).map_or(0, |(count, _)| *count)
    }

    /// How often anything is wrong.
    #[must_use]
    pub fn wrong_count(&self) -> u64 {
        self.wrongs.values().map(|(count, _)| count).sum()
    }

    /// Acknowledged entries of which nothing is left.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.count(Wrong::AcknowledgedButLost)
    }

    /// Entries added beyond those accounted for: by rows and dead letters as they were counted, not
    /// as they were matched.
    #[must_use]
    pub fn residual(&self) -> i128 {
        let accounted = [
            self.rows,
            self.duplicates,
            self.letters,
            self.trimmed,
            self.pending,
            self.undelivered,
        ];
        i128::from(self.added) - accounted.into_iter().map(i128::from).sum::<i128>()
    }

    /// True when nothing is wrong but that so many entries were trimmed unread.
    #[must_use]
    pub fn is_clean_but_trimmed(&self, trimmed: u64) -> bool {
        self.wrong_count() == 0
            && self.rows == self.rows_distinct
            && self.residual() == 0
            && self.trimmed == trimmed
    }

    /// Passes when nothing is wrong, and nothing was trimmed; entries may still wait.
    ///
    /// # Panics
    /// With everything that is wrong; so do the functions below.
    pub fn assert_clean(&self) {
        self.assert_clean_but_trimmed(0);
    }

    /// Passes when nothing is wrong but that so many entries were trimmed unread.
    pub fn assert_clean_but_trimmed(&self, trimmed: u64) {
        assert!(self.is_clean_but_trimmed(trimmed), "{self}");
    }

    /// Passes when nothing is wrong, and every entry has been dealt with and acknowledged.
    pub fn assert_drained(&self) {
        self.assert_clean();
        assert!(self.waiting == 0, "{} entries still wait: {self}", self.waiting);
    }

    /// Adds what has become of the records of another log.
    pub fn join(&mut self, other: Self) {
        self.added += other.added;
        self.stored += other.stored;
        self.duplicates += other.duplicates;
        self.dead_lettered += other.dead_lettered;
        self.trimmed += other.trimmed;
        self.pending += other.pending;
        self.undelivered += other.undelivered;
        self.absent += other.absent;
        self.waiting += other.waiting;
        self.rows += other.rows;
        self.rows_distinct += other.rows_distinct;
        self.letters += other.letters;
        self.later_stands += other.later_stands;
        for (wrong, (count, examples)) in other.wrongs {
            let (counted, told) = self.wrongs.entry(wrong).or_default();
            *counted += count;
            let room = EXAMPLES.saturating_sub(told.len());
            told.extend(examples.into_iter().take(room));
        }
    }

    /// Notes that something is wrong.
    pub(super) fn add(&mut self, wrong: Wrong, what: impl FnOnce() -> String) {
        let (count, examples) = self.wrongs.entry(wrong).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(what());
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            added, stored, duplicates, dead_lettered, trimmed, pending, undelivered, ..
        } = self;
        write!(
            formatter,
            "{added} records: acknowledged-but-lost {}, duplicates {}, residual {} ({stored} \
             stored, {duplicates} duplicate, {dead_lettered} dead-lettered, {trimmed} trimmed, \
             {pending} pending, {undelivered} undelivered)",
            self.lost(),
            self.rows - self.rows_distinct,
            self.residual(),
        )?;
        for (wrong, (count, examples)) in &self.wrongs {
            write!(formatter, "\n{wrong:?} {count}: {}", examples.join("; "))?;
        }
        Ok(())
    }
}
