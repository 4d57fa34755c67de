//! What the devices of a firehose have done so far.

use crate::measure::{Percentiles, Share, Timings};

/// What is later than this has been delayed by the generator itself.
const LATE_US: u64 = 50_000;

/// What the devices have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Devices.
    pub devices: u32,
    /// Devices whose connection stands and was accepted.
    pub connected: u32,
    /// Connections that were begun.
    pub dials: u64,
    /// Handshakes that were answered with a refusal.
    pub refused: u64,
    /// Connections that were not made, or that the other side ended.
    pub broken: u64,
    /// Packets for which no answer came in time.
    pub unanswered: u64,
    /// Packets whose answer named another number of records than they have.
    pub misanswered: u64,
    /// Records that were due.
    pub due: u64,
    /// Records that were sent, each counted once.
    pub sent: u64,
    /// Records that were sent again.
    pub resent: u64,
    /// Records that were answered, and are safe by the server's word.
    pub answered: u64,
    /// Records that devices keep because they are not answered yet.
    pub kept: u64,
    /// Records that devices gave up because they kept too many.
    pub forgotten: u64,
    /// Records that the generator itself took up more than 50 ms after they were due.
    pub late: u64,
    /// From when a packet was due until the generator took it up.
    pub lateness: Percentiles,
    /// From when a packet was due until it was answered.
    pub answer: Percentiles,
    /// How much of its time the generator worked.
    pub busy: Share,
    /// True when the race is over and nothing is waited for any more.
    pub is_over: bool,
}

impl Counts {
    /// True when the generator and not the server bounds what was sent.
    #[must_use]
    pub fn is_own_limit(&self) -> bool {
        self.late * 100 > self.due || self.busy.most_percent >= 95
    }
}

/// The same with all times.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    lateness: Timings,
    answer: Timings,
}

impl Tally {
    pub(super) fn record_due(&mut self, records: u64, late_us: u64) {
        self.counts.due += records;
        self.counts.kept += records;
        self.lateness.record_us(late_us);
        if late_us > LATE_US {
            self.counts.late += records;
        }
    }

    pub(super) fn record_sent(&mut self, records: u64, is_again: bool) {
        if is_again {
            self.counts.resent += records;
        } else {
            self.counts.sent += records;
        }
    }

    pub(super) fn record_answered(&mut self, records: u64, after_us: u64) {
        self.counts.answered += records;
        self.counts.kept -= records;
        self.answer.record_us(after_us);
    }

    pub(super) fn record_forgotten(&mut self, records: u64) {
        self.counts.forgotten += records;
        self.counts.kept -= records;
    }

    /// The counts with what was measured.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            lateness: self.lateness.percentiles(),
            answer: self.answer.percentiles(),
            ..self.counts
        }
    }
}
