//! Kills pitwall, Redis and PostgreSQL under a steady load, at moments that chance or the wire chooses.
//!
//! Many cycles make a world: fresh servers, a producer, one instance of pitwall and at times a
//! second. At its end everything runs, all that waits is stored, and the oracle judges. Worlds know
//! nothing of each other, so that some run at once, and one can be lived through again.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::ground::{APPEND_ALWAYS, DURABLE, Ground};
use super::plan::{Cycle, Victim, When};
use super::point::{self, Point};
use super::seat::Seat;
use super::{Say, all, is_clean};
use crate::oracle::{Verdict, is_drained};
use crate::postgres::Postgres;
use crate::producer::{Mix, Producer, Steady};
use crate::program::comes_true;
use crate::proxy::{Ending, Rule};
use crate::scene::metric;

/// Cycles of one world.
pub const WORLD_CYCLES: u32 = 50;

/// Moments on the wire at which pitwall is killed.
#[must_use]
pub fn point_count() -> usize {
    point::all().len()
}

/// How long a point is waited for; then it is killed without.
const POINT_PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at a wire.
const WIRE_LOOK: Duration = Duration::from_millis(1);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Order {
    /// Decides all but time.
    pub seed: u64,
    /// The first cycle; best a multiple of [`WORLD_CYCLES`].
    pub from: u32,
    /// How many cycles.
    pub cycles: u32,
    /// Records a second.
    pub per_second: u32,
    /// Worlds at once.
    pub at_once: u32,
    /// A program that calls [`super::serve`] when it is told to `serve`.
    pub program: PathBuf,
}

/// What was done, and what has become of the records.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Kills of pitwall.
    pub pitwall: u64,
    /// Kills of Redis.
    pub redis: u64,
    /// Kills of PostgreSQL, or of one of its processes.
    pub postgres: u64,
    /// The moments on the wire at which pitwall was killed.
    pub points: BTreeSet<String>,
    /// Cycles that waited in vain for such a moment, and killed without.
    pub missed: u64,
    /// What has become of the records.
    pub verdict: Verdict,
}

impl Outcome {
    /// True when nothing is lost, nothing is there twice, and nothing is left over.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        is_clean(&self.verdict)
    }

    /// All kills.
    #[must_use]
    pub fn kills(&self) -> u64 {
        self.pitwall + self.redis + self.postgres
    }

    fn join(&mut self, other: Self) {
        self.pitwall += other.pitwall;
        self.redis += other.redis;
        self.postgres += other.postgres;
        self.points.extend(other.points);
        self.missed += other.missed;
        self.verdict.join(other.verdict);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pitwall, redis, postgres, points, .. } = self;
        write!(
            formatter,
            "{} kills (pitwall {pitwall}, at {} points of its work, Redis {redis}, PostgreSQL \
             {postgres}), {}",
            self.kills(),
            points.len(),
            self.verdict
        )
    }
}

/// Lives through all worlds of the order.
///
/// # Errors
/// When something does not go on, or an instance ends by itself: with what is known of it.
pub fn run(order: &Order, say: Say<'_>) -> Result<Outcome, String> {
    let until = order.from + order.cycles;
    let worlds = order.cycles.div_ceil(WORLD_CYCLES);
    let outcomes = all(worlds, order.at_once, |number| {
        let from = order.from + number * WORLD_CYCLES;
        let to = until.min(from + WORLD_CYCLES);
        let seed = order.seed;
        let replay = format!("cargo campaign --seed {seed} --from {from} --cycles {}", to - from);
        let outcome = World::start(order, from).live(from..to, say);
        let outcome = outcome.map_err(|what| format!("{what}\nreplay: {replay}"))?;
        if !outcome.is_clean() {
            return Err(format!("{outcome}\nreplay: {replay}"));
        }
        say(&format!("{}.{from} to {}: {outcome}", order.seed, to - 1));
        Ok(outcome)
    })?;
    let mut total = Outcome::default();
    outcomes.into_iter().for_each(|outcome| total.join(outcome));
    Ok(total)
}

struct World {
    seed: u64,
    postgres: Postgres,
    ground: Ground,
    seats: [Seat; 2],
    /// Absent at the end.
    load: Option<Steady>,
    outcome: Outcome,
}

impl World {
    fn start(order: &Order, number: u32) -> Self {
        let postgres = Postgres::start(DURABLE);
        let ground = Ground::start(APPEND_ALWAYS, postgres.url());
        let redis = ground.redis.port();
        let seat = |letter| Seat::new(letter, order.program.clone(), redis, postgres.port());
        let mut seats = ['a', 'b'].map(seat);
        seats[0].start();
        let mix = Mix { undecodable: 8, refused: 4, ..Mix::rough(order.seed + u64::from(number)) };
        let load = Producer::new(redis, mix).steady(order.per_second);
        let load = Some(load);
        Self { seed: order.seed, postgres, ground, seats, load, outcome: Outcome::default() }
    }

    fn live(mut self, cycles: impl Iterator<Item = u32>, say: Say<'_>) -> Result<Outcome, String> {
        for number in cycles {
            let cycle = Cycle::new(self.seed, number);
            let began = Instant::now();
            let done = self.turn(&cycle);
            let (took, id) = (began.elapsed().as_secs_f64(), format!("{}.{number}", self.seed));
            say(&format!("{id} {cycle}: {took:.2} s, until {}", now_ms()));
            done.map_err(|what| format!("{id} {cycle}: {what}{}", self.told()))?;
        }
        self.end().map_err(|what| format!("at the end: {what}{}", self.told()))
    }

