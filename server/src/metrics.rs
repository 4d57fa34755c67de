//! Counters, gauges and histograms, and the page of text on which they are shown.
//!
//! Each part of the program owns its numbers and writes them by [`Section`]; nothing is registered
//! by name. No label names a device or a user: what is shown must not tell who watches whom.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use engine::decode::Tally;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Some more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// It is this now.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// It is so much more, or less.
    pub fn add(&self, difference: i64) {
        self.0.fetch_add(difference, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of a histogram's buckets in microseconds: 100 µs to 100 s, three to a decade. One
/// more holds what is slower.
pub const BUCKETS_US: [u64; 19] = [
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
];

/// The longest that counts in a histogram's sum, a day: a device whose clock stands at the year 2000
/// says that its fix took decades, and some ten thousand of those would run over the sum.
const OBSERVED_US_MAX: u64 = 24 * 60 * 60 * 1_000_000;

/// How long something took, counted in buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS_US.len() + 1],
    sum_us: Counter,
}

impl Histogram {
    /// One that took so long.
    pub fn observe_us(&self, microseconds: u64) {
        self.observe_many_us(microseconds, 1);
    }

    /// So many that took so long each.
    pub fn observe_many_us(&self, microseconds: u64, count: u64) {
        let bucket = BUCKETS_US.partition_point(|&bound| bound < microseconds);
        self.buckets[bucket].add(count);
        self.sum_us.add(microseconds.min(OBSERVED_US_MAX).saturating_mul(count));
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::value).sum()
    }
}

/// What a part of the program has to show.
pub trait Section: Send + Sync {
    /// Writes its metrics.
    fn write(&self, page: &mut Page);

    /// What it uses of the limits it keeps.
    fn limits(&self) -> Vec<LimitUse> {
        Vec::new()
    }
}

/// How much of a limit is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// Which limit, by the name of its setting or constant.
    pub name: &'static str,
    /// How much is used.
    pub used: u64,
    /// How much is allowed.
    pub allowed: u64,
}

/// The text of `/metrics`, in the format that Prometheus reads.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// What has been written.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// A counter without labels.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        self.sample(name, "", value);
    }

    /// A counter of time without labels, shown in seconds.
    pub fn counter_of_seconds(&mut self, name: &str, help: &str, microseconds: u64) {
        self.head(name, help, "counter");
        self.sample(name, "", seconds(microseconds));
    }

    /// A counter with one label, a value for each.
    pub fn counters(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) {
        self.head(name, help, "counter");
        for (which, value) in values {
            self.sample(name, &format!("{{{label}=\"{which}\"}}"), value);
        }
    }

    /// What a decoder has forgiven so far.
    pub fn forgiven(&mut self, name: &str, tally: &Tally) {
        let help = "What was unusual in entries that were accepted.";
        let values = [
            ("unknown_field", tally.unknown_fields),
            ("clamped", tally.clamped),
            ("defaulted", tally.defaulted),
            ("entry_mismatch", tally.entry_mismatch),
            ("attribute_unusual", tally.attributes_unusual),
        ];
        self.counters(name, help, "what", &values);
    }

    /// A gauge without labels. One that is not known is left out, never shown as 0.
    pub fn gauge(&mut self, name: &str, help: &str, value: Option<i64>) {
        let Some(value) = value else { return };
        self.head(name, help, "gauge");
        self.sample(name, "", value);
    }

    /// A gauge of time without labels, shown in seconds. One that is not known is left out.
    pub fn gauge_of_seconds(&mut self, name: &str, help: &str, microseconds: Option<u64>) {
        let Some(microseconds) = microseconds else { return };
        self.head(name, help, "gauge");
        self.sample(name, "", seconds(microseconds));
    }

    /// A gauge with one label, a value for each.
    pub fn gauges(&mut self, name: &str, help: &str, label: &str, values: &[(&str, i64)]) {
        self.head(name, help, "gauge");
        for (which, value) in values {
            self.sample(name, &format!("{{{label}=\"{which}\"}}"), value);
        }
    }

    /// A histogram in seconds with one label, one for each value of it.
    pub fn histograms(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        histograms: &[(&str, &Histogram)],
    ) {
        self.head(name, help, "histogram");
        for (which, histogram) in histograms {
            let own = format!("{label}=\"{which}\"");
            let mut count = 0;
            for (bucket, counter) in histogram.buckets.iter().enumerate() {
                count += counter.value();
                let bound =
                    BUCKETS_US.get(bucket).map_or_else(|| "+Inf".to_owned(), |&us| seconds(us));
                let labels = format!("{{{own},le=\"{bound}\"}}");
                self.sample(&format!("{name}_bucket"), &labels, count);
            }
            let labels = format!("{{{own}}}");
            self.sample(&format!("{name}_sum"), &labels, seconds(histogram.sum_us.value()));
            self.sample(&format!("{name}_count"), &labels, count);
        }
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("text grows");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        writeln!(self.text, "{name}{labels} {value}").expect("text grows");
    }
}

/// Microseconds as seconds, without a detour over floating point.
fn seconds(us: u64) -> String {
    let (whole, rest) = (us / 1_000_000, us % 1_000_000);
    let text = format!("{whole}.{rest:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Histogram, Page, seconds};

    #[test]
    fn seconds_have_no_digits_too_many() {
        for (us, expected) in [(0, "0"), (100, "0.0001"), (1_000_000, "1"), (1_500_000, "1.5")] {
            assert_eq!(seconds(us), expected);
        }
    }

    #[test]
    fn d1_a_clock_at_the_year_2000_does_not_run_over_the_sum() {
        let histogram = Histogram::default();
        let decades_us = 27 * 365 * 86_400 * 1_000_000;
        histogram.observe_us(decades_us);
        histogram.observe_many_us(decades_us, 99_999);
        let mut page = Page::default();
        page.histograms("took_seconds", "How long.", "hop", &[("device", &histogram)]);
        let text = page.into_text();
        assert!(text.contains("took_seconds_sum{hop=\"device\"} 8640000000\n"), "{text}");
        assert!(text.contains("le=\"100\"} 0\n"), "{text}");
    }

    #[test]
    fn a_histogram_counts_each_value_in_every_bucket_above_it() {
        let histogram = Histogram::default();
        histogram.observe_us(150);
        histogram.observe_many_us(200_000_000, 2);
        let mut page = Page::default();
        page.histograms("took_seconds", "How long.", "hop", &[("read", &histogram)]);
        let text = page.into_text();
        for line in [
            "# TYPE took_seconds histogram",
            "took_seconds_bucket{hop=\"read\",le=\"0.0001\"} 0",
            "took_seconds_bucket{hop=\"read\",le=\"0.0002\"} 1",
            "took_seconds_bucket{hop=\"read\",le=\"100\"} 1",
            "took_seconds_bucket{hop=\"read\",le=\"+Inf\"} 3",
            "took_seconds_sum{hop=\"read\"} 400.00015",
            "took_seconds_count{hop=\"read\"} 3",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is missing in\n{text}");
        }
    }
}
