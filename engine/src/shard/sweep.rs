//! The shard's clockwork: rounds, pings, silence, deadlines.
//!
//! Viewers have no timers of their own: a sweep looks at each of them once every [`SWEEP_MS`], a few
//! at a time, in the order of the table. It is a timing wheel whose spokes are the places themselves.

use super::{GoneReason, Shard};
use crate::limits::{
    FEED_LINGER_MS, REPLIES_WAITING_MAX, REPLY_STALL_MS, SILENCE_MS, SWEEP_MS, SWEEP_STEP_MS,
};
use crate::time::Now;
use crate::viewer::{Reply, State, Viewer};
use crate::websocket::write_ping;

/// Where the sweep is.
#[derive(Debug)]
pub(super) struct Sweep {
    began_ms: u64,
    next_viewer: u32,
    /// When held subscribes are looked at again.
    retry_ms: u64,
}

impl Sweep {
    pub(super) const fn new(now: Now) -> Self {
        Self { began_ms: now.monotonic_ms(), next_viewer: 0, retry_ms: 0 }
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
        }
        if now.monotonic_ms() >= self.sweep.retry_ms {
            self.sweep.retry_ms = now.monotonic_ms() + SWEEP_STEP_MS;
            self.retry_held();
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
        let Some(viewer) = self.viewers.at(index) else { return };
        if let Some(reason) = self.verdict(viewer) {
            self.lose(index, reason);
            return;
        }
        // A repeated frame goes before a ping, or the ping would always be in its way.
        self.break_silence(index);
        let interval_ms = self.config.ping_interval_ms;
        let Some(viewer) = self.viewers.at_mut(index) else { return };
        // A visit may come a little early; the ping is better early than a whole sweep late.
        let is_due = now_ms.saturating_sub(viewer.pinged_ms) + SWEEP_STEP_MS >= interval_ms;
        if is_due && interval_ms > 0 && viewer.is_open() && !viewer.ping_waits {
            viewer.ping_waits = true;
            let mut ping = Vec::new();
            write_ping(&mut ping, b"");
            self.reply(index, Reply::Ping(ping));
        }
    }

    /// Why a viewer has to go, if it has.
    fn verdict(&self, viewer: &Viewer) -> Option<GoneReason> {
        let now_ms = self.now.monotonic_ms();
        let for_ms = |since_ms: u64| now_ms.saturating_sub(since_ms);
        if let State::Closing { deadline_ms, .. } = viewer.state {
            return (now_ms >= deadline_ms).then_some(GoneReason::CloseIgnored);
        }
        let owes_message =
            viewer.replies.iter().any(|r| matches!(r, Reply::Message(_) | Reply::Subscribed(..)));
        if owes_message && viewer.is_blocked && for_ms(viewer.sent_ms) >= REPLY_STALL_MS {
            return Some(GoneReason::Stalled);
        }
        let interval_ms = self.config.ping_interval_ms;
        if interval_ms == 0 {
            return None;
        }
        // A viewer from whom we do not read is heard by what it takes.
        let is_read = viewer.replies.len() < REPLIES_WAITING_MAX;
        let heard_ms = if is_read { viewer.heard_ms } else { viewer.heard_ms.max(viewer.sent_ms) };
        let is_overdue = |since_ms: u64| for_ms(since_ms) + SWEEP_STEP_MS >= interval_ms;
        let is_silent = if viewer.ping_waits {
            is_overdue(viewer.sent_ms) && is_overdue(heard_ms)
        } else {
            viewer.pinged_ms > heard_ms && is_overdue(viewer.pinged_ms)
        };
        is_silent.then_some(GoneReason::Silent)
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
            self.tally.repeated += 1;
            self.reply(index, Reply::Message(frame));
        }
    }

    fn visit_feeds(&mut self) {
        let now_ms = self.now.monotonic_ms();
        for index in 0..self.feeds.places() {
            let Some(feed) = self.feeds.at_mut(index) else { continue };
            feed.forget_old(&mut self.pool, now_ms);
            let is_unwatched = feed.subscribers.is_empty();
            let idle_ms = now_ms.saturating_sub(feed.idle_since_ms);
            if feed.is_live && is_unwatched && idle_ms >= FEED_LINGER_MS {
                self.drop_feed(index);
            }
        }
    }
}
