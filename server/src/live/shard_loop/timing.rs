//! How long batches of positions take from their read until the round that shows them is written.

use engine::shard::Shard;

use super::numbers::Window;
use crate::clock::Clock;

/// Batches that are timed at once; further ones are counted as left out. 8 KiB each list.
const BATCHES_MAX: usize = 1_024;

/// When batches were read, by how far they have come.
#[derive(Debug, Default)]
pub(super) struct Timing {
    /// Taken in since the last round began.
    waiting_us: Vec<u64>,
    /// Shown by the round that is being sent.
    in_round_us: Vec<u64>,
    round_count: u64,
}

impl Timing {
    /// A batch was taken in; `false` when it is not timed.
    pub(super) fn taken(&mut self, read_us: u64) -> bool {
        let has_room = self.waiting_us.len() < BATCHES_MAX;
        if has_room {
            self.waiting_us.push(read_us);
        }
        has_room
    }

    /// A round may have begun: then it shows what waited.
    pub(super) fn flushed(&mut self, shard: &Shard) {
        if shard.round_count() != self.round_count {
            self.round_count = shard.round_count();
            self.in_round_us.append(&mut self.waiting_us);
        }
    }

    /// A round may be over.
    pub(super) fn sent(&mut self, shard: &Shard, window: &Window, clock: Clock) {
        if self.in_round_us.is_empty() || shard.is_in_round() {
            return;
        }
        let now_us = clock.monotonic_us();
        for read_us in self.in_round_us.drain(..) {
            window.written.observe_us(now_us.saturating_sub(read_us));
        }
    }
}
