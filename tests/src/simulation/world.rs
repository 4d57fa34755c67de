//! A world: what is in it, and the dice that decide what happens next.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::id::{EventId, ShardIndex, ViewerId};
use engine::position::Position;
use engine::roster::Roster;
use engine::route::{Routed, Router, owner};
use engine::shard::{PeerMessage, Shard, ShardConfig, Withdrawal};
use engine::time::Now;

use super::client::{Client, Manner};
use super::model::{Model, Tally};
use super::oracle::Watch;
use super::random::{Random, mix};
use super::speech::Wish;
use super::{Class, Summary, Verdict, Violation, ensure, small};

/// By event and device: who is registered.
#[derive(Clone, Debug)]
pub(super) struct Registered(pub(super) Vec<Vec<bool>>);

/// What a router says to a shard, and what the model makes of it.
#[derive(Debug)]
pub(super) enum FromRouter {
    /// A roster, and what it says.
    Roster(Arc<Roster>, Arc<Registered>),
    /// A batch, and for each of it the event and the record.
    Positions(Vec<Routed>, Vec<(usize, u32)>),
    /// A withdrawal: event, device, device time, and the record that is left.
    Withdrawal(Withdrawal, (usize, u32, i64, u32)),
}

/// A shard and what is on its way to it.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) shard: Shard,
    pub(super) from_router: VecDeque<FromRouter>,
    /// By sender.
    pub(super) from_peers: Vec<VecDeque<PeerMessage>>,
    /// Viewers who are there.
    pub(super) clients: Vec<usize>,
    /// Most viewers who were there at once, the bound of its table.
    pub(super) places: usize,
    pub(super) tally: Tally,
    pub(super) viewers_max: usize,
}

/// A question that the authority has not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) client: usize,
    pub(super) viewer: ViewerId,
    pub(super) ticket: u32,
}

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) escaped: String,
    pub(super) newest_ms: i64,
    /// What it sent that might be shown, for fallbacks.
    pub(super) sent: Vec<u32>,
}

/// How often things happen in this world, in parts of a thousand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) steps: usize,
    pub(super) positions: usize,
    pub(super) batch_max: usize,
    pub(super) rosters: usize,
    pub(super) withdrawals: usize,
    pub(super) viewers_max: usize,
    pub(super) requests: usize,
    pub(super) trouble: usize,
    pub(super) stalls: usize,
    pub(super) leaps: usize,
    pub(super) delays: usize,
    pub(super) early_stops: usize,
}

/// One remembered step.
#[derive(Clone, Copy, Debug)]
struct Mark {
    step: u64,
    what: &'static str,
    numbers: [u64; 3],
}

const MARKS: usize = 40;

