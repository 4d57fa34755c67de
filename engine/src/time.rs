//! Time as the engine sees it: an argument of every call that needs it.

/// What the clocks of the driver say. Both are read once per turn of its loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since some fixed moment; never goes back. All deadlines use it.
    pub monotonic_us: u64,
    /// Epoch milliseconds; may jump. Only compared with what devices say.
    pub wall_ms: i64,
}

impl Now {
    /// The monotonic clock in milliseconds.
    #[must_use]
    pub const fn monotonic_ms(self) -> u64 {
        self.monotonic_us / 1000
    }
}

/// A budget that refills with time: `burst` at once, `per_second` sustained.
///
/// Eight bytes, because every viewer carries three of them.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    level_milli: u32,
    refilled_ms: u32,
}

/// How a [`Bucket`] refills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Sustained number a second.
    pub per_second: u32,
    /// How many may come at once.
    pub burst: u32,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub const fn full(rate: Rate, now: Now) -> Self {
        Self { level_milli: rate.burst * 1000, refilled_ms: wrapping_ms(now) }
    }

    /// Takes one, or says that there is none.
    #[must_use]
    pub fn take(&mut self, rate: Rate, now: Now) -> bool {
        let now_ms = wrapping_ms(now);
        let passed_ms = now_ms.wrapping_sub(self.refilled_ms);
        let refill_milli = passed_ms.saturating_mul(rate.per_second);
        self.level_milli = self.level_milli.saturating_add(refill_milli).min(rate.burst * 1000);
        self.refilled_ms = now_ms;
        let enough = self.level_milli >= 1000;
        if enough {
            self.level_milli -= 1000;
        }
        enough
    }
}

/// The low 32 bits are enough: differences are taken modulo 49 days, and a bucket is full long before.
#[expect(clippy::cast_possible_truncation, reason = "wraps on purpose, see above")]
const fn wrapping_ms(now: Now) -> u32 {
    now.monotonic_ms() as u32
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Now, Rate};

    #[test]
    fn bucket_gives_the_burst_and_then_the_sustained_rate() {
        let rate = Rate { per_second: 5, burst: 20 };
        let at = |ms: u64| Now { monotonic_us: ms * 1000, wall_ms: 0 };
        let mut bucket = Bucket::full(rate, at(0));
        assert_eq!((0..30).filter(|_| bucket.take(rate, at(0))).count(), 20);
        let taken = (0..2000).filter(|step| bucket.take(rate, at(step * 5))).count();
        assert_eq!(taken, 49, "ten seconds at five a second, the last refill not yet whole");
        assert!(!bucket.take(rate, at(9_995)));
        assert_eq!((0..30).filter(|_| bucket.take(rate, at(60_000))).count(), 20);
    }
}
