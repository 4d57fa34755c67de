//! Entries that a dead consumer has left: when they are looked for, and what Redis answers.

use std::time::Duration;

use engine::rows::EntryId;
use tokio::time::Instant;

use crate::stream::{Cursor, Entries, Malformed};

/// Between two rounds, at most.
const ROUND_MAX: Duration = Duration::from_secs(15);

/// The rounds through what is pending for others.
#[derive(Debug)]
pub(super) struct Claims {
    threshold: Duration,
    due: Instant,
    /// Where the round goes on.
    from: EntryId,
}

/// What a look has brought.
#[derive(Debug)]
pub(super) struct Claimed<'a> {
    /// Where to look next; the beginning when the round is over.
    pub(super) next: EntryId,
    /// Entries that are ours now.
    pub(super) entries: Entries<'a>,
    /// Entries that were trimmed away while they were pending: Redis has forgotten them.
    pub(super) lost: usize,
}

impl Claims {
    /// Entries are left when they have rested that long. The first look is due at once.
    pub(super) fn new(threshold_ms: u64) -> Self {
        let threshold = Duration::from_millis(threshold_ms);
        Self { threshold, due: Instant::now(), from: EntryId::default() }
    }

    /// True when it is time to look. Not while entries of our own have been in flight for long: they
    /// would be found resting.
    pub(super) fn is_due(&self, oldest: Option<Instant>) -> bool {
        Instant::now() >= self.due
            && oldest.is_none_or(|oldest| oldest.elapsed() < self.threshold / 2)
    }

    /// The command that looks.
    pub(super) fn command(
        &self,
        stream: &str,
        group: &str,
        consumer: &str,
        count: usize,
    ) -> Vec<u8> {
        let threshold_ms = u64::try_from(self.threshold.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("XAUTOCLAIM");
        command.arg(stream).arg(group).arg(consumer).arg(threshold_ms);
        command.arg(self.from.to_string()).arg("COUNT").arg(count);
        command.get_packed_command()
    }

    /// A look has come so far.
    pub(super) fn went_on(&mut self, next: EntryId) {
        self.from = next;
        if next == EntryId::default() {
            self.due = Instant::now() + (self.threshold / 4).min(ROUND_MAX);
        }
    }
}

/// Reads the answer.
///
/// # Errors
/// When it has another shape.
pub(super) fn read(mut reply: Cursor<'_>) -> Result<Claimed<'_>, Malformed> {
    // Redis before 7 does not say what was trimmed.
    let Some(parts @ 2..=3) = reply.array()? else { return Err(Malformed::Unexpected) };
    let next = reply.text()?.and_then(EntryId::parse).ok_or(Malformed::Unexpected)?;
    let entries = Entries::of_list(reply)?;
    reply.skip()?;
    let lost = if parts == 3 { reply.array()?.unwrap_or(0) } else { 0 };
    Ok(Claimed { next, entries, lost })
}
