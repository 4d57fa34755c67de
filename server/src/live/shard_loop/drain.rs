//! The end of a shard: its viewers are closed in waves, so that they do not all come back at once.

use engine::id::ViewerId;
use engine::websocket::CloseCode;

use super::Turning;

/// How long viewers may take to answer the last wave.
const ANSWER_MS: u64 = 1_000;

/// How far the closing has come.
#[derive(Clone, Debug)]
pub(super) struct Drain {
    began_ms: u64,
    over_ms: u64,
    /// Who was there when it began. Nobody comes after that.
    viewers: Vec<ViewerId>,
    closed_count: usize,
}

impl Drain {
    /// How many should be closed by now.
    fn due(&self, now_ms: u64) -> usize {
        let passed_ms = now_ms.saturating_sub(self.began_ms);
        let count = self.viewers.len();
        if passed_ms >= self.over_ms {
            return count;
        }
        let share = u128::from(passed_ms + 1) * count as u128 / u128::from(self.over_ms);
        usize::try_from(share).map_or(count, |due| due.min(count))
    }
}

impl Turning {
    pub(super) fn begin_drain(&mut self, over_ms: u64) {
        let places = 0..self.connections.places();
        let viewers = self.connections.range(places).map(|(viewer, _)| viewer).collect();
        self.drain = Some(Drain { began_ms: self.now_ms, over_ms, viewers, closed_count: 0 });
    }

    /// Closes the viewers whose turn it is.
    pub(super) fn close_wave(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        let due = drain.due(self.now_ms).max(drain.closed_count);
        let wave = drain.closed_count..due;
        drain.closed_count = due;
        for &viewer in &drain.viewers[wave] {
            // One who has gone by itself is nobody any more.
            self.shard.handle_close(viewer, CloseCode::RESTART, CloseCode::RESTART.reason());
        }
    }

    /// True when the last viewer has gone, or the rest will not go by itself.
    pub(super) fn is_over(&self) -> bool {
        let Some(drain) = &self.drain else { return false };
        let passed_ms = self.now_ms.saturating_sub(drain.began_ms);
        self.connections.count() == 0 || passed_ms >= drain.over_ms + ANSWER_MS
    }
}

#[cfg(test)]
mod tests {
    use engine::id::ViewerId;

    use super::Drain;

    #[test]
    fn waves_are_even_and_reach_everybody() {
        let viewers = vec![ViewerId { index: 0, generation: 0 }; 1_000];
        let mut drain = Drain { began_ms: 1_000, over_ms: 1_000, viewers, closed_count: 0 };
        for (now_ms, expected) in
            [(1_000, 1), (1_099, 100), (1_499, 500), (1_999, 1_000), (9_000, 1_000)]
        {
            assert_eq!(drain.due(now_ms), expected, "at {now_ms}");
        }
        drain.over_ms = 0;
        assert_eq!(drain.due(1_000), 1_000);
    }
}
