//! What the durable plane counts, and its page of metrics.

use std::sync::{Arc, Mutex, PoisonError};

use engine::decode::Tally;

use super::health::{Health, LaneState};
use crate::database::Class;
use crate::metrics::{Counter, Gauge, Histogram, LimitUse, Page, Section};

/// Upper bounds of the sizes of batches.
const BATCH_ROWS: [u64; 5] = [1, 10, 100, 1_000, 10_000];

/// The numbers of the durable plane.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) health: Arc<Health>,
    /// Reads that brought entries, brought none, or failed.
    pub(super) reads_full: Counter,
    pub(super) reads_empty: Counter,
    pub(super) reads_failed: Counter,
    /// Entries read.
    pub(super) records: Counter,
    /// Those of them that had been delivered before.
    pub(super) redelivered: Counter,
    /// Those of them taken over from other consumers.
    pub(super) claimed: Counter,
    /// Entries that cannot be decoded.
    pub(super) decode_errors: Counter,
    /// Those of them that were set aside.
    pub(super) undecodable: Counter,
    tally: Mutex<Tally>,
    /// Rows that the database refuses.
    pub(super) refused: Counter,
    /// Entries that Redis has taken back.
    pub(super) acks: Counter,
    /// Entries that it was to take back and did not know.
    pub(super) acks_missing: Counter,
    pub(super) stream_resets: Counter,
    pub(super) reconnects: Counter,
    /// Entries trimmed away after they were delivered.
    pub(super) lost_pending: Counter,
    /// Times the database said that it had stored rows which were not there.
    pub(super) short_writes: Counter,
    pub(super) retries_transient: Counter,
    pub(super) retries_outage: Counter,
    pub(super) retries_schema: Counter,
    pub(super) retries_refused: Counter,
    pub(super) retries_conflict: Counter,
    pub(super) copy: Histogram,
    pub(super) careful: Histogram,
    batches: [Counter; BATCH_ROWS.len()],
    ledger: Mutex<Ledger>,
    in_flight_max: u64,
    /// Entries that were taken and of which nobody knows what became.
    pub(super) residual: Gauge,
}

/// What was taken, and what became of it. Changed in one step, so that it can be added up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ledger {
    /// Entries for which this process answers, or has answered.
    pub(super) taken: u64,
    /// Their rows were stored.
    pub(super) inserted: u64,
    /// Their rows were there.
    pub(super) duplicate: u64,
    /// They lie in the dead letters.
    pub(super) dead: u64,
    /// They had lost their fields.
    pub(super) lost: u64,
}

impl Ledger {
    /// Entries that still wait.
    pub(super) const fn waiting(&self) -> u64 {
        self.taken - self.inserted - self.duplicate - self.dead - self.lost
    }
}

impl Numbers {
    /// Nothing has been counted.
    pub(super) fn new(health: Arc<Health>, in_flight_max: usize) -> Self {
        Self {
            health,
            reads_full: Counter::default(),
            reads_empty: Counter::default(),
            reads_failed: Counter::default(),
            records: Counter::default(),
            redelivered: Counter::default(),
            claimed: Counter::default(),
            decode_errors: Counter::default(),
            undecodable: Counter::default(),
            tally: Mutex::default(),
            refused: Counter::default(),
            acks: Counter::default(),
            acks_missing: Counter::default(),
            stream_resets: Counter::default(),
            reconnects: Counter::default(),
            lost_pending: Counter::default(),
            short_writes: Counter::default(),
            retries_transient: Counter::default(),
            retries_outage: Counter::default(),
            retries_schema: Counter::default(),
            retries_refused: Counter::default(),
            retries_conflict: Counter::default(),
            copy: Histogram::default(),
            careful: Histogram::default(),
            batches: Default::default(),
            ledger: Mutex::default(),
            in_flight_max: in_flight_max as u64,
            residual: Gauge::default(),
        }
    }

    /// The counter of tries again for this reason.
    pub(super) const fn retries(&self, class: Class) -> &Counter {
        match class {
            Class::Transient => &self.retries_transient,
            Class::Outage => &self.retries_outage,
            Class::Schema => &self.retries_schema,
            Class::Poison => &self.retries_refused,
            Class::Conflict => &self.retries_conflict,
        }
    }

