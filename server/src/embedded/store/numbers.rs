//! What the store counts. The names are those of the platform's writer, whose work it does.

use super::queue::Receiver;
use super::table::Stored;
use crate::metrics::{Counter, Histogram, LimitUse, Page, Section};

/// The numbers of the store.
#[derive(Debug)]
pub(in crate::embedded) struct Numbers {
    inserted: Counter,
    duplicate: Counter,
    refused: Counter,
    forgotten: Counter,
    /// Commits that did not work.
    pub(super) failed: Counter,
    /// Packets for which there was no room; they were not answered.
    pub(in crate::embedded) unanswered: Counter,
    took: Histogram,
    /// To see how many wait.
    parcels: Receiver,
}

impl Numbers {
    /// Nothing has been stored; `parcels` is what waits.
    pub(in crate::embedded) fn new(parcels: Receiver) -> Self {
        Self {
            inserted: Counter::default(),
            duplicate: Counter::default(),
            refused: Counter::default(),
            forgotten: Counter::default(),
            failed: Counter::default(),
            unanswered: Counter::default(),
            took: Histogram::default(),
            parcels,
        }
    }

    /// A commit has worked.
    pub(super) fn committed(&self, stored: Stored, took_us: u64) {
        self.inserted.add(stored.inserted);
        self.duplicate.add(stored.duplicate);
        self.refused.add(stored.refused);
        self.forgotten.add(stored.forgotten);
        self.took.observe_us(took_us);
    }
}

impl Section for Numbers {
    fn write(&self, page: &mut Page) {
        let values = [
            ("inserted", self.inserted.value()),
            ("duplicate", self.duplicate.value()),
            ("failed", self.failed.value()),
        ];
        let help = "Rows that were stored or were there already, and commits that failed.";
        page.counters("processor_position_writes_total", help, "status", &values);
        let help = "Records that are no position, kept in the table `refused`.";
        page.counter("processor_store_refused_total", help, self.refused.value());
        let help = "Records that the table `refused` has forgotten for newer ones.";
        page.counter("processor_store_forgotten_total", help, self.forgotten.value());
        let help = "Packets that were not answered for want of room before the store.";
        page.counter("processor_store_unanswered_total", help, self.unanswered.value());
        let waiting = i64::try_from(self.parcels.len()).ok();
        page.gauge("processor_store_waiting", "Packets that wait for a commit.", waiting);
        let name = "processor_position_write_duration_seconds";
        page.histograms(name, "How long commits took.", "what", &[("commit", &self.took)]);
    }

    fn limits(&self) -> Vec<LimitUse> {
        self.parcels.limits()
    }
}
