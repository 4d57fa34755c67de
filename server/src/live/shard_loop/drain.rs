//! The end of a shard: its viewers are closed in waves, so that they do not all come back at once.

use engine::id::ViewerId;
use engine::websocket::CloseCode;

use super::Turning;
use crate::clock::Clock;

/// How long viewers may take to answer the last wave.
const ANSWER_MS: u64 = 1_000;

/// How far the closing has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    began_ms: u64,
    over_ms: u64,
    next_place: usize,
}

impl Drain {
    pub(super) fn new(clock: Clock, over_ms: u64) -> Self {
        Self { began_ms: clock.monotonic_ms(), over_ms, next_place: 0 }
    }

    /// How many of so many places should be closed by now.
    fn due(self, places: usize, now_ms: u64) -> usize {
        let passed_ms = now_ms.saturating_sub(self.began_ms);
        if passed_ms >= self.over_ms {
            return places;
        }
        let share = u128::from(passed_ms + 1) * places as u128 / u128::from(self.over_ms);
        usize::try_from(share).map_or(places, |due| due.min(places))
    }
}

impl Turning {
    /// Closes the viewers whose turn it is.
    pub(super) fn close_wave(&mut self) {
        let now_ms = self.context.clock.monotonic_ms();
        let places = self.connections.places();
        let Some(drain) = &mut self.drain else { return };
        let due = drain.due(places, now_ms);
        let range = drain.next_place..due.max(drain.next_place);
        drain.next_place = range.end;
        let wave: Vec<ViewerId> = self.connections.range(range).map(|(viewer, _)| viewer).collect();
        for viewer in wave {
            let code = CloseCode::RESTART;
            self.shard.handle_close(viewer, code, code.reason());
        }
    }

    /// True when the last viewer has gone, or the rest will not go by itself.
    pub(super) fn is_over(&self) -> bool {
        let Some(drain) = self.drain else { return false };
        let passed_ms = self.context.clock.monotonic_ms().saturating_sub(drain.began_ms);
        let is_through = drain.next_place >= self.connections.places();
        is_through && self.connections.count() == 0 || passed_ms >= drain.over_ms + ANSWER_MS
    }
}

#[cfg(test)]
mod tests {
    use super::Drain;

    #[test]
    fn waves_are_even_and_reach_everybody() {
        let drain = Drain { began_ms: 1_000, over_ms: 1_000, next_place: 0 };
        for (now_ms, expected) in
            [(1_000, 1), (1_099, 100), (1_499, 500), (1_999, 1_000), (9_000, 1_000)]
        {
            assert_eq!(drain.due(1_000, now_ms), expected, "at {now_ms}");
        }
        let at_once = Drain { began_ms: 0, over_ms: 0, next_place: 0 };
        assert_eq!(at_once.due(7, 0), 7);
    }
}