/// Devices of a crowded world.
const CROWD: usize = 1500;

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    pub(super) random: Random,
    pub(super) plan: Plan,
    pub(super) now: Now,
    pub(super) model: Model,
    pub(super) hosts: Vec<Host>,
    pub(super) router: Router,
    pub(super) registered: Arc<Registered>,
    pub(super) devices: Vec<Device>,
    /// By record.
    pub(super) positions: Vec<Position>,
    pub(super) event_ids: Vec<EventId>,
    pub(super) clients: Vec<Client>,
    pub(super) questions: Vec<Pending>,
    pub(super) summary: Summary,
    pub(super) orphan_count: u64,
    /// Whose connection broke last, and when.
    pub(super) lost: Option<(u64, ViewerId)>,
    marks: Vec<Mark>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let shard_count =
            if random.permille(600) { 1 + random.below(2) } else { random.between(1, 8) };
        // A crowd is rare, since it costs as much as fifty small worlds; only there is a range of a
        // lap longer than what is kept behind a cut frame.
        let device_count = match random.below(200) {
            0 => CROWD,
            1..10 => 200,
            10..70 => random.between(1, 5),
            _ => random.between(4, 40),
        };
        let event_count = if random.permille(20) { 40 } else { random.between(2, 7) };
        let now = Now { monotonic_us: 5_000_000, wall_ms: 1_780_000_000_000 };
        let mut plan = Plan::draw(&mut random);
        if device_count == CROWD {
            plan.batch_max = 400;
            plan.positions = 700;
            plan.steps = 300;
            plan.leaps = 30;
            plan.stalls = 20;
        }
        let viewers_max = if random.permille(100) { 3 } else { 1000 };
        let host = |at: usize| {
            let index = ShardIndex(u8::try_from(at).expect("at most 8"));
            let mut config = ShardConfig::new(index, u8::try_from(shard_count).expect("at most 8"));
            config.viewers_max = viewers_max;
            Host {
                shard: Shard::new(config, now),
                from_router: VecDeque::new(),
                from_peers: (0..shard_count).map(|_| VecDeque::new()).collect(),
                clients: Vec::new(),
                places: 0,
                tally: Tally::default(),
                viewers_max,
            }
        };
        let hosts = (0..shard_count).map(host).collect();
        let mut world = Self {
            plan,
            now,
            model: Model::default(),
            hosts,
            router: Router::new(u8::try_from(shard_count).expect("at most 8")),
            registered: Arc::new(Registered(vec![vec![false; device_count]; event_count])),
            devices: (0..device_count)
                .map(|at| Device::new(at, &mut random, now.wall_ms))
                .collect(),
            positions: Vec::new(),
            event_ids: Vec::new(),
            clients: Vec::new(),
            questions: Vec::new(),
            summary: Summary::default(),
            orphan_count: 0,
            lost: None,
            marks: Vec::with_capacity(MARKS),
            random,
        };
        for _ in 0..event_count {
            let high = u128::from(world.random.bits()) << 64;
            let id = EventId(high | u128::from(world.random.bits()));
            world.model.add_event(uuid(id), device_count);
            world.event_ids.push(id);
        }
        world
    }

    /// Lives to the end.
    pub(super) fn live(&mut self) -> Result<Summary, Violation> {
        self.change_roster();
        for step in 0..self.plan.steps {
            self.happen();
            let at = self.random.below(self.hosts.len());
            self.pass();
            self.turn(at, false)?;
            if step % 256 == 255 && self.random.permille(300) {
                self.settle()?;
            }
        }
        self.end()?;
        for client in &self.clients {
            self.summary.frames += client.watch.frame_count;
            self.summary.snapshots += client.watch.snapshot_count;
            self.summary.repeats += client.watch.repeat_count;
            self.summary.hash = mix(self.summary.hash ^ client.taken());
        }
        for host in &self.hosts {
            self.summary.conflated += host.shard.ledger().conflated;
        }
        self.summary.viewers = self.clients.len() as u64;
        Ok(self.summary)
    }

    pub(super) const fn step(&self) -> u64 {
        self.summary.steps
    }

    /// The last things that happened, as lines.
    pub(super) fn tail(&self) -> Vec<String> {
        let mut marks = self.marks.clone();
        marks.sort_by_key(|mark| mark.step);
        let line = |m: &Mark| format!("step {} {} {:?}", m.step, m.what, m.numbers);
        marks.iter().map(line).collect()
    }

    pub(super) fn mark(&mut self, what: &'static str, numbers: [u64; 3]) {
        let mark = Mark { step: self.summary.steps, what, numbers };
        if self.marks.len() == MARKS {
            self.marks.remove(0);
        }
        self.marks.push(mark);
    }

    /// The viewer who has this name on this shard and is still there.
    pub(super) fn client_of(&self, at: usize, id: ViewerId) -> Option<usize> {
        self.hosts[at].clients.iter().copied().find(|&client| self.clients[client].id == id)
    }

    pub(super) fn owner_of(&self, event: usize) -> usize {
        let count = u8::try_from(self.hosts.len()).expect("at most 8");
        usize::from(owner(self.event_ids[event], count).0)
    }

    /// What comes from outside before a turn.
    fn happen(&mut self) {
        if self.random.permille(self.plan.positions) {
            self.send_positions();
        }
        if self.random.permille(self.plan.rosters) {
            self.change_roster();
        }
        if self.random.permille(self.plan.withdrawals) {
            self.withdraw();
        }
        if !self.clients.is_empty() && self.random.permille(self.plan.requests) {
            self.act();
        }
    }

    /// Time passes, mostly little.
    fn pass(&mut self) {
        let passed_us = match self.random.below(1000) {
            roll if roll < self.plan.leaps => self.random.between(500_000, 50_000_000),
            roll if roll < 400 => self.random.between(0, 300),
            _ => self.random.between(0, 20_000),
        };
        self.advance(passed_us as u64);
        if self.random.permille(3) {
            self.now.wall_ms += self.random.signed(-3_600_000, 600_000);
        }
    }

    pub(super) fn advance(&mut self, passed_us: u64) {
        let before_ms = self.now.monotonic_ms();
        self.now.monotonic_us += passed_us;
        let passed_ms = self.now.monotonic_ms() - before_ms;
        self.now.wall_ms += i64::try_from(passed_ms).expect("a short while");
    }

    /// A viewer knocks.
    pub(super) fn open(&mut self, at: usize, manner: Manner) -> Result<Option<usize>, Violation> {
        let host = &mut self.hosts[at];
        // A viewer may have gone in this turn and not have been reported yet.
        let is_full = host.shard.viewer_count() >= host.viewers_max;
        let Some(id) = host.shard.handle_open() else {
            ensure(is_full, Class::Order, || "turned away although there is room".into())?;
            return Ok(None);
        };
        ensure(!is_full, Class::Memory, || "let in although the shard is full".into())?;
        let is_fresh = self.clients.iter().all(|known| known.shard != at || known.id != id);
        ensure(is_fresh, Class::Foreign, || format!("{id:?} was given away twice"))?;
        let client = self.clients.len();
        host.clients.push(client);
        host.places = host.places.max(host.clients.len());
        let watch = Watch::new(&self.model, manner.is_fast, self.now.monotonic_ms());
        self.clients.push(Client::new(at, id, manner, watch));
        Ok(Some(client))
    }

    /// A viewer does something.
    fn act(&mut self) {
        let client = self.random.below(self.clients.len());
        let event = self.random.below(self.event_ids.len());
        let Self { random, clients, model, plan, .. } = self;
        let viewer = &mut clients[client];
        if !viewer.is_there {
            return;
        }
        let gives_id = viewer.manner.gives_ids;
        let subscribe = Wish { event, is_subscribe: true, gives_id };
        let is_trouble = random.permille(plan.trouble);
        match random.below(100) {
            0..5 if is_trouble => viewer.speech.blunder(random),
            5..15 if is_trouble => {
                let code = [None, Some(1000), Some(1001), Some(4000)][random.below(4)];
                viewer.speech.close(code, random);
            }
            15..20 if is_trouble => (0..25).for_each(|_| viewer.speech.ping(random)),
            20..30 if is_trouble => {
                (0..12).for_each(|_| viewer.speech.nonsense(model, event, random));
            }
            30..36 if is_trouble => {
                (0..70).for_each(|_| viewer.speech.request(model, subscribe, random));
            }
            36..42 => viewer.speech.nonsense(model, event, random),
            42..48 => viewer.speech.ping(random),
            48..50 => viewer.speech.pong(random),
            50..65 => {
                let unsubscribe = Wish { is_subscribe: false, ..subscribe };
                viewer.speech.request(model, unsubscribe, random);
            }
            65..70 => {
                let burst = random.between(5, 18);
                (0..burst).for_each(|_| {
                    let event = random.below(model.events.len());
                    let wish = Wish { event, is_subscribe: random.permille(700), gives_id };
                    viewer.speech.request(model, wish, random);
                });
            }
            _ => viewer.speech.request(model, subscribe, random),
        }
        self.mark("act", [client as u64, event as u64, 0]);
    }

    /// A viewer has gone; `reason` tells the ways apart in the hash.
    pub(super) fn forget(&mut self, client: usize, reason: u64) -> Verdict {
        let viewer = &mut self.clients[client];
        ensure(viewer.is_there, Class::Order, || format!("viewer {client} goes twice"))?;
        viewer.leave();
        let at = viewer.shard;
        self.hosts[at].clients.retain(|&known| known != client);
        self.summary.hash = mix(self.summary.hash ^ reason ^ (client as u64) << 8);
        self.mark("gone", [client as u64, reason, small(at).into()]);
        Ok(())
    }
}

