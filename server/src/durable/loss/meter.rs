//! Reckons from samples of a stream and its group how much waits, how much was lost, and for how long
//! the rest is safe: exactly, or not at all.
//!
//! What Redis says of itself cannot be taken as it is. Its `lag` counts what was trimmed for ever.
//! Its `entries-read` stands still over a restart from an append-only file and on a promoted replica,
//! with or without saying so; `XDEL` of an entry that was not delivered makes it unknown and later
//! moves it past what was lost; and newer versions move it past that at once. So only its growth
//! between two samples is used, and only where nothing of that can have happened between them.

use std::collections::VecDeque;

use engine::rows::EntryId;

use super::mark::Mark;

/// Over how long trimming is averaged.
const WINDOW_MS: u64 = 60_000;

/// Most samples of the window, one every two seconds and some more: 16 bytes each.
const WINDOW_SAMPLES_MAX: usize = 64;

/// What Redis says at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Which life of Redis; empty when it does not say.
    pub run: String,
    /// True when each delivery raises `entries-read` by one whatever was trimmed before: version 7.0.
    pub counts_deliveries: bool,
    /// The stream, if there is one.
    pub stream: Option<Extent>,
    /// The group, if there is one.
    pub group: Option<Group>,
    /// The mark that was found in Redis.
    pub mark: Option<Mark>,
    /// Entries that are still to be delivered, if they were counted one by one.
    pub counted: Option<u64>,
}

/// The stream in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Entries ever added; nothing before version 7.
    pub added: Option<u64>,
    /// Entries in it.
    pub length: u64,
    /// The newest id it has ever had.
    pub last: EntryId,
    /// The oldest entry in it.
    pub head: Option<EntryId>,
    /// The newest entry that was deleted by `XDEL`; trimming does not count.
    pub deleted: EntryId,
}

/// The group in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The entry that was delivered last.
    pub delivered: EntryId,
    /// `entries-read`, when Redis knows it.
    pub read: Option<u64>,
    /// Entries delivered and not acknowledged.
    pub pending: u64,
}

/// What follows from a sample and those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Entries in the stream.
    pub length: u64,
    /// Entries in the stream that were not delivered yet.
    pub undelivered: Option<u64>,
    /// Entries trimmed before they were delivered, since they are counted: since the group was
    /// created by us, or first sampled, or since the last gap.
    pub lost: Option<u64>,
    /// How often entries may have been lost and their number cannot be told: each begins the count
    /// anew.
    pub gaps: Option<u64>,
    /// Entries delivered and not acknowledged.
    pub pending: Option<u64>,
    /// After so long entries that nobody has acknowledged would be trimmed, if nothing was read any
    /// more and trimming went on as in the last minute; nothing when nothing was trimmed then.
    pub time_to_trim_ms: Option<u64>,
}

/// Compares samples.
#[derive(Debug, Default)]
pub struct Meter {
    mark: Option<Mark>,
    /// When, and how many entries had been removed by then; the oldest first.
    window: VecDeque<(u64, u64)>,
}

/// What a sample and the mark before it have to do with each other.
#[derive(Clone, Copy)]
struct Link {
    /// Nothing was trimmed since that had not been delivered by then.
    is_nothing_lost: bool,
    /// What the residual has grown by since is what was lost since.
    is_residual_kept: bool,
}

impl Meter {
    /// One that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What has to be remembered in Redis.
    #[must_use]
    pub const fn mark(&self) -> Option<&Mark> {
        self.mark.as_ref()
    }

    /// True when the entries still to be delivered have to be counted one by one for anything to be
    /// known of them.
    #[must_use]
    pub fn needs_count(&self, sample: &Sample) -> bool {
        let (Some(stream), Some(group)) = (&sample.stream, &sample.group) else { return false };
        let mark = sample.mark.as_ref().or(self.mark.as_ref());
        visible(stream, group).or_else(|| reckoned(sample, stream, group, mark?)).is_none()
    }

    /// Takes a sample in. Milliseconds count from anywhere and never go back.
    pub fn sample(&mut self, now_ms: u64, sample: &Sample) -> Reading {
        let (Some(stream), Some(group)) = (sample.stream, sample.group) else {
            *self = Self::new();
            return Reading::default();
        };
        if sample.mark.is_some() {
            self.mark.clone_from(&sample.mark);
        }
        let known = visible(&stream, &group).or(sample.counted);
        let undelivered = known.or_else(|| reckoned(sample, &stream, &group, self.mark.as_ref()?));
        let lost = self.lost(sample, &stream, &group, undelivered);
        let mut reading = Reading {
            length: stream.length,
            undelivered,
            lost,
            gaps: self.mark.as_ref().map(|mark| mark.gaps),
            pending: Some(group.pending),
            time_to_trim_ms: None,
        };
        let removed = stream.removed();
        reading.time_to_trim_ms = removed.and_then(|it| self.time_to_trim(now_ms, it, &reading));
        reading
    }

