//! A whole race in virtual time, driven by one seed: shards, a router, devices, viewers, and an
//! oracle that believes only the bytes.
//!
//! A world has one to eight shards whose messages travel as late as chance will have it, but in
//! order between any two of them. Devices report in order, late, twice, from the future, from
//! nowhere; rosters change; fixes are withdrawn. Viewers ask, err, stall, read byte by byte, leave
//! without a word. The same seed is the same world, to the byte.
//!
//! The oracle shares no code with the engine: it scans frames and texts by itself and compares them
//! with a model written from the rules of the wire.

mod client;
mod fairness;
mod model;
mod oracle;
mod quiet;
mod race;
mod random;
mod speech;
mod turn;
mod wire;
mod world;

use std::fmt;

/// What kind of promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Time went back, or something was sent twice.
    Backward,
    /// Something that was due never came.
    Lost,
    /// Something came to one who may not have it, or that never was.
    Foreign,
    /// The engine's own accounts do not balance, or differ from what was seen.
    Residual,
    /// Replies, closes and ends are not what was asked, or not in order.
    Order,
    /// Bytes that no correct server sends.
    Wire,
    /// Memory does not come back, or grows without bound.
    Memory,
    /// A slow viewer is left with old positions.
    Fairness,
    /// The engine stopped on an assertion of its own.
    Panic,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which kind.
    pub class: Class,
    /// What was seen.
    pub what: String,
}

/// All is well, or it is not.
pub type Verdict = Result<(), Violation>;

impl Violation {
    /// A violation with its description.
    #[must_use]
    pub fn new(class: Class, what: &str) -> Self {
        Self { class, what: what.to_owned() }
    }
}

/// A seed whose world broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The step at which it was noticed.
    pub step: u64,
    /// What was broken.
    pub violation: Violation,
    /// The last things that happened.
    pub tail: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.tail {
            writeln!(formatter, "    {line}")?;
        }
        let Violation { class, what } = &self.violation;
        writeln!(formatter, "seed {} step {}: {class:?}: {what}", self.seed, self.step)?;
        write!(formatter, "replay: cargo simulate --seed {}", self.seed)
    }
}

/// What happened in one world, or in many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Turns of shards.
    pub steps: u64,
    /// Positions that devices sent.
    pub positions: u64,
    /// Viewers that came.
    pub viewers: u64,
    /// Frames of positions that were begun.
    pub frames: u64,
    /// Snapshots that were judged.
    pub snapshots: u64,
    /// Frames repeated into a silence.
    pub repeats: u64,
    /// Frames passed over for slow viewers.
    pub conflated: u64,
    /// Viewers that went without a proper close.
    pub kills: u64,
    /// Folded from everything that was delivered, and why viewers went.
    pub hash: u64,
}

impl Summary {
    /// Adds what happened in another world.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.positions += other.positions;
        self.viewers += other.viewers;
        self.frames += other.frames;
        self.snapshots += other.snapshots;
        self.repeats += other.repeats;
        self.conflated += other.conflated;
        self.kills += other.kills;
        self.hash = random::mix(self.hash ^ other.hash);
    }
}

/// Every so many seeds a world is one of the rhythm of a slow reader instead.
const FAIRNESS_EVERY: u64 = 40;

/// Lives through the world of one seed.
///
/// # Errors
/// At the first promise that is broken.
pub fn run(seed: u64) -> Result<Summary, Box<Failure>> {
    let mut world = world::World::new(seed);
    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        if seed % FAIRNESS_EVERY == 7 { fairness::run(seed) } else { world.live() }
    }));
    let violation = match lived {
        Ok(Ok(summary)) => return Ok(summary),
        Ok(Err(violation)) => violation,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Violation::new(Class::Panic, text.unwrap_or("a panic without words"))
        }
    };
    let step = world.step();
    Err(Box::new(Failure { seed, step, violation, tail: world.tail() }))
}

/// Breaks off when something does not hold.
pub(crate) fn ensure(holds: bool, class: Class, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Violation { class, what: what() }) }
}

/// A count of this small world as an index of the engine.
pub(crate) fn small(count: usize) -> u32 {
    u32::try_from(count).expect("worlds are small")
}
