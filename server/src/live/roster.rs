//! The roster's keeper: who drives in which event, the newest fixes, and those flagged as faulty.
//!
//! It asks the database at start and at every refresh, and tells the source. What it cannot read it
//! leaves as it was: an old roster is better than none, and without any the stream still flows.

mod fallbacks;
mod fixes;
mod numbers;
mod registrations;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use engine::roster::{Roster, RosterError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use self::fallbacks::{Fallbacks, Orders};
use self::fixes::CHUNK_DEVICES_MAX;
use self::numbers::Numbers;
use self::registrations::{ReadError, Registrations};
use super::source::SourceMail;
use crate::clock::microseconds;
use crate::context::Context;
use crate::database::{Class, Database, DatabaseError};
use crate::metrics::{LimitUse, Page, Section};
use crate::shutdown::Stage;
use crate::status::{Component, Heartbeat, State};

/// Between an attempt that failed and the next one, at least.
const RETRY: Duration = Duration::from_secs(2);

/// Between two chunks of devices whose slots are warm: the database has others to serve.
const CHUNK_PAUSE: Duration = Duration::from_millis(5);

/// How often the keeper shows that it lives while it waits.
const BEAT: Duration = Duration::from_secs(1);

/// How long it may be silent: longer than the longest wait for the database.
const SILENCE_MS_MAX: u64 = 60_000;

/// What it means for viewers that the roster in use is not the newest.
const OLD_ROSTER: &str = "Viewers are served by the last roster: new entries appear late, and \
                          flagged positions stay shown.";

/// What it means for them that there is none.
const NO_ROSTER: &str = "No device is known to drive in any event: viewers may subscribe and see \
                         nothing. Positions are read all the same.";

/// Keeps the roster, the warm slots and the fallbacks of flagged fixes.
#[derive(Debug)]
pub struct Keeper {
    context: Context,
    database: Arc<Database>,
    component: Arc<Component>,
    heartbeat: Arc<Heartbeat>,
    numbers: Numbers,
}

/// What it knows.
#[derive(Debug, Default)]
struct Memory {
    roster: Arc<Roster>,
    registrations: Registrations,
    /// It has been read, be it empty.
    is_known: bool,
    /// Devices with a slot that may be empty though the database has a fix for it.
    cold: HashSet<Box<str>>,
    fallbacks: Fallbacks,
}

/// Why a refresh went no further.
#[derive(Debug)]
enum Halt {
    /// The database.
    Database(DatabaseError),
    /// More registrations than are served, in words.
    TooMany(String),
    /// The source has ended.
    Ended,
}

impl Keeper {
    /// A keeper that has asked nobody yet.
    #[must_use]
    pub fn new(context: &Context) -> Arc<Self> {
        Arc::new(Self {
            context: context.clone(),
            database: Database::new(context, "roster"),
            component: context.status.component("roster", None),
            heartbeat: context.status.heartbeat("roster", SILENCE_MS_MAX),
            numbers: Numbers::default(),
        })
    }

    /// Reads the roster and keeps it fresh until the process leaves.
    pub async fn run(self: Arc<Self>, source: mpsc::Sender<SourceMail>) {
        tokio::select! {
            () = self.context.shutdown.reached(Stage::Leaving) => {}
            () = self.keep(source) => {}
        }
    }

    async fn keep(&self, source: mpsc::Sender<SourceMail>) {
        // A tenth earlier than promised: what was flagged just after a look falls back in time, even
        // if the next look takes a while.
        let refresh_ms = self.context.config.live.refresh_ms;
        let period = Duration::from_millis((refresh_ms - refresh_ms / 10).max(1));
        let mut memory = Memory::default();
        loop {
            let began = Instant::now();
            let result = self.refresh(&mut memory, &source).await;
            let spent = began.elapsed();
            let pause = match result {
                Ok(()) => period.saturating_sub(spent),
                Err(Halt::Ended) => return,
                Err(halt) => {
                    self.numbers.failed.increment();
                    self.tell(&memory, &halt);
                    match halt {
                        // A question that costs the database much is not asked all the time.
                        Halt::Database(_) => RETRY.max(spent).min(period),
                        Halt::TooMany(_) | Halt::Ended => period,
                    }
                }
            };
            self.wait(pause).await;
        }
    }

    /// One look at everything.
    async fn refresh(
        &self,
        memory: &mut Memory,
        source: &mpsc::Sender<SourceMail>,
    ) -> Result<(), Halt> {
        let began = Instant::now();
        let read = Registrations::read(&self.database).await?;
        self.numbers.roster.observe_us(microseconds(began.elapsed()));
        if memory.is_known && read.are_those_of(&memory.registrations) {
            memory.registrations = read;
            self.numbers.unchanged.increment();
        } else {
            let next = memory.roster.next(&read.rows()).map_err(Halt::too_many)?;
            memory.roster = Arc::new(next);
            memory.cold.extend(read.newcomers(&memory.registrations).map(Box::from));
            memory.cold.retain(|device_id| read.knows(device_id));
            memory.fallbacks.retain(|device_id| read.knows(device_id));
            memory.registrations = read;
            memory.is_known = true;
            self.numbers.changed.increment();
            self.count(memory);
            self.send(source, SourceMail::Roster(memory.roster.clone())).await?;
        }
        self.numbers.read_ms.set(crate::clock::wall_ms());
        self.numbers.skipped.set(number(memory.registrations.skipped));
        let began = Instant::now();
        self.look_at_fixes(memory, source).await?;
        self.numbers.fixes.observe_us(microseconds(began.elapsed()));
        self.tell_all_is_well(memory);
        Ok(())
    }