    /// How much was lost so far; remembers what the next sample will be compared with.
    fn lost(
        &mut self,
        sample: &Sample,
        stream: &Extent,
        group: &Group,
        undelivered: Option<u64>,
    ) -> Option<u64> {
        let (added, removed) = (stream.added?, stream.removed()?);
        let residual = undelivered.and_then(|count| residual(added, group.read?, count));
        let next = |lost, gaps| Mark {
            run: sample.run.clone(),
            added,
            removed,
            delivered: group.delivered,
            lost,
            residual,
            gaps,
        };
        let Some(mark) = &self.mark else {
            self.mark = Some(next(0, 0));
            return Some(0);
        };
        let link = link(sample, stream, group, mark);
        if link.is_nothing_lost {
            let lost = mark.lost;
            self.mark = Some(next(lost, mark.gaps));
            return Some(lost);
        }
        if let (true, Some(before)) = (link.is_residual_kept, mark.residual) {
            // It will be known as soon as it is known what waits: until then the mark stays.
            undelivered?;
            if let Some(more) = residual.and_then(|now| now.checked_sub(before)) {
                let lost = mark.lost + more;
                self.mark = Some(next(lost, mark.gaps));
                return Some(lost);
            }
        }
        self.mark = Some(next(0, mark.gaps + 1));
        None
    }

    fn time_to_trim(&mut self, now_ms: u64, removed: u64, reading: &Reading) -> Option<u64> {
        if self.window.back().is_some_and(|&(_, before)| before > removed) {
            self.window.clear();
        }
        let is_old = |&(then_ms, _): &(u64, u64)| then_ms + WINDOW_MS < now_ms;
        while self.window.len() == WINDOW_SAMPLES_MAX || self.window.front().is_some_and(is_old) {
            self.window.pop_front();
        }
        self.window.push_back((now_ms, removed));
        let &(then_ms, before) = self.window.front()?;
        let in_use = reading.undelivered?.saturating_add(reading.pending?);
        let free = u128::from(reading.length.saturating_sub(in_use));
        let time_ms = free * u128::from(now_ms - then_ms);
        let time_ms = time_ms.checked_div(u128::from(removed - before))?;
        Some(u64::try_from(time_ms).unwrap_or(u64::MAX))
    }
}

impl Extent {
    /// Entries that were added and are not in the stream any more.
    pub(super) fn removed(&self) -> Option<u64> {
        self.added?.checked_sub(self.length)
    }
}

/// What is still to be delivered, where that can be seen: nothing of the stream, or all of it.
fn visible(stream: &Extent, group: &Group) -> Option<u64> {
    match stream.head {
        _ if group.delivered >= stream.last => Some(0),
        None => Some(0),
        Some(head) if head > group.delivered => Some(stream.length),
        Some(_) => None,
    }
}

/// What is still to be delivered, where nothing was lost since the mark.
fn reckoned(sample: &Sample, stream: &Extent, group: &Group, mark: &Mark) -> Option<u64> {
    let link = link(sample, stream, group, mark);
    let is_known = link.is_nothing_lost && link.is_residual_kept;
    residual(stream.added?, group.read?, mark.residual?).filter(|_| is_known)
}

/// What is left of the added entries. The one that is asked for and the one that is given change
/// places: added = read + undelivered + residual.
fn residual(added: u64, read: u64, other: u64) -> Option<u64> {
    added.checked_sub(read)?.checked_sub(other)
}

fn link(sample: &Sample, stream: &Extent, group: &Group, mark: &Mark) -> Link {
    let (Some(added), Some(removed)) = (stream.added, stream.removed()) else {
        return Link { is_nothing_lost: false, is_residual_kept: false };
    };
    let is_same_stream = added >= mark.added && removed >= mark.removed;
    // Trimming begins at the head: while an entry that had been delivered is still there, no other
    // was trimmed.
    let was_delivered = mark.delivered.min(group.delivered);
    let is_head_kept = stream.head.is_some_and(|head| head <= was_delivered);
    let is_same_run = !sample.run.is_empty() && sample.run == mark.run;
    let has_plain_count =
        sample.counts_deliveries || is_head_kept || group.delivered == mark.delivered;
    Link {
        is_nothing_lost: is_head_kept || (is_same_stream && removed == mark.removed),
        is_residual_kept: is_same_stream
            && is_same_run
            && has_plain_count
            && group.delivered >= mark.delivered
            && stream.deleted <= mark.delivered,
    }
}

#[cfg(test)]
mod tests;
