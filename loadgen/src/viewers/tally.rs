//! What a crowd of viewers has seen so far.

use std::collections::BTreeMap;

use crate::measure::{Percentiles, Share, Timings};

use super::sight::Findings;

/// Turns of the loop longer than this delay what is measured.
const TURN_US_MAX: u64 = 50_000;

/// A second with more waiting for a core than this delays what is measured.
const WAITED_PERCENT_MAX: u64 = 25;

/// What a crowd has seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Viewers who have not begun yet.
    pub waiting: u32,
    /// Viewers who have begun and have no snapshot yet.
    pub joining: u32,
    /// Viewers who watch; slow and stalled ones are among them.
    pub watching: u32,
    /// Slow viewers who watch.
    pub slow: u32,
    /// Stalled viewers who were let in.
    pub stalled: u32,
    /// Viewers whose every position is checked, so far.
    pub checked: u32,
    /// Viewers who were sent away, by close code; 1006 is an end without one.
    pub closes: BTreeMap<u16, u64>,
    /// Viewers who never got a snapshot, by the reason.
    pub refusals: BTreeMap<String, u64>,
    /// Bytes received by all.
    pub bytes: u64,
    /// Texts received by all.
    pub texts: u64,
    /// Positions that checked viewers got, snapshots not among them.
    pub positions: u64,
    /// Positions older than what the same viewer had of the same device. There must be none.
    pub order_violations: u64,
    /// The first of those in words.
    pub violations_told: Vec<String>,
    /// Texts that are none of the protocol's. There must be none.
    pub unreadable: u64,
    /// Replies that refused something, by code, at checked viewers.
    pub errors: BTreeMap<String, u64>,
    /// Times at which a brisk, checked viewer did not hear of a device for longer than asked for.
    pub gaps: u64,
    /// The longest of those times.
    pub longest_gap_ms: u64,
    /// How old positions are when brisk viewers get them, by the device's time.
    pub freshness: Percentiles,
    /// The same for slow viewers.
    pub slow_freshness: Percentiles,
    /// From the first packet to the snapshot.
    pub joined: Percentiles,
    /// How late viewers began, by the schedule.
    pub lateness: Percentiles,
    /// Turns of the loop: so long a viewer may wait for being read.
    pub turns: Percentiles,
    /// How much of its time the reading thread worked.
    pub busy: Share,
}

impl Snapshot {
    /// True when the reader and not the server may have bounded what was seen.
    #[must_use]
    pub const fn is_own_limit(&self) -> bool {
        self.busy.most_percent >= 95
            || self.busy.waited_percent > WAITED_PERCENT_MAX
            || self.turns.p99_us > TURN_US_MAX
    }

    /// Viewers who were sent away or never let in.
    #[must_use]
    pub fn gone(&self) -> u64 {
        self.closes.values().sum::<u64>() + self.refusals.values().sum::<u64>()
    }
}

/// The same with all times.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) counts: Snapshot,
    pub(super) findings: Findings,
    pub(super) freshness: Timings,
    pub(super) slow_freshness: Timings,
    pub(super) joined: Timings,
    pub(super) lateness: Timings,
    pub(super) turns: Timings,
}

impl Tally {
    pub(super) fn snapshot(&self) -> Snapshot {
        let found = &self.findings;
        Snapshot {
            positions: found.positions,
            order_violations: found.order_violations,
            violations_told: found.violations_told.clone(),
            unreadable: found.unreadable + self.counts.unreadable,
            errors: found.errors.iter().map(|(code, count)| (code.clone(), *count)).collect(),
            gaps: found.gaps,
            longest_gap_ms: found.longest_gap_ms,
            freshness: self.freshness.percentiles(),
            slow_freshness: self.slow_freshness.percentiles(),
            joined: self.joined.percentiles(),
            lateness: self.lateness.percentiles(),
            turns: self.turns.percentiles(),
            ..self.counts.clone()
        }
    }
}
