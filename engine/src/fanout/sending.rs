//! The state of sending: whose turn it is, and when the next round may begin.

use std::collections::VecDeque;

use super::Offer;
use super::direct::Direct;
use super::walk::Walk;
use crate::limits::{FRAME_BYTES_TYPICAL, SPARE_TAILS_MAX};
use crate::ring::LapChunk;
use crate::time::Now;

/// The state of sending: the round, and who has a turn.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// Rounds begun so far.
    pub(crate) round_count: u64,
    /// Viewers with something of their own to send.
    pub(crate) ready: VecDeque<u32>,
    /// Viewers that a round need not look at.
    pub(super) direct: Direct,
    pub(super) turn: Option<Turn>,
    /// Sends of the round before the next turn: neither starves the other.
    pub(super) round_credit: u32,
    pub(super) offer: Option<Offer>,
    pub(super) chunk: LapChunk,
    /// Rooms of past tails, used again.
    spare_tails: Vec<Vec<u8>>,
    pub(super) round: Round,
}

/// A viewer who sends something of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) viewer: u32,
    pub(super) sends_left: u32,
}

/// Once through everything that has something new.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) feeds: Vec<u32>,
    /// Place in `feeds`.
    pub(super) feed: usize,
    /// The way through that feed's subscribers; `None` before its first step.
    pub(super) walk: Option<Walk>,
    /// Where the next round begins.
    pub(super) rotation: usize,
    pub(super) is_running: bool,
    began_us: u64,
    /// Set when a round is done and the clock has not been read since.
    pub(super) ended: bool,
    /// The next round begins no earlier.
    rest_until_us: u64,
}

impl Sending {
    /// Stamps the end of a round: the next one rests half as long as this one took, so that sending
    /// leaves room for reading, and within the bounds an operator set.
    pub(crate) fn handle_time(&mut self, now: Now, flush_min_ms: u64, flush_max_ms: u64) {
        assert!(self.offer.is_none(), "a send is followed by its outcome");
        if self.round.ended {
            self.round.ended = false;
            let took_us = now.monotonic_us - self.round.began_us;
            let rest_us = (took_us / 2).min(flush_max_ms * 1000);
            let least_us = self.round.began_us + flush_min_ms * 1000;
            self.round.rest_until_us = (now.monotonic_us + rest_us).max(least_us);
        }
    }

    /// True when the last round is done and has rested.
    pub(crate) const fn may_begin(&self, now: Now) -> bool {
        !self.round.is_running && !self.round.ended && now.monotonic_us >= self.round.rest_until_us
    }

    /// Begins a round through `feeds`, which is empty again afterwards.
    pub(crate) fn begin(&mut self, feeds: &mut Vec<u32>, now: Now) {
        self.round.feeds.clear();
        std::mem::swap(&mut self.round.feeds, feeds);
        self.round.feed = 0;
        self.round.walk = None;
        self.round.rotation = self.round.rotation.wrapping_add(1);
        self.round.is_running = true;
        self.round_count += 1;
        self.round.began_us = now.monotonic_us;
    }

    /// True when [`crate::shard::Shard::poll_send`] should be called.
    ///
    /// Also when a round has just ended: its end is to be stamped before the driver sleeps, or the
    /// sleep would count as part of the round.
    pub(crate) fn has_work(&self) -> bool {
        self.round.is_running || self.round.ended || self.turn.is_some() || !self.ready.is_empty()
    }

    /// A round has begun and not every send of it is done.
    pub(crate) const fn is_in_round(&self) -> bool {
        self.round.is_running || self.round.ended
    }

    /// Microseconds until a round may begin.
    pub(crate) const fn rest_us(&self, now: Now) -> u64 {
        self.round.rest_until_us.saturating_sub(now.monotonic_us)
    }

    /// The viewer at `index` has something of its own to send, or nothing can be sent to it.
    pub(crate) fn look_again(&mut self, index: u32) {
        self.direct.remove(index);
    }

    /// Keeps the room of a tail that is through.
    pub(crate) fn reuse_tail(&mut self, mut tail: Vec<u8>) {
        if tail.capacity() > 0 && self.spare_tails.len() < SPARE_TAILS_MAX {
            tail.clear();
            self.spare_tails.push(tail);
        }
    }

    /// Room for the rest of any usual frame: it seldom has to grow when it is used again.
    pub(super) fn spare_tail(&mut self) -> Vec<u8> {
        self.spare_tails.pop().unwrap_or_else(|| Vec::with_capacity(FRAME_BYTES_TYPICAL))
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.spare_tails.iter().map(Vec::capacity).sum::<usize>()
            + self.spare_tails.capacity() * size_of::<Vec<u8>>()
            + self.direct.heap_bytes()
            + self.ready.capacity() * 4
            + self.round.feeds.capacity() * 4
    }
}
