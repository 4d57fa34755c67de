//! What a shard lets others see of its numbers: copied out a few times a second, never shared.

use std::sync::{Arc, Mutex, PoisonError};

use engine::shard::{Ledger, Usage, ViewerTally};
use engine::slots::VerdictTally;

use crate::metrics::{Histogram, LimitUse, Page, Section};

/// How often a shard's numbers are copied out.
pub(super) const COPY_MS: u64 = 250;

/// How often the conservation law is checked: that looks at every subscriber.
pub(super) const CHECK_MS: u64 = 5_000;

/// The numbers of one shard at one moment.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// What became of frames.
    pub ledger: Ledger,
    /// How positions were judged.
    pub verdicts: VerdictTally,
    /// What happened to viewers.
    pub tally: ViewerTally,
    /// What is in use.
    pub usage: Usage,
    /// What the ledger cannot explain; always 0.
    pub residual: i64,
    /// Bytes that the engine holds on the heap for viewers and feeds.
    pub heap_bytes: usize,
    /// Calls of `send`.
    pub sends: u64,
    /// Bytes that the kernel took.
    pub sent_bytes: u64,
    /// Viewers let in since the start.
    pub opened: u64,
    /// Batches whose way to the viewers was not timed, since too many were on it.
    pub untimed: u64,
    /// Questions about access that found no room and were answered with `error`.
    pub asks_refused: u64,
}

/// What a shard shows; it outlives the shard.
#[derive(Debug, Default)]
pub struct Window {
    pub(super) numbers: Mutex<Numbers>,
    /// From read to applied.
    pub(super) applied: Histogram,
    /// From read to written to every viewer of this shard who keeps up.
    pub(super) written: Histogram,
    /// Ping to pong.
    pub(super) round_trip: Histogram,
}

impl Window {
    /// The numbers that were copied out last.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The windows of all shards, as one section: sums, and a few numbers by shard.
#[derive(Debug)]
pub struct Windows {
    /// By shard.
    pub windows: Vec<Arc<Window>>,
    /// `LIVE_VIEWERS_MAX`.
    pub viewers_max: usize,
}

impl Section for Windows {
    fn write(&self, page: &mut Page) {
        let all: Vec<Numbers> = self.windows.iter().map(|window| window.numbers()).collect();
        let sum = |of: fn(&Numbers) -> u64| all.iter().map(of).sum::<u64>();
        page.counters(
            "processor_live_frames_total",
            "Frames times viewers, by what became of them.",
            "result",
            &[
                ("delivered", sum(|n| n.ledger.delivered)),
                ("conflated", sum(|n| n.ledger.conflated)),
                ("abandoned", sum(|n| n.ledger.abandoned)),
            ],
        );
        page.counter(
            "processor_live_frames_due_total",
            "Frames times viewers subscribed when they appeared.",
            sum(|n| n.ledger.due),
        );
        let residual = all.iter().map(|n| n.residual).sum();
        let help =
            "Frames due that are neither delivered, conflated, abandoned nor waiting: always 0.";
        page.gauge("processor_live_frames_residual", help, Some(residual));
        write_positions(page, sum);
        write_viewers(page, sum);
        let by_shard: Vec<(String, i64)> = (0_u32..)
            .zip(&all)
            .map(|(shard, numbers)| {
                (shard.to_string(), i64::try_from(numbers.usage.viewers).unwrap_or(i64::MAX))
            })
            .collect();
        let by_shard: Vec<(&str, i64)> =
            by_shard.iter().map(|(s, count)| (s.as_str(), *count)).collect();
        page.gauges("processor_live_viewers", "Viewers connected.", "shard", &by_shard);
        self.write_times(page);
    }

