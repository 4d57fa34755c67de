//! How far behind the stream the source is, estimated from entry ids; and when that is too far.
//!
//! Redis writes its clock into ids, but anybody may choose them, so an estimate is only believed when
//! it is plausible, and only where entries are known to wait.

/// Beyond this an id holds no time of Redis's clock: nobody keeps a stream of positions for a month.
const AGE_MS_MAX: i64 = 30 * 24 * 3_600_000;

/// How long ago the entry of this id was added, by Redis's clock; nothing when ids hold no times.
/// Clocks differ by some milliseconds, so a future of a minute is now.
pub(super) fn age_ms(id_ms: u64, redis_now_ms: i64) -> Option<u64> {
    let age = redis_now_ms.checked_sub(i64::try_from(id_ms).ok()?)?;
    if (-60_000..=AGE_MS_MAX).contains(&age) { Some(age.max(0).unsigned_abs()) } else { None }
}

/// What is known after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lag {
    /// There was nothing more to read.
    CaughtUp,
    /// More waits, and what was read last is so old.
    Behind(u64),
    /// More waits, and ids do not say how old it is.
    Unknown,
}

impl Lag {
    /// After a read: whether it brought as many entries as were asked for, and the age of the last.
    pub(super) const fn after(is_full: bool, age_ms: Option<u64>) -> Self {
        match (is_full, age_ms) {
            (false, _) => Self::CaughtUp,
            (true, Some(ms)) => Self::Behind(ms),
            (true, None) => Self::Unknown,
        }
    }

    /// True when it would be film: only the newest of each device is of interest.
    pub(super) const fn is_too_far(self, skip_ms: u64) -> bool {
        matches!(self, Self::Behind(ms) if ms > skip_ms)
    }

    /// For the metric: whole milliseconds, or nothing.
    pub(super) const fn ms(self) -> Option<u64> {
        match self {
            Self::CaughtUp => Some(0),
            Self::Behind(ms) => Some(ms),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lag, age_ms};

    const NOW_MS: i64 = 1_780_733_730_000;

    fn check(id_ms: u64, is_full: bool, expected: Lag) {
        assert_eq!(Lag::after(is_full, age_ms(id_ms, NOW_MS)), expected, "{id_ms}");
    }

    #[test]
    fn f26_only_plausible_ids_say_how_far_behind_we_are() {
        let now = NOW_MS.unsigned_abs();
        check(now - 600_000, true, Lag::Behind(600_000));
        check(now - 600_000, false, Lag::CaughtUp);
        check(now + 10, true, Lag::Behind(0));
        check(now + 10_000_000, true, Lag::Unknown);
        check(u64::MAX, true, Lag::Unknown);
        check(0, true, Lag::Unknown);
        check(1, false, Lag::CaughtUp);
    }

    #[test]
    fn f73_only_a_known_lag_is_too_far() {
        assert!(Lag::Behind(5_001).is_too_far(5_000));
        assert!(!Lag::Behind(5_000).is_too_far(5_000));
        assert!(!Lag::Unknown.is_too_far(0) && !Lag::CaughtUp.is_too_far(0));
    }
}
