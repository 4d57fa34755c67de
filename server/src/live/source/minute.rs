//! Keeps the log from being filled with one thing: what is told at most once a minute.

use crate::clock::Clock;

const MINUTE_MS: u64 = 60_000;

/// When something was last told.
#[derive(Debug, Default)]
pub(super) struct Minute {
    told_ms: Option<u64>,
}

impl Minute {
    /// True when it may be told again; the next minute begins then.
    pub(super) fn is_over(&mut self, clock: Clock) -> bool {
        let now_ms = clock.monotonic_ms();
        let is_over = self.told_ms.is_none_or(|told_ms| now_ms - told_ms >= MINUTE_MS);
        if is_over {
            self.told_ms = Some(now_ms);
        }
        is_over
    }
}
