//! The devices of a race, each on a TCP connection of its own, as Teltonika's are.
//!
//! A device says its IMEI, sends a packet, waits for the answer, and keeps every packet until it is
//! answered with the right number of records; then comes the next. What was not answered it sends
//! again, on a new connection. Packets are due by a fixed schedule: while a device waits, they
//! gather with it, up to a bound.
//!
//! One thread drives all of them, another makes up the race. [`Firehose`] is the handle of both.

mod device;
mod tally;
mod turn;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use tally::Counts;

use crate::race::{Race, RaceConfig};
use crate::schedule::{Clock, Dates, Pace, Schedule, wall_us};
use crate::sockets;

/// Most devices of one process.
pub const DEVICES_MAX: u32 = 50_000;

/// Packets that a device keeps, unless told otherwise: four minutes of a race. When it has more, it
/// forgets the oldest. Of 50,000 devices that are never answered they cost some 3 GB.
const KEPT_PACKETS_MAX: usize = 256;

/// How often the counts are shown.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// Whom the devices call, and how.
#[derive(Clone, Debug)]
pub struct FirehoseConfig {
    /// Who listens.
    pub target: SocketAddr,
    /// Decides everything that is random.
    pub seed: u64,
    /// The race that the devices drive; at most [`DEVICES_MAX`] of them.
    pub race: RaceConfig,
    /// Seconds of the race that have passed when the devices begin; they count among its own.
    pub passed_s: u32,
    /// How fast it passes.
    pub pace: Pace,
    /// How its fixes are dated.
    pub dates: Dates,
    /// Devices that begin to connect in a second, at the start and after a failure of all. The race
    /// begins when all have begun.
    pub dials_per_second: u32,
    /// How long a device waits for an answer before it connects again.
    pub answer_ms_max: u64,
    /// Packets that a device keeps.
    pub kept_packets_max: usize,
    /// How long is waited for answers after the race.
    pub drain: Duration,
}

impl FirehoseConfig {
    /// The usual race to this address, at its own pace, dated now.
    #[must_use]
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            seed: 1,
            race: RaceConfig::default(),
            passed_s: 0,
            pace: Pace::REAL,
            dates: Dates::Wall,
            dials_per_second: 2_000,
            answer_ms_max: 10_000,
            kept_packets_max: KEPT_PACKETS_MAX,
            drain: Duration::from_secs(10),
        }
    }
}

/// What the handle and the thread have in common.
#[derive(Debug, Default)]
struct Shown {
    is_stopped: AtomicBool,
    counts: Mutex<Counts>,
}

/// Devices under way. They stop when this is dropped.
#[derive(Debug)]
pub struct Firehose {
    shown: Arc<Shown>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Firehose {
    /// Lets the devices begin.
    ///
    /// # Errors
    /// When the system allows too few open files, or no thread; the words say what to do.
    ///
    /// # Panics
    /// When there are more than [`DEVICES_MAX`] devices or empty waves.
    pub fn start(config: FirehoseConfig) -> Result<Self, String> {
        assert!(config.race.devices <= DEVICES_MAX, "at most {DEVICES_MAX} devices");
        sockets::allow_connections(config.race.devices.into())?;
        let dials_per_second = u64::from(config.dials_per_second.max(1));
        let ahead_us = u64::from(config.race.devices) * 1_000_000 / dials_per_second;
        let clock = Clock::starting_in(ahead_us);
        let schedule = Schedule {
            race_start_ms: config.race.start_ms + u64::from(config.passed_s) * 1_000,
            wall_start_ms: (wall_us() + ahead_us) / 1_000,
            pace: config.pace,
            dates: config.dates,
        };
        let shown = Arc::new(Shown::default());
        let words = |error: io::Error| format!("the devices cannot begin: {error}");
        let mut race = Race::new(config.seed, &config.race);
        race.pass(config.passed_s);
        let first = config.race.first_device;
        let source = device::packets(race, first, schedule, clock).map_err(words)?;
        let seen = shown.clone();
        let run = move || turn::Turn::new(config, clock, source)?.run(&seen);
        let thread = thread::Builder::new().name("firehose".to_owned()).spawn(run);
        Ok(Self { shown, thread: Some(thread.map_err(words)?) })
    }

    /// How far they are; at most a tenth of a second old.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.shown.counts()
    }

    /// True when it has ended by itself: the race is over, or its thread has failed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends all connections and says what was.
    ///
    /// # Errors
    /// When the thread failed before.
    pub fn stop(mut self) -> Result<Counts, String> {
        self.end()?;
        Ok(self.counts())
    }

    fn end(&mut self) -> Result<(), String> {
        self.shown.is_stopped.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(format!("the devices had to stop: {error}")),
            Some(Err(_)) => Err("the devices had to stop: a mistake in the program".to_owned()),
        }
    }
}

impl Drop for Firehose {
    fn drop(&mut self) {
        // Who wants to know how it ended asks for it.
        drop(self.end());
    }
}

impl Shown {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
