//! What the source counts, and its page of metrics.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use engine::decode::Tally;

use super::lag::age_ms;
use crate::metrics::{Counter, Gauge, Histogram, Page, Section};

/// The numbers of the live source.
#[derive(Debug)]
pub struct Numbers {
    /// Reads that brought entries, brought none, or failed.
    pub(super) reads_full: Counter,
    pub(super) reads_empty: Counter,
    pub(super) reads_failed: Counter,
    /// Entries read.
    pub(super) records: Counter,
    /// Entries that cannot be decoded.
    pub(super) decode_errors: Counter,
    /// Entries that lost their fields to trimming.
    pub(super) trimmed: Counter,
    /// Positions of devices in no event.
    pub(super) orphans: Counter,
    /// Positions left out because a newer one of the same device was read with them.
    pub(super) skipped: Counter,
    /// Connections made after the first.
    pub(super) reconnects: Counter,
    /// Times the stream was found to begin anew.
    pub(super) stream_resets: Counter,
    /// Times the group was joined, and entries were again read through it.
    pub(super) group_joins: Counter,
    /// Waits for a shard whose mailbox was full.
    pub(super) mailbox_waits: Counter,
    /// 1 while read through the group, 0 otherwise.
    pub(super) is_grouped: Gauge,
    /// Device time to entry id.
    pub(super) hop_device: Histogram,
    /// Entry id to the end of the read.
    pub(super) hop_redis: Histogram,
    /// −1 when it is not known.
    lag_ms: AtomicI64,
    tally: Mutex<Tally>,
}

impl Numbers {
    /// Nothing has been counted, and the lag is not known.
    pub(super) fn new() -> Self {
        Self {
            reads_full: Counter::default(),
            reads_empty: Counter::default(),
            reads_failed: Counter::default(),
            records: Counter::default(),
            decode_errors: Counter::default(),
            trimmed: Counter::default(),
            orphans: Counter::default(),
            skipped: Counter::default(),
            reconnects: Counter::default(),
            stream_resets: Counter::default(),
            group_joins: Counter::default(),
            mailbox_waits: Counter::default(),
            is_grouped: Gauge::default(),
            hop_device: Histogram::default(),
            hop_redis: Histogram::default(),
            lag_ms: AtomicI64::new(-1),
            tally: Mutex::default(),
        }
    }

    /// How far behind the source is, if that is known.
    pub(super) fn set_lag(&self, lag_ms: Option<u64>) {
        let value = lag_ms.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
        self.lag_ms.store(value, Ordering::Relaxed);
    }

    /// How long an entry took to come, where ids hold times. A clock that is ahead took no time.
    pub(super) fn hops(&self, id_ms: u64, redis_now_ms: i64, device_ms: i64) {
        let Some(redis_ms) = age_ms(id_ms, redis_now_ms) else { return };
        self.hop_redis.observe_us(redis_ms * 1000);
        self.hop_of_device(i64::try_from(id_ms).unwrap_or(i64::MAX), device_ms);
    }

    /// How long after the device's own time a position came. A clock that is ahead took no time.
    pub(super) fn hop_of_device(&self, came_ms: i64, device_ms: i64) {
        let device_ms = came_ms.saturating_sub(device_ms).max(0).unsigned_abs();
        self.hop_device.observe_us(device_ms.saturating_mul(1000));
    }

    /// What the decoder has forgiven so far.
    pub(super) fn set_tally(&self, tally: &Tally) {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner) = *tally;
    }

    fn write_counters(&self, page: &mut Page) {
        for (name, help, counter) in [
            ("processor_live_records_total", "Entries read for viewers.", &self.records),
            (
                "processor_live_decode_errors_total",
                "Entries that cannot be decoded and are not shown.",
                &self.decode_errors,
            ),
            (
                "processor_live_trimmed_total",
                "Entries that were trimmed away before they were read.",
                &self.trimmed,
            ),
            ("processor_live_orphans_total", "Positions of devices in no event.", &self.orphans),
            (
                "processor_live_skipped_total",
                "Positions left out after a lag: a newer one of their device was shown.",
                &self.skipped,
            ),
            (
                "processor_live_reconnects_total",
                "Connections to Redis after the first.",
                &self.reconnects,
            ),
            (
                "processor_live_stream_resets_total",
                "Times the stream was found to begin anew.",
                &self.stream_resets,
            ),
            (
                "processor_live_group_joins_total",
                "Times reading through the group began.",
                &self.group_joins,
            ),
            (
                "processor_live_mailbox_waits_total",
                "Waits for a shard that had no room for positions.",
                &self.mailbox_waits,
            ),
        ] {
            page.counter(name, help, counter.value());
        }
    }

    fn write_forgiven(&self, page: &mut Page) {
        let tally = *self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        page.forgiven("processor_live_forgiven_total", &tally);
        page.counters(
            "processor_live_decoded_total",
            "Payloads decoded, by reader; many general ones mean an unusual writer.",
            "reader",
            &[("fast", tally.fast), ("general", tally.general)],
        );
    }
}

impl Section for Numbers {
    fn write(&self, page: &mut Page) {
        page.counters(
            "processor_live_reads_total",
            "Reads from the stream for viewers.",
            "result",
            &[
                ("entries", self.reads_full.value()),
                ("empty", self.reads_empty.value()),
                ("error", self.reads_failed.value()),
            ],
        );
        self.write_counters(page);
        let grouped = self.is_grouped.value();
        page.gauges(
            "processor_live_mode",
            "How the stream is read: through the group, or by XREAD while that cannot be.",
            "mode",
            &[("group", grouped), ("xread", 1 - grouped)],
        );
        // It is −1 when it is not known.
        let lag_ms = u64::try_from(self.lag_ms.load(Ordering::Relaxed)).ok();
        page.gauge_of_seconds(
            "processor_live_lag_seconds",
            "Age of the entry read last while more wait; absent when it is not known.",
            lag_ms.map(|ms| ms.saturating_mul(1_000)),
        );
        page.histograms(
            "processor_live_hop_seconds",
            "From the device's clock to the entry, and from the entry to its end of reading.",
            "hop",
            &[("device", &self.hop_device), ("redis", &self.hop_redis)],
        );
        self.write_forgiven(page);
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;
    use crate::metrics::{Page, Section};

    fn check(lag_ms: Option<u64>, expected: Option<&str>) {
        let numbers = Numbers::new();
        numbers.set_lag(lag_ms);
        let mut page = Page::default();
        numbers.write(&mut page);
        let text = page.into_text();
        let written =
            text.lines().find_map(|line| line.strip_prefix("processor_live_lag_seconds "));
        assert_eq!(written, expected, "{lag_ms:?}");
    }

    #[test]
    fn a_lag_is_shown_to_the_millisecond_and_not_at_all_when_it_is_not_known() {
        check(None, None);
        check(Some(0), Some("0"));
        check(Some(999), Some("0.999"));
        check(Some(61_500), Some("61.5"));
    }
}
