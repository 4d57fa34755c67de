//! One event with its devices and viewers on one shard, ready to be stepped, stalled and measured.
//!
//! Viewers come as in production: they open, send a masked subscribe and wait for the access
//! decision. What they are sent goes to a sink that the caller gives, so no kernel is in the figures.
//! Everything follows from the shape; nothing reads a clock.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use engine::fanout::{Send, Sent};
use engine::id::{EventId, ShardIndex, ViewerId};
use engine::position::{Codec, Position};
use engine::roster::{Registration, Roster, Seat};
use engine::route::Routed;
use engine::shard::{Shard, ShardConfig};
use engine::time::Now;
use engine::viewer::Decision;

use crate::random::Random;

/// How large a scene is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Devices registered to the event, each with a position before anybody subscribes.
    pub device_count: u32,
    /// Viewers who watch it.
    pub viewer_count: u32,
}

/// What went into the sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Calls of the sink: system calls, if it were a socket.
    pub send_count: u64,
    /// Bytes offered to it.
    pub bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Scene {
    shard: Shard,
    now: Now,
    step_us: u64,
    viewers: Vec<ViewerId>,
    /// By device: its slot in the event.
    seats: Vec<Seat>,
    /// The device that reports next.
    next_device: usize,
    random: Random,
    prepared: Vec<Routed>,
}

/// The event of every scene.
pub const EVENT: EventId = EventId(0x6f1b_1e8a_3c52_4e0e_9a41_0d7f_5c1b_2a3d);

/// From one step to the next, unless the caller paces them. Short, so that a viewer who stands still for some steps is still
/// inside the window, and a window of a second is soon full.
const STEP_US: u64 = 1_000;

/// The summer of 2026: timestamps of thirteen digits, as on the wire.
const BEGAN_MS: i64 = 1_780_733_730_000;