impl Plan {
    fn draw(random: &mut Random) -> Self {
        let calm = random.permille(200);
        Self {
            steps: random.between(150, 500),
            positions: random.between(100, 900),
            batch_max: if random.permille(100) { 60 } else { random.between(1, 10) },
            rosters: random.below(15),
            withdrawals: random.below(40),
            viewers_max: random.between(1, 20),
            requests: random.between(50, 400),
            trouble: if calm { 0 } else { random.below(400) },
            stalls: random.below(40),
            leaps: random.below(25),
            delays: random.below(800),
            early_stops: if random.permille(500) { 0 } else { random.below(600) },
        }
    }
}

impl Device {
    fn new(at: usize, random: &mut Random, wall_ms: i64) -> Self {
        let (name, escaped) = match random.below(30) {
            0 => (format!("{at:04}"), format!("{at:04}")),
            1 => (format!("a\"b\\{at:04}"), format!("a\\\"b\\\\{at:04}")),
            2 => (format!("\u{1}é{at:04}"), format!("\\u0001é{at:04}")),
            3 => (
                format!("{}{at:04}", "\u{2}".repeat(60)),
                format!("{}{at:04}", "\\u0002".repeat(60)),
            ),
            _ => (format!("35630704244{at:04}"), format!("35630704244{at:04}")),
        };
        Self { name, escaped, newest_ms: wall_ms - 10_000, sent: Vec::new() }
    }
}

fn uuid(id: EventId) -> [u8; 36] {
    let mut text = [b'-'; 36];
    let digits = format!("{:032x}", id.0);
    let places = (0..36).filter(|at| !matches!(at, 8 | 13 | 18 | 23));
    for (at, digit) in places.zip(digits.bytes()) {
        text[at] = digit;
    }
    text
}