    fn turn(&mut self, cycle: &Cycle) -> Result<(), String> {
        self.crew(cycle);
        let seat = usize::from(cycle.is_second);
        match &cycle.when {
            When::AtOnce => {}
            When::Rows(rows) => self.until_stored(*rows)?,
            When::Point(point, skip) => {
                if !self.has_come(seat, point, *skip) {
                    self.outcome.missed += 1;
                } else if cycle.kills(Victim::Pitwall) {
                    self.outcome.points.insert(point.name.clone());
                }
            }
        }
        self.kill(cycle, seat);
        // What a point has stopped is not to be stopped any longer.
        self.seats[seat].redis.release();
        self.seats[seat].postgres.release();
        if !cycle.kills(Victim::Redis) {
            let load = self.load.as_ref().expect("it is producing");
            let records = load.count() + cycle.records_down;
            self.ground.until("records are produced", |_| load.count() >= records)?;
        }
        self.start_again(cycle, seat);
        self.until("all processes run", |_, _| true)
    }

    /// Has the second instance come or go.
    fn crew(&mut self, cycle: &Cycle) {
        if cycle.has_second && !self.seats[1].is_taken() {
            self.seats[1].rename();
            self.start_seat(1);
        } else if !cycle.has_second && self.seats[1].kill() {
            self.outcome.pitwall += 1;
        }
    }

    fn until_stored(&mut self, more: u64) -> Result<(), String> {
        let mut aim = None;
        self.until("more rows are stored", |ground, _| {
            ground.stored().is_some_and(|stored| stored >= *aim.get_or_insert(stored + more))
        })
    }

    /// Waits until a point has come at a place, where what was asked stands still then. False when it
    /// does not come.
    fn has_come(&self, seat: usize, point: &Point, skip: usize) -> bool {
        let seat = &self.seats[seat];
        let proxy = if point.is_of_redis { &seat.redis } else { &seat.postgres };
        let skip = if point.is_first { 0 } else { skip };
        let rule = Rule::new(point.event.clone(), point.moment, Ending::Silence).skip(skip);
        let trap = proxy.trap(rule);
        if point.is_first {
            proxy.reset();
        }
        let has_come = comes_true(POINT_PATIENCE, WIRE_LOOK, || trap.struck() > 0);
        trap.disarm();
        has_come
    }

    fn kill(&mut self, cycle: &Cycle, seat: usize) {
        for victim in &cycle.victims {
            match victim {
                Victim::Pitwall => self.outcome.pitwall += u64::from(self.seats[seat].kill()),
                Victim::Redis => {
                    self.ground.redis.kill();
                    self.outcome.redis += 1;
                }
                Victim::Postgres => {
                    self.postgres.kill();
                    self.outcome.postgres += 1;
                }
                Victim::Backend => {
                    self.postgres.kill_one();
                    self.outcome.postgres += 1;
                }
            }
        }
    }

    fn start_again(&mut self, cycle: &Cycle, seat: usize) {
        let is_pitwall_down = cycle.kills(Victim::Pitwall);
        if is_pitwall_down && !cycle.keeps_name {
            self.seats[seat].rename();
        }
        if is_pitwall_down && cycle.is_pitwall_first {
            self.start_seat(seat);
        }
        if cycle.kills(Victim::Redis) {
            self.ground.redis.restart(APPEND_ALWAYS);
        }
        if cycle.kills(Victim::Postgres) {
            self.postgres.start_again();
        }
        if is_pitwall_down && !cycle.is_pitwall_first {
            self.start_seat(seat);
        } else if is_pitwall_down {
            self.forget_lease(seat);
        }
    }

    /// Starts the process of a place.
    fn start_seat(&mut self, seat: usize) {
        self.forget_lease(seat);
        self.seats[seat].start();
    }

    /// The lease of a process that was killed would run out after a while; that while is left out.
    fn forget_lease(&self, seat: usize) {
        let key = pitwall::lease::key(&self.seats[seat].instance_id());
        let client = redis::Client::open(self.ground.redis.url()).expect("the address of a server");
        // Where Redis is away nobody holds a lease.
        if let Ok(mut redis) = client.get_connection() {
            redis::cmd("DEL").arg(key).query::<u64>(&mut redis).expect("a key may be deleted");
        }
    }

    /// What was logged last.
    fn told(&self) -> String {
        self.seats.iter().map(|seat| format!("\n{}:\n{}", seat.instance_id(), seat.log())).collect()
    }

    /// Everything runs; all that waits is stored, and judged.
    fn end(&mut self) -> Result<Outcome, String> {
        let log = self.load.take().expect("it was producing").stop();
        let port = self.ground.redis.port();
        self.until("all is stored and acknowledged", |_, _| is_drained(port))?;
        self.until("no instance has anything left over", |_, seats| {
            let mut taken = seats.iter().filter(|seat| seat.is_taken());
            taken.all(|seat| metric(seat.admin, "processor_writer_residual") == Some(0.0))
        })?;
        self.outcome.verdict = self.ground.judge(log.log());
        Ok(std::mem::take(&mut self.outcome))
    }

    /// Waits until something is true; no instance may end by itself meanwhile.
    fn until(
        &mut self,
        what: &str,
        mut is_true: impl FnMut(&mut Ground, &[Seat; 2]) -> bool,
    ) -> Result<(), String> {
        let Self { ground, seats, .. } = self;
        let mut ended = None;
        let waited = ground.until(what, |ground| {
            ended = seats.iter_mut().find_map(Seat::has_ended);
            ended.is_some() || is_true(ground, seats)
        });
        ended.map_or(waited, Err)
    }
}

/// The time of the wall, for comparison with the ids of entries.
fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_millis()
}
