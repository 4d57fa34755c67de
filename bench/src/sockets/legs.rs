//! The two sides that send the same bytes: a bare loop and a shard of the engine.

use std::time::{Duration, Instant};

use engine::fanout::Sent;

use super::connections::Connections;
use super::reader::{Reader, Reading};
use super::{Case, Effort, cpu_time};
use crate::scene::{Scene, Shape};

/// Devices of the event.
pub const DEVICE_COUNT: u32 = 500;

/// What one pair of legs took.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// CPU time of a delivered frame on the side that is the yardstick.
    pub base_ns: f64,
    /// The same on the side that is measured.
    pub ours_ns: f64,
}

/// What a case gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The case.
    pub case: Case,
    /// In the order they ran.
    pub pairs: Vec<Pair>,
    /// Highest load of the reader in any leg.
    pub reader_load: f64,
    /// Most bytes that waited at one connection in any leg.
    pub backlog_bytes: u64,
}

/// Both sides of a comparison over the same connections. Each leg leaves the same bytes behind.
pub trait Sides {
    /// Invents what the next pair of legs sends: bytes for each connection, in so many rounds.
    fn prepare(&mut self, round_count: usize) -> u64;

    /// The next round of the side that is the yardstick.
    fn base_round(&mut self, round: usize, connections: &mut Connections);

    /// The next round of the side that is measured.
    fn ours_round(&mut self, round: usize, connections: &mut Connections);

    /// Whether the measured side accounts for every frame.
    ///
    /// # Errors
    /// When it does not.
    fn verdict(&self) -> Result<(), String>;
}

/// Runs pairs of legs.
///
/// # Errors
/// When a leg must not count.
pub fn measure(
    case: Case,
    effort: Effort,
    reading_core: usize,
    sides: &mut impl Sides,
) -> Result<Outcome, String> {
    let mut reader = Reader::start(reading_core, case.viewer_count)?;
    let mut connections = Connections::open(reader.port, case.viewer_count)?;
    // Nothing has been sent: this begins the count.
    reader.ask(0)?;
    let round_count = case.round_count(effort.leg);
    let mut outcome = Outcome { case, pairs: Vec::new(), reader_load: 0.0, backlog_bytes: 0 };
    for number in 0..=effort.pair_count {
        let bytes = sides.prepare(round_count);
        let spent = alternate(case.interval(), round_count, sides, &mut connections);
        connections.verdict()?;
        sides.verdict()?;
        outcome.note(reader.ask(2 * bytes)?);
        let frame_count = case.frame_count(round_count);
        let [base_ns, ours_ns] = spent.map(|spent| per_frame_ns(spent, frame_count));
        // The first pair warms sockets, pools and caches.
        if number > 0 {
            outcome.pairs.push(Pair { base_ns, ours_ns });
        }
    }
    Ok(outcome)
}

/// CPU time of a leg of each side. Their rounds take turns, so what else the machine does meets both.
fn alternate(
    interval: Duration,
    round_count: usize,
    sides: &mut impl Sides,
    connections: &mut Connections,
) -> [Duration; 2] {
    let mut spent = [Duration::ZERO; 2];
    let mut due = Instant::now();
    for turn in 0..2 * round_count {
        let now = Instant::now();
        if let Some(rest) = due.checked_duration_since(now) {
            std::thread::sleep(rest);
        }
        // A round that is late is not made up for: the reader must keep up.
        due = due.max(now) + interval;
        let round = turn / 2;
        let began = cpu_time();
        // Base, ours, ours, base: who goes first goes second the next time.
        let side = (turn + round) % 2;
        match side {
            0 => sides.base_round(round, connections),
            _ => sides.ours_round(round, connections),
        }
        spent[side] += cpu_time().saturating_sub(began);
    }
    spent
}

impl Outcome {
    fn note(&mut self, reading: Reading) {
        self.reader_load = self.reader_load.max(reading.load());
        self.backlog_bytes = self.backlog_bytes.max(reading.backlog_bytes);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a leg is far below 2^53 nanoseconds and frames")]
fn per_frame_ns(spent: Duration, frame_count: u64) -> f64 {
    spent.as_nanos() as f64 / frame_count as f64
}

/// A bare loop of sends beside itself: what the ratio is when there is no difference.
#[derive(Debug)]
pub struct BareTwice(pub BareAndShard);

impl Sides for BareTwice {
    fn prepare(&mut self, round_count: usize) -> u64 {
        self.0.prepare(round_count)
    }

    fn base_round(&mut self, round: usize, connections: &mut Connections) {
        self.0.base_round(round, connections);
    }

    fn ours_round(&mut self, round: usize, connections: &mut Connections) {
        self.0.base_round(round, connections);
    }

    fn verdict(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A bare loop of sends beside a shard that judges, encodes and fans out to viewers.
#[derive(Debug)]
pub struct BareAndShard {
    case: Case,
    scene: Scene,
    /// The same scene with one viewer: it says which bytes the bare loop sends.
    twin: Scene,
    blocks: Vec<Vec<u8>>,
}

impl BareAndShard {
    /// Both sides, ready to send.
    #[must_use]
    pub fn new(case: Case) -> Self {
        let warm = |viewer_count| {
            let shape = Shape { device_count: DEVICE_COUNT, viewer_count };
            let mut scene = Scene::warm(shape, case.batch);
            scene.pace(case.interval());
            scene
        };
        let (scene, twin) = (warm(case.viewer_count), warm(1));
        let indices = scene.viewers().iter().map(|viewer| viewer.index);
        assert!(indices.eq(0..case.viewer_count), "viewers and connections have the same places");
        Self { case, scene, twin, blocks: Vec::new() }
    }
}

impl Sides for BareAndShard {
    fn prepare(&mut self, round_count: usize) -> u64 {
        let position_count = round_count * self.case.batch;
        self.scene.prepare(position_count);
        self.twin.prepare(position_count);
        self.blocks.clear();
        let drained = self.twin.steps(self.case.batch, |send| {
            self.blocks.push(send.bytes.to_vec());
            Sent::All
        });
        assert_eq!(self.blocks.len(), round_count, "one block a round");
        drained.bytes
    }

    fn base_round(&mut self, round: usize, connections: &mut Connections) {
        let block = &self.blocks[round];
        for at in 0..connections.count() {
            // What is cut or broken is counted there, and refuses the leg.
            connections.send(at, block);
        }
    }

    fn ours_round(&mut self, round: usize, connections: &mut Connections) {
        let batch = self.case.batch;
        self.scene.step(round * batch..(round + 1) * batch, |send| {
            connections.send(send.viewer.index as usize, send.bytes)
        });
    }

    fn verdict(&self) -> Result<(), String> {
        let shard = self.scene.shard();
        match (shard.residual(), shard.pending_count(), shard.ledger().conflated) {
            (0, 0, 0) => Ok(()),
            (residual, pending, conflated) => Err(format!(
                "of the frames due, {residual} are unexplained, {pending} pending, {conflated} conflated"
            )),
        }
    }
}
