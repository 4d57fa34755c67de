//! One event whose viewers are spread over two shards, beside two events of half the viewers each.
//!
//! The shards take turns on one thread, so the figure is the sum of what two cores would spend.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use engine::fanout::Sent;
use engine::frame;
use engine::id::{EventId, ShardIndex};
use engine::position::Position;
use engine::roster::{Registration, Roster, Seat};
use engine::route::{Routed, owner};
use engine::shard::{Shard, ShardConfig};
use engine::time::Now;
use engine::viewer::Decision;

use super::Case;
use super::connections::Connections;
use super::legs::{DEVICE_COUNT, Sides};
use crate::random::Random;
use crate::scene::{EVENT, position, subscribe_frame_of};

/// The summer of 2026.
const BEGAN_MS: i64 = 1_780_733_730_000;

/// See the module. The two small events are the yardstick.
#[derive(Debug)]
pub struct HotAndSmall {
    case: Case,
    small: Pair,
    hot: Pair,
    random: Random,
    wall_ms: i64,
    next_device: usize,
}

/// Two shards with half of the viewers each.
#[derive(Debug)]
struct Pair {
    shards: [Shard; 2],
    now: Now,
    step: Duration,
    events: Vec<Seats>,
    /// Positions of the legs, by event.
    prepared: Vec<Vec<Routed>>,
    /// Connections of one shard.
    viewer_count: u32,
}

/// An event with the slots of its devices, and the shard that owns it.
#[derive(Debug)]
struct Seats {
    id: EventId,
    owner: usize,
    seats: Vec<Seat>,
}

impl HotAndSmall {
    /// Both sides, ready to send.
    #[must_use]
    pub fn new(case: Case) -> Self {
        let event_of = |shard| {
            let ids = (0..).map(|at| EventId(EVENT.0 + at));
            ids.into_iter().find(|id| owner(*id, 2) == ShardIndex(shard)).expect("half of all ids")
        };
        let mut sides = Self {
            case,
            small: Pair::new(case, &[event_of(0), event_of(1)]),
            hot: Pair::new(case, &[EVENT]),
            random: Random::new(1),
            wall_ms: BEGAN_MS,
            next_device: 0,
        };
        // Rings and pools get the room they need: everything is said once to nobody's expense.
        for _ in 0..2_000 {
            sides.prepare(1);
            sides.small.round(0..case.batch, |_, _| Sent::All);
            sides.hot.round(0..case.batch, |_, _| Sent::All);
        }
        sides
    }
}

impl Sides for HotAndSmall {
    fn prepare(&mut self, round_count: usize) -> u64 {
        self.small.prepared.iter_mut().chain(&mut self.hot.prepared).for_each(Vec::clear);
        // Encoded here once more only to know what every connection is due. Ids have one length.
        let head = frame::head(EVENT);
        let mut frames = Vec::new();
        for _ in 0..round_count * self.case.batch {
            self.wall_ms += 1;
            let position = position(&mut self.random, self.wall_ms);
            self.small.push(self.next_device, position);
            self.hot.push(self.next_device, position);
            frame::encode(&mut frames, &head, device_id(self.next_device).as_bytes(), &position);
            self.next_device = (self.next_device + 1) % DEVICE_COUNT as usize;
        }
        frames.len() as u64
    }

    fn base_round(&mut self, round: usize, connections: &mut Connections) {
        let batch = self.case.batch;
        self.small
            .round(round * batch..(round + 1) * batch, |at, bytes| connections.send(at, bytes));
    }

    fn ours_round(&mut self, round: usize, connections: &mut Connections) {
        let batch = self.case.batch;
        self.hot.round(round * batch..(round + 1) * batch, |at, bytes| connections.send(at, bytes));
    }

    fn verdict(&self) -> Result<(), String> {
        let shards = self.small.shards.iter().chain(&self.hot.shards);
        let open = shards.map(|s| s.pending_count() + s.ledger().conflated).sum::<u64>();
        if open == 0 { Ok(()) } else { Err(format!("{open} frames were not sent")) }
    }
}

