//! A conflated viewer against a map of what it has seen: each change once, the newest, never back.

use std::collections::HashMap;

use engine::board::Board;
use engine::frame::{encode, head};
use engine::id::{EventId, Sequence, SlotIndex};
use engine::ring::{LapChunk, Laps};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// This many slots move, from this one on.
    Update { slot: u16, count: u8 },
    /// The slot falls back to an older fix.
    Withhold(u16),
    /// The kernel takes this share of what is offered, in 255ths.
    Send(u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..200_u16, 1..20_u8).prop_map(|(slot, count)| Op::Update { slot, count }),
        1 => (0..200_u16).prop_map(Op::Withhold),
        6 => prop_oneof![2 => any::<u8>(), 1 => Just(255)].prop_map(Op::Send),
    ]
}

struct World {
    board: Board,
    newest: u64,
    slot_count: u16,
    laps: Laps,
    chunk: LapChunk,
    /// What the viewer received, byte by byte.
    received: Vec<u8>,
    tail: Vec<u8>,
    sent_count: u64,
    caught_up: bool,
}

fn frame(slot: u16, sequence: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let position = super::position(i64::try_from(sequence).unwrap() + 1_000_000);
    encode(&mut out, &head(EventId(1)), format!("{slot:015}").as_bytes(), &position);
    out
}

impl World {
    fn update(&mut self, slot: u16) {
        let slot = slot % self.slot_count;
        self.newest += 1;
        let bytes = frame(slot, self.newest);
        self.board.set(SlotIndex(slot.into()), Sequence(self.newest), &bytes);
    }

    fn send(&mut self, share: u8) {
        if !self.tail.is_empty() {
            self.received.append(&mut self.tail);
            return;
        }
        let newest = Sequence(self.newest);
        self.laps.gather(&self.board, newest, &mut self.chunk);
        let offered = self.chunk.bytes();
        let taken = offered.len() * usize::from(share) / 255;
        self.received.extend_from_slice(&offered[..taken]);
        let progress = self.laps.commit(newest, &self.chunk, taken);
        let (from, to) = progress.rest;
        self.tail.extend_from_slice(&self.chunk.bytes()[from..to]);
        self.sent_count += progress.sent_count as u64;
        assert_eq!(self.sent_count, self.laps.sent_count());
        self.caught_up = progress.caught_up;
    }

    /// The frames received: slot and sequence.
    fn frames(&self) -> Vec<(u16, u64)> {
        let mut rest = &self.received[..];
        let mut frames = Vec::new();
        while let [0x81, 126, high, low, payload @ ..] = rest {
            let length = usize::from(*high) << 8 | usize::from(*low);
            let text = std::str::from_utf8(&payload[..length]).unwrap();
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let slot = value["deviceId"].as_str().unwrap().parse().unwrap();
            let sequence = value["ts"].as_u64().unwrap() - 1_000_000;
            frames.push((slot, sequence));
            rest = &payload[length..];
        }
        assert!(rest.is_empty(), "whole frames only");
        frames
    }
}

fn check(slot_count: u16, before: u8, ops: &[Op]) {
    let empty = Laps::begin(Sequence(0), &Board::default(), Sequence(0));
    let mut world = World {
        board: Board::default(),
        newest: 0,
        slot_count,
        laps: empty,
        chunk: LapChunk::default(),
        received: Vec::new(),
        tail: Vec::new(),
        sent_count: 0,
        caught_up: false,
    };
    for slot in 0..slot_count {
        world.update(slot);
    }
    let cursor = world.newest;
    for slot in 0..u16::from(before) {
        world.update(slot * 7);
    }
    world.laps = Laps::begin(Sequence(cursor), &world.board, Sequence(world.newest));
    for &op in ops {
        match op {
            Op::Update { slot, count } => {
                (0..u16::from(count)).for_each(|step| world.update(slot + step * 3));
            }
            Op::Withhold(slot) => world.board.withhold(SlotIndex((slot % slot_count).into())),
            Op::Send(share) => world.send(share),
        }
        if world.caught_up {
            break;
        }
    }
    // Then it is quiet and the viewer reads everything.
    for _ in 0..1000 {
        if world.caught_up && world.tail.is_empty() {
            break;
        }
        world.send(255);
    }
    assert!(world.caught_up, "a lap in which nothing moves is the last");
    let mut seen: HashMap<u16, u64> = HashMap::new();
    for (slot, sequence) in world.frames() {
        assert!(sequence > cursor, "nothing from before it fell behind");
        let last = seen.insert(slot, sequence);
        assert!(last.is_none_or(|last| last < sequence), "slot {slot} went back or was repeated");
    }
    for (slot, sequence) in (0..slot_count).zip(world.board.sequences()) {
        let due = (sequence.0 > cursor).then_some(sequence.0);
        assert!(due.is_none_or(|due| seen[&slot] == due), "the last value is the newest");
    }
    let all = world.newest - cursor;
    let conflated = world.laps.conflated_count(Sequence(world.newest));
    assert_eq!(conflated + world.sent_count, all, "sent or passed over");
}

