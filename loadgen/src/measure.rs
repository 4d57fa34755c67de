//! How long things took, as percentiles; and how busy the thread was that measured it.

use std::time::{Duration, Instant};
use std::{fmt, fs};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

/// Longest time told apart: an hour. Longer ones count as this. The histogram costs 180 KB.
const LONGEST_US: u64 = 3_600_000_000;

/// Times of one kind, kept to three digits.
#[derive(Clone, Debug)]
pub struct Timings {
    histogram: Histogram<u64>,
}

impl Default for Timings {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3);
        Self { histogram: histogram.expect("the bounds are in order") }
    }
}

impl Timings {
    /// Adds one.
    pub fn record_us(&mut self, time_us: u64) {
        self.histogram.saturating_record(time_us);
    }

    /// What they are so far.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        let at = |share| self.histogram.value_at_quantile(share);
        Percentiles {
            count: self.histogram.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            longest_us: self.histogram.max(),
        }
    }
}

/// Times of one kind: such a share of them was no longer than so much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// How many there are.
    pub count: u64,
    /// Of half of them.
    pub p50_us: u64,
    /// Of 90 %.
    pub p90_us: u64,
    /// Of 99 %.
    pub p99_us: u64,
    /// Of 99.9 %.
    pub p999_us: u64,
    /// Of all.
    pub longest_us: u64,
}

impl fmt::Display for Percentiles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return out.write_str("none");
        }
        let ms = |us: u64| format!("{}.{:01}", us / 1_000, us % 1_000 / 100);
        write!(
            out,
            "p50 {} ms, p90 {} ms, p99 {} ms, p99.9 {} ms, longest {} ms",
            ms(self.p50_us),
            ms(self.p90_us),
            ms(self.p99_us),
            ms(self.p999_us),
            ms(self.longest_us)
        )
    }
}

/// How a thread spends its time, looked at once a second.
#[derive(Debug)]
pub(crate) struct Busy {
    looked: Instant,
    /// On a core, and waiting for one.
    spent: (Duration, Duration),
    share: Share,
}

/// How a thread spent its time, in hundredths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// On a core, in the last second.
    pub now_percent: u64,
    /// On a core, in the busiest second.
    pub most_percent: u64,
    /// Waiting for a core because others had them, in the worst second.
    pub waited_percent: u64,
}

impl Share {
    /// Who is to be blamed for what was late, in words.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        if self.waited_percent > self.most_percent {
            "others kept this program from the machine's cores: give it one of its own"
        } else {
            "this program was the bottleneck: take less, or several processes with a core each"
        }
    }
}

impl Busy {
    /// Begins with the calling thread, which must be the one that calls [`Self::look`].
    pub(crate) fn new() -> Self {
        let spent = (thread_cpu(), thread_wait());
        Self { looked: Instant::now(), spent, share: Share::default() }
    }

    pub(crate) fn look(&mut self) -> Share {
        let passed = self.looked.elapsed();
        if passed >= Duration::from_secs(1) {
            let spent = (thread_cpu(), thread_wait());
            let percent = |now: Duration, before: Duration| {
                let part = now.saturating_sub(before).as_micros() * 100 / passed.as_micros();
                u64::try_from(part).unwrap_or(100)
            };
            let now_percent = percent(spent.0, self.spent.0);
            let waited_percent = percent(spent.1, self.spent.1);
            self.share = Share {
                now_percent,
                most_percent: self.share.most_percent.max(now_percent),
                waited_percent: self.share.waited_percent.max(waited_percent),
            };
            (self.looked, self.spent) = (Instant::now(), spent);
        }
        self.share
    }
}

fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// What the thread has waited for a core; nothing where the system does not say.
fn thread_wait() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').nth(1).and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{Percentiles, Share, Timings};

    #[test]
    fn percentiles_are_right_to_three_digits() {
        let mut timings = Timings::default();
        (1..=100_000).for_each(|time_us| timings.record_us(time_us));
        let found = timings.percentiles();
        let near = |found: u64, right: u64| found.abs_diff(right) <= right / 1_000;
        assert_eq!(found.count, 100_000);
        assert!(near(found.p50_us, 50_000) && near(found.p90_us, 90_000), "{found:?}");
        assert!(near(found.p99_us, 99_000) && near(found.p999_us, 99_900), "{found:?}");
        assert!(near(found.longest_us, 100_000), "{found:?}");
    }

    #[test]
    fn a_time_beyond_the_longest_counts_and_nothing_is_told_of_none() {
        let mut timings = Timings::default();
        assert_eq!(timings.percentiles(), Percentiles::default());
        assert_eq!(timings.percentiles().to_string(), "none");
        timings.record_us(u64::MAX);
        assert_eq!(timings.percentiles().count, 1);
        assert!(timings.percentiles().longest_us >= super::LONGEST_US);
    }
    #[test]
    fn who_waited_for_a_core_is_not_blamed_for_being_late() {
        let share =
            |most_percent, waited_percent| Share { now_percent: 0, most_percent, waited_percent };
        assert!(share(20, 60).verdict().starts_with("others"));
        assert!(share(99, 1).verdict().starts_with("this program"));
    }
}