impl Scene {
    /// A scene in which every device has a position and every viewer its snapshot.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let now = Now { monotonic_us: 0, wall_ms: BEGAN_MS };
        // Viewers of a scene do not answer pings, so they get none.
        let config = ShardConfig { ping_interval_ms: 0, ..ShardConfig::new(ShardIndex(0), 1) };
        let roster = Arc::new(roster(shape.device_count));
        let mut shard = Shard::new(config, now);
        shard.handle_roster(roster.clone());
        let mut scene = Self {
            shard,
            now,
            step_us: STEP_US,
            viewers: Vec::new(),
            seats: seats(&roster),
            next_device: 0,
            random: Random::new(1),
            prepared: Vec::new(),
        };
        scene.prepare(shape.device_count as usize);
        scene.apply();
        scene.flush();
        scene.join(shape.viewer_count);
        scene
    }

    /// A scene whose pools and rings have the room they need for rounds of `round_count`.
    ///
    /// What has to be warm does not depend on the number of viewers, so one of them warms it: the
    /// window of a second is full and its blocks have been used again several times.
    #[must_use]
    pub fn warm(shape: Shape, round_count: usize) -> Self {
        const POSITION_COUNT: usize = 64_000;
        let mut scene = Self::new(Shape { viewer_count: 1, ..shape });
        scene.prepare(POSITION_COUNT.min(4_000 * round_count));
        scene.steps(round_count, |_| Sent::All);
        scene.join(shape.viewer_count - 1);
        scene.prepare(round_count);
        scene.steps(round_count, |_| Sent::All);
        scene
    }

    /// From now on a step takes as long as `step`, for who paces steps by a clock.
    pub fn pace(&mut self, step: Duration) {
        self.step_us = u64::try_from(step.as_micros()).expect("a short step");
    }

    /// So many viewers more, each with its snapshot.
    pub fn join(&mut self, viewer_count: u32) {
        for _ in 0..viewer_count {
            let viewer = self.open();
            self.subscribe(viewer, &mut subscribe_frame());
            self.viewers.push(viewer);
        }
        self.drain(|_| Sent::All);
        assert_eq!(self.shard.pending_count(), 0, "nobody is owed anything yet");
    }

    /// The shard, to look at.
    #[must_use]
    pub const fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Everyone who watches.
    #[must_use]
    pub fn viewers(&self) -> &[ViewerId] {
        &self.viewers
    }

    /// Invents the next `count` positions, device by device, and forgets those before.
    pub fn prepare(&mut self, count: usize) {
        self.prepared.clear();
        for _ in 0..count {
            let seat = self.seats[self.next_device];
            self.next_device = (self.next_device + 1) % self.seats.len();
            self.now.wall_ms += 1;
            let position = position(&mut self.random, self.now.wall_ms);
            self.prepared.push(Routed { event: seat.event, slot: seat.slot, position });
        }
    }

    /// Judges and encodes all prepared positions.
    pub fn apply(&mut self) {
        self.advance();
        self.shard.handle_positions(&self.prepared);
    }

    /// Begins a round with what was applied.
    pub fn flush(&mut self) {
        self.shard.handle_flush();
    }

    /// Sends to `sink` until nobody has anything to send, and ends the round.
    pub fn drain(&mut self, mut sink: impl FnMut(&Send<'_>) -> Sent) -> Drained {
        let mut drained = Drained::default();
        while let Some(send) = self.shard.poll_send() {
            drained.send_count += 1;
            drained.bytes += send.bytes.len() as u64;
            let sent = sink(&send);
            self.shard.handle_sent(sent);
        }
        // The round took no time, so the next one need not rest.
        self.shard.handle_time(self.now);
        drained
    }

    /// One round: applies a range of the prepared positions, flushes and drains.
    pub fn step(&mut self, prepared: Range<usize>, sink: impl FnMut(&Send<'_>) -> Sent) -> Drained {
        self.advance();
        self.shard.handle_positions(&self.prepared[prepared]);
        self.flush();
        self.drain(sink)
    }

    /// Goes through all prepared positions in rounds of `round_count`.
    pub fn steps(
        &mut self,
        round_count: usize,
        mut sink: impl FnMut(&Send<'_>) -> Sent,
    ) -> Drained {
        let mut total = Drained::default();
        for start in (0..self.prepared.len()).step_by(round_count) {
            let end = self.prepared.len().min(start + round_count);
            let drained = self.step(start..end, &mut sink);
            total.send_count += drained.send_count;
            total.bytes += drained.bytes;
        }
        total
    }

    /// The kernel takes bytes of this viewer again.
    pub fn resume(&mut self, viewer: ViewerId) {
        self.shard.handle_writable(viewer);
    }

    /// A viewer more, who watches nothing yet.
    ///
    /// # Panics
    /// When the shard is full.
    pub fn open(&mut self) -> ViewerId {
        self.shard.handle_open().expect("a scene is smaller than a shard")
    }

    /// A viewer's connection ends.
    pub fn close(&mut self, viewer: ViewerId) {
        self.shard.handle_lost(viewer);
    }

    /// A viewer asks with the bytes of a [`subscribe_frame`] and is let in.
    pub fn subscribe(&mut self, viewer: ViewerId, frame: &mut [u8]) {
        self.shard.handle_bytes(viewer, frame);
        while let Some(question) = self.shard.poll_question() {
            let (viewer, ticket) = (question.viewer, question.ticket);
            self.shard.handle_decision(viewer, ticket, Decision::Allowed);
        }
    }

    fn advance(&mut self) {
        self.now.monotonic_us += self.step_us;
        self.shard.handle_time(self.now);
    }
}

/// A masked `subscribe` for [`EVENT`], as a browser would send it.
#[must_use]
pub fn subscribe_frame() -> Vec<u8> {
    subscribe_frame_of(EVENT)
}

/// A masked `subscribe` for an event.
///
/// # Panics
/// Never: the message is short.
#[must_use]
pub fn subscribe_frame_of(event: EventId) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let message = format!(r#"{{"type":"subscribe","topic":"event:{event}","id":"1"}}"#);
    let length = u8::try_from(message.len()).expect("a short message");
    assert!(length < 126, "a length of one byte");
    let mut frame = vec![0x81, 0x80 | length];
    frame.extend_from_slice(&MASK);
    frame.extend(message.bytes().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A fix in the Alps: 7 decimals, as devices send them.
#[must_use]
pub fn position(random: &mut Random, timestamp_ms: i64) -> Position {
    #[expect(clippy::cast_precision_loss, reason = "units are far below 2^53")]
    let mut degrees = |whole: u64| (whole * 10_000_000 + random.below(10_000_000)) as f64 / 1e7;
    let (latitude, longitude) = (degrees(46), degrees(10));
    let mut small = |bound: u64| f32::from(u16::try_from(random.below(bound)).expect("small"));
    Position {
        timestamp_ms,
        latitude,
        longitude,
        altitude: small(3000),
        angle: small(360),
        speed: small(200),
        device: engine::id::DeviceIndex(0),
        satellites: 11,
        priority: 0,
        codec: Codec::Codec8Extended,
    }
}

fn roster(device_count: u32) -> Roster {
    let ids: Vec<_> = (0..device_count).map(|at| format!("3563070{at:08}")).collect();
    let rows: Vec<_> = ids.iter().map(|id| Registration { device_id: id, event: EVENT }).collect();
    Roster::default().next(&rows).expect("a scene keeps the bounds of the engine")
}

fn seats(roster: &Roster) -> Vec<Seat> {
    let event = roster.event(EVENT).expect("a scene has at least one device");
    let slots = roster.events()[event.0 as usize].slots_with_index();
    slots.map(|(slot, _)| Seat { event, slot }).collect()
}

#[cfg(test)]
mod tests {
    use engine::fanout::Sent;

    use super::{Scene, Shape};

    #[test]
    fn every_viewer_gets_each_round_with_one_send() {
        let mut scene = Scene::new(Shape { device_count: 5, viewer_count: 3 });
        scene.prepare(32);
        let drained = scene.steps(16, |_| Sent::All);
        assert_eq!(drained.send_count, 2 * 3);
        assert_eq!(scene.shard().ledger().delivered, 32 * 3);
        assert_eq!(scene.shard().residual(), 0);
    }
}