    /// Asks for the newest fixes of all devices, those with cold slots first.
    async fn look_at_fixes(
        &self,
        memory: &mut Memory,
        source: &mpsc::Sender<SourceMail>,
    ) -> Result<(), Halt> {
        let Memory { registrations, cold, fallbacks, .. } = memory;
        let mut devices: Vec<&str> = registrations.devices().collect();
        devices.sort_by_key(|&device_id| !cold.contains(device_id));
        let mut first_error = None;
        for chunk in devices.chunks(CHUNK_DEVICES_MAX) {
            let is_cold = cold.contains(chunk[0]);
            match self.look_at_chunk(chunk, cold, fallbacks).await {
                Ok(orders) => {
                    for &device_id in chunk {
                        cold.remove(device_id);
                    }
                    self.give(orders, source).await?;
                }
                Err(error) if error.class == Class::Transient => return Err(error.into()),
                // One device's rows may be at fault: the other chunks are not.
                Err(error) => first_error = first_error.or(Some(error)),
            }
            self.heartbeat.beat();
            if !is_cold {
                sleep(CHUNK_PAUSE).await;
            }
        }
        self.numbers.fallbacks.set(number(fallbacks.count()));
        first_error.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn look_at_chunk(
        &self,
        chunk: &[&str],
        cold: &HashSet<Box<str>>,
        fallbacks: &mut Fallbacks,
    ) -> Result<Orders, DatabaseError> {
        let is_wanted = |device_id: &str| cold.contains(device_id) || fallbacks.has(device_id);
        let asked: Vec<(&str, bool)> = chunk.iter().map(|&id| (id, is_wanted(id))).collect();
        // By the clock that judges them afterwards, not by the database's.
        let newest_ms = crate::clock::wall_ms() + self.context.config.live.future_tolerance_ms;
        let found = fixes::read(&self.database, &asked, newest_ms).await?;
        let mut orders = Orders::default();
        for fixes in found {
            let is_cold = cold.contains(&fixes.device_id);
            fallbacks.judge(fixes, is_cold, &mut orders);
        }
        Ok(orders)
    }

    async fn give(&self, orders: Orders, source: &mpsc::Sender<SourceMail>) -> Result<(), Halt> {
        self.numbers.withdrawn.add(orders.changed);
        self.numbers.offered.add(orders.offered.len() as u64);
        if !orders.withdrawn.is_empty() {
            self.send(source, SourceMail::Withdraw(orders.withdrawn)).await?;
        }
        if !orders.offered.is_empty() {
            self.send(source, SourceMail::Offer(orders.offered)).await?;
        }
        Ok(())
    }

    /// Waits for room: while Redis is away the source may have other cares.
    async fn send(&self, source: &mpsc::Sender<SourceMail>, mail: SourceMail) -> Result<(), Halt> {
        loop {
            self.heartbeat.beat();
            if let Ok(room) = timeout(BEAT, source.reserve()).await {
                room.map_err(|_closed| Halt::Ended)?.send(mail);
                return Ok(());
            }
        }
    }

    async fn wait(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            self.heartbeat.beat();
            sleep(BEAT.min(until - Instant::now())).await;
        }
        self.heartbeat.beat();
    }

    fn count(&self, memory: &Memory) {
        self.numbers.devices.set(number(memory.registrations.devices().count()));
        self.numbers.events.set(number(memory.registrations.event_count()));
        self.numbers.registrations.set(number(memory.registrations.count()));
    }

    fn tell_all_is_well(&self, memory: &Memory) {
        let registrations = &memory.registrations;
        if registrations.may_be_hidden {
            let reason = "The database shows no registration, and its row level security may hide \
                          them from this user.";
            let remedy = "Let the user of POSTGRES_URL read all rows of entry_devices, devices and \
                          entries: give it BYPASSRLS or a policy.";
            self.component.set(State::Impaired, reason, NO_ROSTER, remedy);
            return;
        }
        let (devices, events) = (self.numbers.devices.value(), self.numbers.events.value());
        let mut words = format!("{devices} devices are registered to {events} events.");
        if registrations.skipped > 0 {
            words.push_str(&format!(
                " {} registrations have no usable IMEI or event and are left out.",
                registrations.skipped
            ));
        }
        self.component.is_working(&words);
    }

    fn tell(&self, memory: &Memory, halt: &Halt) {
        let (cause, remedy) = match halt {
            Halt::Database(error) => (&error.words, error.class.remedy()),
            Halt::TooMany(words) => {
                (words, "Remove registrations of past events from entry_devices.")
            }
            Halt::Ended => return,
        };
        if memory.is_known {
            let mut since = String::new();
            crate::log::push_time(&mut since, self.numbers.read_ms.value());
            let reason = format!("What was last read at {since} is still in use: {cause}");
            self.component.set(State::Impaired, &reason, OLD_ROSTER, remedy);
        } else {
            let reason = format!("The roster could not be read yet: {cause}");
            self.component.set(State::Failed, &reason, NO_ROSTER, remedy);
        }
    }
}

impl Section for Keeper {
    fn write(&self, page: &mut Page) {
        self.numbers.write(page);
    }

    fn limits(&self) -> Vec<LimitUse> {
        self.numbers.limits()
    }
}

impl Halt {
    fn too_many(error: RosterError) -> Self {
        Self::TooMany(format!("The database has {error}."))
    }
}

impl From<DatabaseError> for Halt {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<ReadError> for Halt {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Database(error) => Self::Database(error),
            ReadError::TooMany => Self::TooMany(format!(
                "The database has more than {} registrations.",
                engine::limits::SLOTS_MAX
            )),
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
