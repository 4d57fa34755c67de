//! Time rules of a shard, driven exactly as its documentation orders: rounds, waits and deadlines.
#![expect(clippy::unwrap_used, reason = "a failed case is reported by its panic")]

use std::sync::Arc;

use engine::fanout::Sent;
use engine::id::{EventId, ShardIndex, ViewerId};
use engine::position::Position;
use engine::roster::{Registration, Roster};
use engine::route::Router;
use engine::shard::{GoneReason, Shard, ShardConfig};
use engine::time::Now;
use engine::viewer::Decision;
use tests::sample::position;

const EVENT: EventId = EventId(7);
const BEGAN_MS: i64 = 1_780_733_730_000;

/// A shard, its router, and a clock that only the test moves.
struct World {
    shard: Shard,
    router: Router,
    now_us: u64,
    /// What each send took, by how many bytes a viewer's kernel has room for.
    room_bytes: usize,
    received: Vec<u8>,
    sent_count: usize,
}

impl World {
    fn new(shard_count: u8, ping_interval_ms: u64, device_count: usize) -> Self {
        let names: Vec<String> = (0..device_count).map(|device| format!("{device:015}")).collect();
        let rows: Vec<_> =
            names.iter().map(|name| Registration { device_id: name, event: EVENT }).collect();
        let roster = Arc::new(Roster::default().next(&rows).unwrap());
        let index = ShardIndex((engine::route::owner(EVENT, shard_count).0 + 1) % shard_count);
        let config = ShardConfig { ping_interval_ms, ..ShardConfig::new(index, shard_count) };
        let mut router = Router::new(shard_count);
        router.handle_roster(roster.clone());
        let now = Now { monotonic_us: 0, wall_ms: BEGAN_MS };
        let mut shard = Shard::new(config, now);
        shard.handle_roster(roster);
        let room_bytes = usize::MAX;
        Self { shard, router, now_us: 0, room_bytes, received: Vec::new(), sent_count: 0 }
    }

    /// One turn as documented, with what `input` brings; says how long the driver may sleep.
    fn turn(&mut self, input: impl FnOnce(&mut Shard, &mut Router)) -> u64 {
        let now_ms = i64::try_from(self.now_us / 1000).unwrap();
        self.shard.handle_time(Now { monotonic_us: self.now_us, wall_ms: BEGAN_MS + now_ms });
        input(&mut self.shard, &mut self.router);
        self.shard.handle_flush();
        while let Some(send) = self.shard.poll_send() {
            let taken = send.bytes.len().min(self.room_bytes);
            self.received.extend_from_slice(&send.bytes[..taken]);
            self.room_bytes -= taken;
            self.sent_count += 1;
            let sent = if taken == send.bytes.len() { Sent::All } else { Sent::Part(taken) };
            self.shard.handle_sent(sent);
        }
        self.shard.poll_timeout()
    }

    /// Turns without input until `seconds` have passed.
    fn idle(&mut self, seconds: u64) {
        let end_us = self.now_us + seconds * 1_000_000;
        while self.now_us < end_us {
            let sleep_us = self.turn(|_, _| {});
            self.now_us += sleep_us.max(1);
        }
    }