impl Pair {
    fn new(case: Case, ids: &[EventId]) -> Self {
        let now = Now { monotonic_us: 0, wall_ms: BEGAN_MS };
        let roster = Arc::new(roster(ids));
        let shard = |index| {
            let config = ShardConfig::new(ShardIndex(index), 2);
            let mut shard = Shard::new(ShardConfig { ping_interval_ms: 0, ..config }, now);
            shard.handle_roster(roster.clone());
            shard
        };
        let seats = |&id: &EventId| {
            let event = roster.event(id).expect("it has devices");
            let slots = roster.events()[event.0 as usize].slots_with_index();
            let seats = slots.map(|(slot, _)| Seat { event, slot }).collect();
            Seats { id, owner: usize::from(owner(id, 2).0), seats }
        };
        let mut pair = Self {
            shards: [shard(0), shard(1)],
            now,
            step: case.interval(),
            events: ids.iter().map(seats).collect(),
            prepared: vec![Vec::new(); ids.len()],
            viewer_count: case.viewer_count / 2,
        };
        for at in 0..2 {
            // Of two events each shard owns one, and its viewers watch that one.
            let event = pair.events.iter().find(|event| event.owner == at);
            let event = event.unwrap_or(&pair.events[0]).id;
            for _ in 0..pair.viewer_count {
                pair.join(at, event);
            }
        }
        pair.drain(&mut |_, _| Sent::All);
        pair
    }

    fn join(&mut self, at: usize, event: EventId) {
        let shard = &mut self.shards[at];
        let viewer = shard.handle_open().expect("a shard has room");
        shard.handle_bytes(viewer, &mut subscribe_frame_of(event));
        let question = shard.poll_question().expect("a subscribe asks for access");
        shard.handle_decision(viewer, question.ticket, Decision::Allowed);
        self.carry();
    }

    /// The same position for every event, so all viewers are due the same bytes.
    fn push(&mut self, device: usize, position: Position) {
        for (event, prepared) in self.events.iter().zip(&mut self.prepared) {
            let Seat { event, slot } = event.seats[device];
            prepared.push(Routed { event, slot, position });
        }
    }

    /// A round on both shards.
    fn round(&mut self, prepared: Range<usize>, mut sink: impl FnMut(usize, &[u8]) -> Sent) {
        self.now.monotonic_us += u64::try_from(self.step.as_micros()).expect("a short step");
        self.now.wall_ms = self.prepared[0][prepared.end - 1].position.timestamp_ms;
        for shard in &mut self.shards {
            shard.handle_time(self.now);
        }
        for (event, positions) in self.events.iter().zip(&self.prepared) {
            self.shards[event.owner].handle_positions(&positions[prepared.clone()]);
        }
        // Owners seal their blocks; then who only serves has something to begin with.
        self.shards.iter_mut().for_each(Shard::handle_flush);
        self.carry();
        self.shards.iter_mut().for_each(Shard::handle_flush);
        self.drain(&mut sink);
    }

    fn drain(&mut self, sink: &mut impl FnMut(usize, &[u8]) -> Sent) {
        for (at, shard) in self.shards.iter_mut().enumerate() {
            let first = at * self.viewer_count as usize;
            while let Some(send) = shard.poll_send() {
                let sent = sink(first + send.viewer.index as usize, send.bytes);
                shard.handle_sent(sent);
            }
            shard.handle_time(self.now);
        }
    }

    /// Carries what the shards say to each other until they are silent.
    fn carry(&mut self) {
        loop {
            let mut carried_count = 0;
            for from in 0..2 {
                while let Some((to, message)) = self.shards[from].poll_peer() {
                    self.shards[usize::from(to.0)].handle_peer(message);
                    carried_count += 1;
                }
            }
            if carried_count == 0 {
                return;
            }
        }
    }
}

fn roster(ids: &[EventId]) -> Roster {
    let devices: Vec<String> = (0..DEVICE_COUNT as usize).map(device_id).collect();
    let pairs = ids.iter().flat_map(|id| devices.iter().map(move |device| (device, *id)));
    let rows: Vec<_> = pairs.map(|(device_id, event)| Registration { device_id, event }).collect();
    Roster::default().next(&rows).expect("a scene keeps the bounds of the engine")
}

fn device_id(device: usize) -> String {
    format!("3563070{device:08}")
}

#[cfg(test)]
mod tests {
    use engine::fanout::Sent;

    use super::{HotAndSmall, Pair};
    use crate::sockets::Case;
    use crate::sockets::legs::Sides;

    #[test]
    fn both_sides_send_the_same_bytes_to_every_connection() {
        let mut sides = HotAndSmall::new(Case { batch: 4, viewer_count: 6 });
        let due_bytes = usize::try_from(sides.prepare(2)).unwrap();
        let check = |pair: &mut Pair| {
            let mut bytes = [0; 6];
            for round in 0..2 {
                let sink = |at: usize, sent: &[u8]| {
                    bytes[at] += sent.len();
                    Sent::All
                };
                pair.round(round * 4..(round + 1) * 4, sink);
            }
            assert_eq!(bytes, [due_bytes; 6]);
        };
        check(&mut sides.small);
        check(&mut sides.hot);
        sides.verdict().unwrap();
    }
}
