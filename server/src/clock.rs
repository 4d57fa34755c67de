//! The clocks of the process: one that never goes back, and the wall's.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::time::Now;

/// Read by whoever moves bytes; the engine gets what it says as an argument.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that counts from now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Both clocks.
    #[must_use]
    pub fn now(self) -> Now {
        Now { monotonic_us: self.monotonic_us(), wall_ms: wall_ms() }
    }

    /// Microseconds since the start.
    #[must_use]
    pub fn monotonic_us(self) -> u64 {
        microseconds(self.started.elapsed())
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn monotonic_ms(self) -> u64 {
        self.monotonic_us() / 1000
    }
}

/// Epoch milliseconds. A clock before 1970 reads as 1970.
#[must_use]
pub fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A duration in whole microseconds.
#[must_use]
pub fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