    fn subscribe(&mut self) -> ViewerId {
        let mut viewer = None;
        self.turn(|shard, _| {
            let id = shard.handle_open().unwrap();
            let text = format!(r#"{{"type":"subscribe","topic":"event:{EVENT}"}}"#);
            shard.handle_bytes(id, &mut masked(0x81, text.as_bytes()));
            let question = shard.poll_question().unwrap();
            shard.handle_decision(id, question.ticket, Decision::Allowed);
            viewer = Some(id);
        });
        viewer.unwrap()
    }

    fn position(&mut self, device: usize) {
        let timestamp_ms = BEGAN_MS + i64::try_from(self.now_us / 1000).unwrap();
        self.turn(|shard, router| {
            let device = router.roster().device(&format!("{device:015}"));
            router.handle_positions(&[Position { device, ..position(timestamp_ms) }]);
            let mut batch = Vec::new();
            router.take_batch(engine::route::owner(EVENT, 1), &mut batch);
            shard.handle_positions(&batch);
        });
    }

    fn count(&self, part: &[u8]) -> usize {
        self.received.windows(part.len()).filter(|window| *window == part).count()
    }
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn a_position_that_wakes_an_idle_shard_leaves_in_the_same_turn() {
    let mut world = World::new(1, 0, 1);
    world.subscribe();
    world.idle(1);
    for _ in 0..5 {
        let before = world.sent_count;
        world.position(0);
        assert_eq!(world.sent_count, before + 1, "a round rests after its work, not after a sleep");
        world.idle(1);
    }
}

#[test]
fn a_quiet_event_is_repeated_however_often_viewers_are_pinged() {
    let mut world = World::new(1, 5_000, 1);
    let viewer = world.subscribe();
    world.position(0);
    for _ in 0..110 {
        world.idle(1);
        world.shard.handle_bytes(viewer, &mut masked(0x8a, b""));
    }
    let frames = world.count(br#""type":"position""#);
    assert!((3..=4).contains(&frames), "{frames} frames: one, and a repeat every 45 to 50 seconds");
    assert_eq!(world.shard.viewer_tally().repeated, frames as u64 - 1);
}

#[test]
fn who_leaves_a_reply_unread_is_cut_but_a_stream_may_stand_still() {
    let mut world = World::new(1, 30_000, 1);
    let viewer = world.subscribe();
    world.room_bytes = 50;
    for second in 0..600 {
        world.position(0);
        world.idle(1);
        if second % 10 == 0 {
            world.shard.handle_bytes(viewer, &mut masked(0x8a, b""));
        }
    }
    assert_eq!(world.shard.viewer_count(), 1, "it is heard, and holds no memory");
    assert!(world.shard.poll_gone().is_none());
    let text = format!(r#"{{"type":"unsubscribe","topic":"event:{EVENT}"}}"#);
    world.shard.handle_bytes(viewer, &mut masked(0x81, text.as_bytes()));
    for _ in 0..36 {
        world.idle(1);
        world.shard.handle_bytes(viewer, &mut masked(0x8a, b""));
    }
    assert_eq!(world.shard.poll_gone().unwrap().reason, GoneReason::Stalled);
}

#[test]
fn a_slow_download_is_not_silence_but_a_dead_one_is() {
    let mut world = World::new(1, 30_000, 2_000);
    let first = world.subscribe();
    for device in 0..2_000 {
        world.position(device);
    }
    world.shard.handle_lost(first);
    world.room_bytes = 1_000;
    let viewer = world.subscribe();
    for _ in 0..90 {
        world.idle(1);
        world.room_bytes = 1_000;
        world.shard.handle_writable(viewer);
    }
    assert_eq!(world.shard.viewer_count(), 1, "a ping behind a snapshot cannot be answered yet");
    world.idle(65);
    assert_eq!(world.shard.viewer_count(), 0);
}

#[test]
fn a_subscribe_whose_picture_never_comes_is_told_to_try_again_in_time() {
    let mut world = World::new(2, 0, 1);
    world.subscribe();
    assert_eq!(world.shard.usage().held, 1);
    world.idle(1);
    assert!(world.received.is_empty(), "the owner may still answer");
    world.idle(1);
    assert_eq!(world.count(br#"{"type":"error","code":"error","topic":"event:"#), 1);
    assert_eq!(world.shard.usage().held, 0);
}

#[test]
fn the_first_pong_after_a_ping_says_how_long_the_way_is() {
    let mut world = World::new(1, 5_000, 1);
    let viewer = world.subscribe();
    world.idle(6);
    assert!(world.count(&[0x89, 0]) > 0, "it was pinged");
    let mut pong = || {
        world.now_us += 40_000;
        world.turn(|shard, _| shard.handle_bytes(viewer, &mut masked(0x8a, b"")));
        world.shard.poll_round_trip_ms()
    };
    let first_ms = pong().unwrap();
    assert!((40..5_000).contains(&first_ms), "{first_ms} ms");
    assert_eq!(pong(), None, "a pong that nobody asked for measures nothing");
}