#[test]
fn a_lap_sends_each_change_once_and_ends_with_the_newest() {
    let cases = (1..200_u16, 0..100_u8, prop::collection::vec(op(), 1..40));
    super::runner()
        .run(&cases, |(slots, before, ops)| {
            check(slots, before, &ops);
            Ok(())
        })
        .unwrap();
}

/// A viewer with half the bandwidth of a feed in which every device reports once a second, in the
/// same order. Walking in order of update would meet the same half of them for ever.
#[test]
fn a_viewer_at_half_speed_sees_every_device_however_the_rhythms_meet() {
    for (slot_count, frames_per_turn, updates_per_turn) in
        [(500_u16, 50_u16, 100_u16), (400, 100, 200), (64, 1, 2), (300, 75, 150), (500, 7, 14)]
    {
        let mut board = Board::default();
        let mut newest = 0;
        let mut update = |board: &mut Board, slot: u16| {
            newest += 1;
            board.set(SlotIndex(slot.into()), Sequence(newest), &frame(slot, newest));
            newest
        };
        for slot in 0..slot_count {
            update(&mut board, slot);
        }
        let mut laps = Laps::begin(Sequence(0), &board, Sequence(slot_count.into()));
        let mut chunk = LapChunk::default();
        let mut last_turn = vec![0_u32; slot_count.into()];
        let (mut next, mut rest) = (0, Vec::new());
        let lap_turns = u32::from(slot_count.div_ceil(frames_per_turn));
        let mut oldest_turns = 0;
        for turn in 1..lap_turns * 20 {
            let mut last = Sequence(0);
            for _ in 0..updates_per_turn {
                last = Sequence(update(&mut board, next));
                next = (next + 1) % slot_count;
            }
            let frame_bytes = frame(0, 1).len();
            let mut room = frame_bytes * usize::from(frames_per_turn);
            let kept = rest.len().min(room);
            room -= kept;
            let mut read: Vec<u8> = rest.drain(..kept).collect();
            if rest.is_empty() {
                laps.gather(&board, last, &mut chunk);
                let taken = chunk.bytes().len().min(room);
                read.extend_from_slice(&chunk.bytes()[..taken]);
                let (from, to) = laps.commit(last, &chunk, taken).rest;
                rest.extend_from_slice(&chunk.bytes()[from..to]);
            }
            for bytes in read.chunks(frame_bytes) {
                let text = std::str::from_utf8(&bytes[4..]).unwrap();
                let value: serde_json::Value = serde_json::from_str(text).unwrap();
                let slot: usize = value["deviceId"].as_str().unwrap().parse().unwrap();
                last_turn[slot] = turn;
            }
            if turn > lap_turns * 3 {
                let oldest = turn - last_turn.iter().min().unwrap();
                oldest_turns = oldest_turns.max(oldest);
            }
        }
        let laps_waited = f64::from(oldest_turns) / f64::from(lap_turns);
        assert!(laps_waited <= 2.1, "{slot_count} slots: a device waited {laps_waited:.1} laps");
    }
}

/// Why laps and not the order of update: the same viewer, always served the oldest change first,
/// keeps meeting the devices that are about to report again and never sees the others.
#[test]
fn walking_in_order_of_update_would_starve_devices() {
    let (slot_count, frames_per_turn, updates_per_turn) = (400_u64, 100, 200);
    let mut sequences: Vec<u64> = (1..=slot_count).collect();
    let (mut newest, mut cursor, mut next) = (slot_count, 0, 0);
    let mut last_turn = vec![0; sequences.len()];
    for turn in 1..=100 {
        for _ in 0..updates_per_turn {
            newest += 1;
            sequences[next] = newest;
            next = (next + 1) % sequences.len();
        }
        let mut changed: Vec<usize> =
            (0..sequences.len()).filter(|&slot| sequences[slot] > cursor).collect();
        changed.sort_unstable_by_key(|&slot| sequences[slot]);
        for &slot in changed.iter().take(frames_per_turn) {
            (cursor, last_turn[slot]) = (sequences[slot], turn);
        }
    }
    let starved = last_turn.iter().filter(|&&turn| turn < 50).count();
    assert_eq!(starved, 200, "half of the devices were not seen for 50 turns");
}