    /// What the decoder has forgiven so far.
    pub(super) fn set_tally(&self, tally: &Tally) {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner) = *tally;
    }

    /// Something was taken, or something became of it.
    pub(super) fn book(&self, change: impl FnOnce(&mut Ledger)) {
        change(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How the ledger stands.
    pub(super) fn ledger(&self) -> Ledger {
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch of so many rows goes to a lane.
    pub(super) fn batch(&self, rows: usize) {
        let bucket = BATCH_ROWS.partition_point(|&bound| bound < rows as u64);
        self.batches[bucket.min(BATCH_ROWS.len() - 1)].increment();
    }

    fn write_reading(&self, page: &mut Page) {
        page.counters(
            "processor_consumer_reads_total",
            "Reads from the stream for the database.",
            "result",
            &[
                ("entries", self.reads_full.value()),
                ("empty", self.reads_empty.value()),
                ("error", self.reads_failed.value()),
            ],
        );
        for (name, help, counter) in [
            (
                "processor_consumer_records_total",
                "Entries read for the database, each delivery counted.",
                &self.records,
            ),
            (
                "processor_consumer_redelivered_total",
                "Entries among them that had been delivered before.",
                &self.redelivered,
            ),
            (
                "processor_consumer_claims_total",
                "Entries taken over from consumers that left them.",
                &self.claimed,
            ),
            (
                "processor_consumer_decode_errors_total",
                "Entries that cannot be decoded.",
                &self.decode_errors,
            ),
            (
                "processor_consumer_stream_resets_total",
                "Times the group, or its stream, was found gone and made again.",
                &self.stream_resets,
            ),
            (
                "processor_consumer_reconnects_total",
                "Connections to Redis after the first.",
                &self.reconnects,
            ),
            ("processor_acks_total", "Entries acknowledged.", &self.acks),
            (
                "processor_acks_missing_total",
                "Acknowledged entries that Redis did not know as pending.",
                &self.acks_missing,
            ),
            (
                "processor_lost_pending_trimmed_total",
                "Entries trimmed away after delivery and before they were stored: lost.",
                &self.lost_pending,
            ),
        ] {
            page.counter(name, help, counter.value());
        }
    }

    fn write_writing(&self, page: &mut Page, ledger: &Ledger) {
        page.counters(
            "processor_position_writes_total",
            "What became of rows: stored, there already, refused by the database.",
            "status",
            &[
                ("inserted", ledger.inserted),
                ("duplicate", ledger.duplicate),
                ("failed", self.refused.value()),
            ],
        );
        page.histograms(
            "processor_position_write_duration_seconds",
            "How long a write took: by COPY, or carefully.",
            "path",
            &[("copy", &self.copy), ("staged", &self.careful)],
        );
        page.counters(
            "processor_dead_letters_total",
            "Entries set aside as dead letters.",
            "why",
            &[("decode", self.undecodable.value()), ("refused", self.refused.value())],
        );
        page.counters(
            "processor_writer_retries_total",
            "Writes that failed and were tried again.",
            "why",
            &[
                ("transient", self.retries_transient.value()),
                ("outage", self.retries_outage.value()),
                ("schema", self.retries_schema.value()),
                ("refused", self.retries_refused.value()),
                ("conflict", self.retries_conflict.value()),
            ],
        );
        page.counter(
            "processor_writer_short_writes_total",
            "Writes after which rows were missing that the database said it had stored.",
            self.short_writes.value(),
        );
        let sizes: Vec<String> = BATCH_ROWS.iter().map(u64::to_string).collect();
        let batches: Vec<(&str, u64)> = sizes
            .iter()
            .zip(&self.batches)
            .map(|(size, count)| (size.as_str(), count.value()))
            .collect();
        page.counters(
            "processor_writer_batches_total",
            "Batches written, by their size: up to so many rows.",
            "rows",
            &batches,
        );
    }

    fn write_lanes(&self, page: &mut Page) {
        let lanes = self.health.lanes();
        let count = |is_one: &dyn Fn(&LaneState) -> bool| {
            i64::try_from(lanes.iter().filter(|lane| is_one(lane)).count()).unwrap_or(i64::MAX)
        };
        page.gauges(
            "processor_writer_lanes",
            "What the lanes of the writer do.",
            "state",
            &[
                ("idle", count(&|lane| *lane == LaneState::Idle)),
                ("writing", count(&|lane| *lane == LaneState::Writing)),
                ("holding", count(&|lane| matches!(lane, LaneState::Holding(..)))),
            ],
        );
        let holds = |class: Class| {
            count(&|lane| matches!(lane, LaneState::Holding(trouble, _) if trouble.class == class))
                .min(1)
        };
        page.gauges(
            "processor_writer_hold",
            "1 while a lane cannot write for this reason.",
            "reason",
            &Class::ALL.map(|class| (class.word(), holds(class))),
        );
    }
}

impl Section for Numbers {
    fn write(&self, page: &mut Page) {
        let ledger = self.ledger();
        self.write_reading(page);
        let tally = *self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        page.forgiven("processor_consumer_forgiven_total", &tally);
        self.write_writing(page, &ledger);
        self.write_lanes(page);
        let in_flight = i64::try_from(ledger.waiting()).unwrap_or(i64::MAX);
        page.gauge(
            "processor_writer_in_flight_rows",
            "Entries read and not yet answered for.",
            Some(in_flight),
        );
        page.gauge(
            "processor_writer_residual",
            "Entries read of which nobody knows what became; anything but 0 is a defect.",
            Some(self.residual.value()),
        );
    }

    fn limits(&self) -> Vec<LimitUse> {
        let used = self.ledger().waiting();
        vec![LimitUse { name: "rows_in_flight", used, allowed: self.in_flight_max }]
    }
}