    fn limits(&self) -> Vec<LimitUse> {
        let all: Vec<Numbers> = self.windows.iter().map(|window| window.numbers()).collect();
        let count = all.len();
        let most = |of: fn(&Numbers) -> usize| all.iter().map(of).max().unwrap_or(0) as u64;
        let viewers = all.iter().map(|numbers| numbers.usage.viewers).sum::<usize>();
        let limit = |name, used, allowed: usize| LimitUse { name, used, allowed: allowed as u64 };
        vec![
            limit("LIVE_VIEWERS_MAX", viewers as u64, self.viewers_max),
            limit("SHARDS_MAX", count as u64, usize::from(engine::shard::SHARDS_MAX)),
            limit("FEEDS_MAX", most(|n| n.usage.feeds), engine::limits::FEEDS_MAX),
            limit(
                "SNAPSHOT_BYTES_MAX",
                most(|n| n.usage.snapshot_bytes),
                engine::limits::SNAPSHOT_BYTES_MAX,
            ),
        ]
    }
}

impl Windows {
    fn write_times(&self, page: &mut Page) {
        // One histogram of all shards each would need a sum of histograms; by shard says more.
        let names: Vec<String> = (0..self.windows.len()).map(|shard| shard.to_string()).collect();
        let of = |histogram: fn(&Window) -> &Histogram| -> Vec<(&str, &Histogram)> {
            names
                .iter()
                .map(String::as_str)
                .zip(self.windows.iter().map(|w| histogram(w)))
                .collect()
        };
        let help = "From the read of an entry to its slot.";
        page.histograms("processor_live_applied_seconds", help, "shard", &of(|w| &w.applied));
        let help = "From the read of an entry until the round that shows it is written.";
        page.histograms("processor_live_written_seconds", help, "shard", &of(|w| &w.written));
        let help = "From a ping to its pong.";
        page.histograms(
            "processor_live_ping_round_trip_seconds",
            help,
            "shard",
            &of(|w| &w.round_trip),
        );
    }
}

fn write_positions(page: &mut Page, sum: impl Fn(fn(&Numbers) -> u64) -> u64) {
    page.counters(
        "processor_live_positions_total",
        "Positions offered to slots, by the verdict.",
        "verdict",
        &[
            ("accepted", sum(|n| n.verdicts.accepted)),
            ("duplicate", sum(|n| n.verdicts.duplicate)),
            ("late", sum(|n| n.verdicts.late)),
            ("restored", sum(|n| n.verdicts.restored)),
            ("future", sum(|n| n.verdicts.future)),
            ("without_fix", sum(|n| n.verdicts.without_fix)),
            ("unseated", sum(|n| n.verdicts.unseated)),
        ],
    );
}

fn write_viewers(page: &mut Page, sum: impl Fn(fn(&Numbers) -> u64) -> u64) {
    page.counter("processor_live_viewers_opened_total", "Viewers let in.", sum(|n| n.opened));
    page.counters(
        "processor_live_viewer_inputs_total",
        "What happened to viewers.",
        "what",
        &[
            ("fell_behind", sum(|n| n.tally.fell_behind)),
            ("stalled", sum(|n| n.tally.stalled)),
            ("silent", sum(|n| n.tally.silent)),
            ("rate_limited", sum(|n| n.tally.rate_limited)),
            ("held", sum(|n| n.tally.held)),
            ("repeated", sum(|n| n.tally.repeated)),
            ("ask_refused", sum(|n| n.asks_refused)),
        ],
    );
    let help =
        "Batches that are missing in processor_live_written_seconds: too many were on their way.";
    page.counter("processor_live_untimed_batches_total", help, sum(|n| n.untimed));
    page.counter("processor_live_sends_total", "Calls of send.", sum(|n| n.sends));
    page.counter(
        "processor_live_sent_bytes_total",
        "Bytes the kernel took.",
        sum(|n| n.sent_bytes),
    );
    let heap = i64::try_from(sum(|n| n.heap_bytes as u64)).unwrap_or(i64::MAX);
    let help = "Heap bytes of the engine for viewers and feeds.";
    page.gauge("processor_live_heap_bytes", help, Some(heap));
}
