//! The shard's clockwork: rounds, pings, silence, deadlines.
//!
//! Viewers have no timers of their own: a sweep looks at each of them once every [`SWEEP_MS`], a few
//! at a time, in the order of the table. It is a timing wheel whose spokes are the places themselves.

use super::{GoneReason, Shard};
use crate::limits::{FEED_LINGER_MS, SILENCE_MS, SWEEP_MS};
use crate::time::Now;
use crate::viewer::{Reply, State};
use crate::websocket::write_ping;

/// How often the sweep goes on by a few viewers.
const SWEEP_STEP_MS: u64 = 100;

/// Where the sweep is.
#[derive(Debug)]
pub(super) struct Sweep {
    began_ms: u64,
    next_viewer: u32,
}

impl Sweep {
    pub(super) const fn new(now: Now) -> Self {
        Self { began_ms: now.monotonic_ms(), next_viewer: 0 }
    }
}

impl Shard {
    /// The clocks have moved: looks at the viewers whose turn it is.
    pub fn handle_time(&mut self, now: Now) {
        assert!(now.monotonic_us >= self.now.monotonic_us, "the monotonic clock goes forward");
        self.now = now;
        self.sending.handle_time(now, self.config.flush_min_ms, self.config.flush_max_ms);
        let passed_ms = now.monotonic_ms() - self.sweep.began_ms;
        let places = u64::from(self.viewers.places());
        let due = u32::try_from((places * passed_ms / SWEEP_MS).min(places)).expect("a place");
        while self.sweep.next_viewer < due {
            self.visit(self.sweep.next_viewer);
            self.sweep.next_viewer += 1;
        }
        if passed_ms >= SWEEP_MS {
            self.sweep = Sweep::new(now);
            self.visit_feeds();
            self.retry_deferred();
        }
    }

    /// Begins a round if there is something to send, the last one is done and has rested.
    pub fn handle_flush(&mut self) {
        if !self.sending.may_begin(self.now) || !self.is_dirty() {
            return;
        }
        self.flush_events();
        for at in 0..self.dirty_feeds.len() {
            self.integrate(self.dirty_feeds[at]);
            if let Some(feed) = self.feeds.at_mut(self.dirty_feeds[at]) {
                feed.is_dirty = false;
            }
        }
        self.sending.begin(&mut self.dirty_feeds, self.now);
        self.retry_deferred();
    }

    /// How long the driver may sleep, in microseconds, if nothing comes in.
    #[must_use]
    pub fn poll_timeout(&self) -> u64 {
        if self.sending.has_work() {
            return 0;
        }
        if self.is_dirty() {
            return self.sending.rest_us(self.now);
        }
        if self.viewers.count() == 0 { SWEEP_MS * 1000 } else { SWEEP_STEP_MS * 1000 }
    }

    fn is_dirty(&self) -> bool {
        self.has_dirty_events() || !self.dirty_feeds.is_empty()
    }

    fn visit(&mut self, index: u32) {
        let now_ms = self.now.monotonic_ms();
        let interval_ms = self.config.ping_interval_ms;
        // A visit may come a little early; the ping is better early than a whole sweep late.
        let ping_due_ms = interval_ms.saturating_sub(SWEEP_STEP_MS);
        let Some(viewer) = self.viewers.at_mut(index) else { return };
        if let State::Closing { deadline_ms, .. } = viewer.state {
            if now_ms >= deadline_ms {
                self.lose(index, GoneReason::CloseIgnored);
            }
            return;
        }
        if now_ms.saturating_sub(viewer.pinged_ms) >= ping_due_ms && interval_ms > 0 {
            if viewer.pinged_ms > viewer.heard_ms {
                self.lose(index, GoneReason::Silent);
                return;
            }
            viewer.pinged_ms = now_ms;
            let mut ping = Vec::new();
            write_ping(&mut ping, b"");
            self.reply(index, Reply::Control(ping));
        }
        self.break_silence(index);
    }

    /// Repeats a frame to a viewer whose topics have been quiet, or its script would think the
    /// connection dead.
    fn break_silence(&mut self, index: u32) {
        let now_ms = self.now.monotonic_ms();
        let Some(viewer) = self.viewers.at(index) else { return };
        if !viewer.is_clear() {
            return;
        }
        let mut message_ms = viewer.message_ms;
        let mut repeat = None;
        for topic in &viewer.topics {
            let feed = self.feeds.at(topic.feed).expect("topics name feeds");
            if feed.subscribers[topic.subscriber as usize].cursor < feed.last() {
                // Something is about to be sent.
                return;
            }
            message_ms = message_ms.max(feed.sent_ms);
            repeat = repeat.or_else(|| feed.repeatable());
        }
        if now_ms.saturating_sub(message_ms) < SILENCE_MS {
            return;
        }
        if let Some(frame) = repeat {
            let frame = frame.to_vec();
            self.reply(index, Reply::Message(frame));
        }
    }

    fn visit_feeds(&mut self) {
        let now_ms = self.now.monotonic_ms();
        let idle: Vec<u32> = self
            .feeds
            .iter()
            .filter(|(_, feed)| {
                feed.is_live && feed.subscribers.is_empty() && feed.waiting.is_empty()
            })
            .filter(|(_, feed)| now_ms.saturating_sub(feed.idle_since_ms) >= FEED_LINGER_MS)
            .map(|(index, _)| index)
            .collect();
        for index in idle {
            self.drop_feed(index);
        }
    }
}
