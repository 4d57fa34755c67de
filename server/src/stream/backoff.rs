//! How long to wait before the next attempt: longer each time, and never at the same moment as the
//! others who wait for the same server.

use std::hash::{BuildHasher, RandomState};

/// Longest wait before the second attempt.
const FIRST_MS_MAX: u64 = 100;

/// Longest wait before any attempt.
const MS_MAX: u64 = 5_000;

/// Waits that grow from 100 ms to 5 s, each drawn evenly between nothing and its bound.
#[derive(Debug)]
pub struct Backoff {
    step: u32,
    random: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::seeded(RandomState::new().hash_one("back-off"))
    }
}

impl Backoff {
    /// One whose waits are known in advance.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { step: 0, random: seed | 1 }
    }

    /// How long to wait after one more failure.
    #[must_use]
    pub fn next_ms(&mut self) -> u64 {
        let bound = FIRST_MS_MAX.checked_shl(self.step).unwrap_or(MS_MAX).min(MS_MAX);
        self.step = (self.step + 1).min(16);
        // xorshift64: waits have to differ, not to be secret.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % (bound + 1)
    }

    /// It worked: the next wait is a short one again.
    pub const fn reset(&mut self) {
        self.step = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, MS_MAX};

    #[test]
    fn waits_grow_to_their_bound_differ_and_start_again() {
        let mut backoff = Backoff::seeded(42);
        for bound in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let wait = backoff.next_ms();
            assert!(wait <= bound, "{wait} is more than {bound}");
        }
        let waits: Vec<u64> = (0..1000).map(|_| backoff.next_ms()).collect();
        assert!(waits.iter().all(|&wait| wait <= MS_MAX));
        assert!(waits.iter().any(|&wait| wait < 500) && waits.iter().any(|&wait| wait > 4500));
        backoff.reset();
        assert!(backoff.next_ms() <= 100);
    }
}
