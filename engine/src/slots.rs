//! The newest position of each device of one event: newer device time wins, once.
//!
//! Only the shard that owns the event has these. What viewers were sent never goes back: the
//! high-water mark of a slot stays even when its position is withdrawn.

use crate::id::SlotIndex;
use crate::position::Position;

/// What became of a position that was offered to a slot. It is stored in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Newer than everything before: shown.
    Accepted,
    /// Older than what was shown: a device empties its buffer.
    Late,
    /// Older than what viewers were sent, but newer than what is left to show since that was
    /// withdrawn: for snapshots only.
    Restored,
    /// The device time the slot already has: the first one stands, as in the database.
    Duplicate,
    /// Dated further ahead than the tolerance: it would freeze the dot.
    Future,
    /// No satellites and exactly (0, 0).
    WithoutFix,
}

/// How positions were judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerdictTally {
    /// See [`Verdict::Accepted`]; likewise the others.
    pub accepted: u64,
    /// See [`Verdict::Late`].
    pub late: u64,
    /// See [`Verdict::Restored`].
    pub restored: u64,
    /// See [`Verdict::Duplicate`].
    pub duplicate: u64,
    /// See [`Verdict::Future`].
    pub future: u64,
    /// See [`Verdict::WithoutFix`].
    pub without_fix: u64,
    /// For a slot that the roster has closed meanwhile, or an event of another shard.
    pub unseated: u64,
}

impl VerdictTally {
    /// Counts one verdict.
    pub const fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Accepted => self.accepted += 1,
            Verdict::Late => self.late += 1,
            Verdict::Restored => self.restored += 1,
            Verdict::Duplicate => self.duplicate += 1,
            Verdict::Future => self.future += 1,
            Verdict::WithoutFix => self.without_fix += 1,
        }
    }

    /// Everything that was judged.
    #[must_use]
    pub const fn total(&self) -> u64 {
        let stored = self.late + self.restored + self.duplicate + self.future + self.without_fix;
        self.accepted + stored + self.unseated
    }
}

/// The device time below every device time.
const NEVER_MS: i64 = i64::MIN;

/// Parallel arrays by slot.
#[derive(Debug, Default)]
pub struct Slots {
    /// The newest device time ever accepted: the stream of this slot never falls below.
    high_water_ms: Vec<i64>,
    /// What a snapshot shows, if anything.
    shown: Vec<Option<Position>>,
    /// What is shown was streamed, and not put there after a withdrawal.
    is_streamed: Vec<bool>,
}

impl Slots {
    /// Makes room for at least `count` slots.
    pub fn grow(&mut self, count: usize) {
        if count > self.shown.len() {
            self.high_water_ms.resize(count, NEVER_MS);
            self.shown.resize(count, None);
            self.is_streamed.resize(count, false);
        }
    }

    /// Number of slots.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.shown.len()
    }

    /// What a snapshot shows for the slot.
    #[must_use]
    pub fn shown(&self, slot: SlotIndex) -> Option<&Position> {
        self.shown.get(slot.0 as usize)?.as_ref()
    }

    /// Judges a position and, if it wins, keeps it. `ceiling_ms` is the newest device time that is
    /// believed.
    pub fn offer(&mut self, slot: SlotIndex, position: &Position, ceiling_ms: i64) -> Verdict {
        let at = slot.0 as usize;
        let high_water_ms = self.high_water_ms[at];
        if position.timestamp_ms <= high_water_ms {
            return self.offer_late(at, position);
        }
        if position.timestamp_ms > ceiling_ms {
            return Verdict::Future;
        }
        if position.is_without_fix() {
            return Verdict::WithoutFix;
        }
        self.high_water_ms[at] = position.timestamp_ms;
        self.shown[at] = Some(*position);
        self.is_streamed[at] = true;
        Verdict::Accepted
    }

    /// Falls back to `good` if the slot still shows the fix of `faulty_ms`; says whether it did.
    ///
    /// A fallback is for snapshots only: the high-water mark stays, since viewers have seen it. To
    /// take a withdrawal back, offer the fix again: it is newer than what is left to show.
    pub fn withdraw(&mut self, slot: SlotIndex, faulty_ms: i64, good: Option<Position>) -> bool {
        let Some(shown) = self.shown.get_mut(slot.0 as usize) else { return false };
        let withdrawn = shown.as_ref().is_some_and(|shown| shown.timestamp_ms == faulty_ms);
        if withdrawn {
            let is_older = |good: &Position| good.timestamp_ms < faulty_ms;
            *shown = good.filter(|good| is_older(good) && !good.is_without_fix());
            self.is_streamed[slot.0 as usize] = false;
        }
        withdrawn
    }

    /// Makes the slot as new, for another device.
    pub fn reset(&mut self, slot: SlotIndex) {
        self.high_water_ms[slot.0 as usize] = NEVER_MS;
        self.shown[slot.0 as usize] = None;
        self.is_streamed[slot.0 as usize] = false;
    }

    /// A fix that viewers are past. It counts only where a withdrawal has left a gap below it.
    fn offer_late(&mut self, at: usize, position: &Position) -> Verdict {
        let shown = &mut self.shown[at];
        let shown_ms = shown.as_ref().map_or(NEVER_MS, |shown| shown.timestamp_ms);
        if position.timestamp_ms > shown_ms && !position.is_without_fix() {
            *shown = Some(*position);
            self.is_streamed[at] = false;
            return Verdict::Restored;
        }
        let is_known = position.timestamp_ms == self.high_water_ms[at];
        if is_known { Verdict::Duplicate } else { Verdict::Late }
    }

    /// True when viewers were sent what is shown; a fallback is for snapshots only.
    #[must_use]
    pub fn is_streamed(&self, slot: SlotIndex) -> bool {
        self.is_streamed[slot.0 as usize]
    }
}
