//! The live reader: entries out of Redis, decoded, routed, handed to the shards.
//!
//! It has a thread of its own and never waits for a database, for Directus or for a viewer; only for
//! a shard without room, and then the stream in Redis is the queue.

mod extent;
mod group;
mod health;
mod intake;
mod lag;
pub mod local;
mod minute;
mod newest;
mod numbers;
mod outbox;
mod reading;

use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use engine::position::Position;
use engine::roster::Roster;
use engine::teltonika::Imei;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::collection::{COLLECT_MS, Collector, IDLE_MS_MAX};
use super::mailbox::Address;
use crate::context::Context;
use crate::error::Stop;
use crate::lease::Known;
use crate::shutdown::Stage;
use crate::status::Heartbeat;
use crate::stream::{Control, Server, policy};
use crate::worker::Worker;
pub use numbers::Numbers;

use group::Names;
use health::Health;
use intake::Intake;
use outbox::Outbox;
use reading::Reading;

/// What the source is told by the roster's keeper.
#[derive(Debug)]
pub enum SourceMail {
    /// Routes by this roster from now on.
    Roster(Arc<Roster>),
    /// Positions out of the database, with their IMEI: offered like any other. At most
    /// [`LETTER_POSITIONS_MAX`].
    Offer(Vec<(Box<str>, Position)>),
    /// Positions that have just come to this process itself, in order. At most
    /// [`LETTER_POSITIONS_MAX`].
    Arrived(Vec<(Imei, Position)>),
    /// These devices' fixes are withdrawn; each is named to the owner of every event of its device.
    Withdraw(Vec<Withdrawn>),
}

/// A fix that operators have flagged.
#[derive(Clone, Debug)]
pub struct Withdrawn {
    /// The IMEI.
    pub device_id: Box<str>,
    /// Device time of the faulty fix.
    pub faulty_ms: i64,
    /// The newest fix that is not faulty.
    pub good: Option<Position>,
}

/// Letters that may wait for the source: 6 MB when all are full of positions. Of the flagged fixes of
/// 500 devices, 17 each at worst, one is 1 MB, and 61 MB wait when all are that.
pub const SOURCE_MAIL_MAX: usize = 64;

/// Positions of one letter: some 100 bytes each with their IMEI, 100 KB for a letter. Routing and
/// handing over as many takes less than a millisecond.
pub const LETTER_POSITIONS_MAX: usize = 1_000;

/// How often the heart beats when nothing is read.
const TICK_MS: u64 = 1_000;

/// How long the loop may be silent: a tick, and what a machine under load adds to it.
const SILENCE_MS_MAX: u64 = 15_000;

/// How long taking the own group away may take.
const DESTROY_MS_MAX: u64 = 2_000;

/// The thread.
const WORKER: Worker = Worker {
    name: "source",
    cannot_start: "The thread that reads from Redis cannot be started",
    ended_early: "The thread that reads from Redis has ended early. Start the process again \
                      and report this.",
    resolver_threads_max: 2,
};

/// A running source.
#[derive(Debug)]
pub struct Started {
    /// Its mailbox.
    pub mail: mpsc::Sender<SourceMail>,
    /// Its thread, which ends after the farewell.
    pub thread: JoinHandle<()>,
    /// Its numbers.
    pub numbers: Arc<Numbers>,
}

/// Starts the source's thread.
///
/// # Errors
/// When `REDIS_URL` cannot be used or no thread can be had.
pub fn start(context: &Context, shards: Arc<[Address]>, lease: &Known) -> Result<Started, Stop> {
    let server = Server::parse(&context.config.redis_url)?;
    let (mail, letters) = mpsc::channel(SOURCE_MAIL_MAX);
    let numbers = Arc::new(Numbers::new());
    let source = Source {
        context: context.clone(),
        server,
        shards,
        lease: lease.clone(),
        numbers: numbers.clone(),
        health: Arc::new(Health::new(context)),
        heartbeat: context.status.heartbeat("source", SILENCE_MS_MAX),
    };
    let work = move || async move {
        source.run(letters).await;
        Ok(())
    };
    let thread = WORKER.start(&context.shutdown, work)?;
    Ok(Started { mail, thread, numbers })
}

struct Source {
    context: Context,
    server: Server,
    shards: Arc<[Address]>,
    lease: Known,
    numbers: Arc<Numbers>,
    health: Arc<Health>,
    heartbeat: Arc<Heartbeat>,
}

impl Source {
    async fn run(self, letters: mpsc::Receiver<SourceMail>) {
        let is_leased = self.lease.is_held.clone();
        let config = &self.context.config;
        let names = Names {
            stream: config.stream.clone(),
            group: format!("{}-{}", config.live.group_prefix, config.instance_id),
            consumer: config.instance_id.clone(),
        };
        tokio::spawn(tell_of_lease(self.health.clone(), self.lease.trouble.clone()));
        let health = self.health.clone();
        let policy = move |trouble| health.policy(trouble);
        let policy = policy::watch(self.context.clone(), self.server.clone(), policy);
        let policy = tokio::spawn(policy);
        let collector = tokio::spawn(collect(
            self.context.clone(),
            self.server.clone(),
            names.group.clone(),
            is_leased.clone(),
        ));
        let parts = reading::Parts {
            server: self.server.clone(),
            names: names.clone(),
            numbers: self.numbers.clone(),
            health: self.health.clone(),
            is_leased: is_leased.clone(),
        };
        if let Err(stop) = self.serve(Reading::new(&self.context, parts), letters).await {
            self.context.shutdown.fail(stop);
        }
        policy.abort();
        collector.abort();
        self.context.shutdown.reached(Stage::Farewell).await;
        // Before the lease: whoever takes the name next has a group of the same name.
        if *is_leased.borrow() {
            let within = Duration::from_millis(DESTROY_MS_MAX);
            let destroyed = timeout(within, group::destroy(&self.server, &names)).await;
            if !matches!(destroyed, Ok(Ok(()))) {
                let words = "the own group could not be taken away; another instance will do it";
                self.context.log.warn(words, &[("group", &names.group)]);
            }
        }
    }

    /// Reads and hands over until the process leaves.
    async fn serve(
        &self,
        mut reading: Reading,
        mut letters: mpsc::Receiver<SourceMail>,
    ) -> Result<(), Stop> {
        let mut intake = Intake::new(
            &self.context,
            Outbox {
                shards: self.shards.clone(),
                shutdown: self.context.shutdown.clone(),
                heartbeat: self.heartbeat.clone(),
                numbers: self.numbers.clone(),
            },
        );
        let mut leaving = pin!(self.context.shutdown.reached(Stage::Leaving));
        let mut tick = interval(Duration::from_millis(TICK_MS));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let read = {
                let mut next = pin!(reading.next(intake.is_catching_up()));
                loop {
                    tokio::select! {
                        biased;
                        () = &mut leaving => return intake.catch_up().await,
                        _ = tick.tick() => {
                            self.heartbeat.beat();
                            self.health.tick();
                            intake.tick().await?;
                        }
                        Some(letter) = letters.recv() => intake.handle(letter).await?,
                        read = &mut next => break read?,
                    }
                }
            };
            self.heartbeat.beat();
            let taken =
                reading.entries().and_then(|entries| intake.take(entries, read.redis_now_ms));
            match taken {
                Ok((last, count)) => {
                    reading.accept(last, count);
                    intake.pass_on(last, read.is_full, read.redis_now_ms).await?;
                }
                Err(malformed) => reading.refuse(malformed),
            }
        }
    }
}

/// Passes on why the lease is not held, if it is not.
async fn tell_of_lease(health: Arc<Health>, mut trouble: watch::Receiver<Option<String>>) {
    loop {
        health.lease(trouble.borrow_and_update().clone());
        if trouble.changed().await.is_err() {
            return;
        }
    }
}

/// Takes away what dead instances have left, from time to time, once the own name is ours.
async fn collect(
    context: Context,
    server: Server,
    own_group: String,
    mut is_leased: watch::Receiver<bool>,
) {
    let config = &context.config;
    let prefix = &config.live.group_prefix;
    let mut collector = Collector::new(&config.stream, prefix, &own_group, IDLE_MS_MAX);
    if is_leased.wait_for(|&is_leased| is_leased).await.is_err() {
        return;
    }
    while context.shutdown.stage() < Stage::Farewell {
        let collected = match Control::new(&server) {
            Ok(mut control) => collector.collect(&mut control).await,
            Err(failure) => Err(failure),
        };
        match collected {
            Ok(groups) => {
                for group in groups {
                    context.log.info(
                        "the group of an instance that is gone was taken away",
                        &[("group", &group)],
                    );
                }
            }
            Err(failure) => context.log.info(
                "groups of instances that are gone could not be looked for; tried again later",
                &[("reason", &failure.words)],
            ),
        }
        sleep(Duration::from_millis(COLLECT_MS)).await;
    }
}
