//! The durable plane: every position of the stream stored once.
//!
//! It has a thread of its own, which viewers never wait for and which never waits for them. On it run
//! the reader and the lanes of the writer; what an entry becomes is decided in `lane.rs` and
//! `intake.rs`, and nowhere is one acknowledged that is not answered for.

mod acks;
mod claims;
mod columns;
pub mod dead_letter;
pub mod group;
mod health;
mod intake;
mod lane;
mod lanes;
pub mod loss;
mod numbers;
mod parked;
mod rebuilt;
pub mod session;
mod source;
mod storm;
mod work;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::decode::Decoder;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use self::dead_letter::DeadLetters;
use self::health::Health;
use self::intake::Intake;
use self::lane::Lane;
use self::lanes::Lanes;
use self::loss::Loss;
use self::numbers::Numbers;
use self::parked::Yard;
use self::source::{Names, Reader};
use self::storm::Storm;
use crate::context::Context;
use crate::database;
use crate::error::Stop;
use crate::metrics::Section;
use crate::shutdown::Stage;
use crate::stream::{Failure, Server, policy};
use crate::worker::{Started, Worker};

/// How long the end may take: what is in flight is committed and acknowledged.
pub const END_MS_MAX: u64 = 10_000;

/// Of that, how long commits are waited for; the rest is for the last read, and for acknowledging.
const COMMIT_MS_MAX: u64 = 7_500;
const _: () = assert!(source::LAST_TURN_MS + COMMIT_MS_MAX + source::LAST_ACKS_MS <= END_MS_MAX);

/// How long the loop may be silent: longer than it ever waits without a beat.
const SILENCE_MS_MAX: u64 = 15_000;

/// What is said when a lane ends although nothing ends.
const LANE_ENDED_EARLY: &str = "A lane of the writer has ended early. Start the process again and \
                                report this.";

/// The thread.
const WORKER: Worker = Worker {
    name: "durable",
    cannot_start: "The thread that stores positions cannot be started",
    ended_early: "The thread that stores positions has ended early. Start the process \
                      again and report this.",
    resolver_threads_max: 4,
};

/// Starts the durable plane's thread. It reads once no other process of this name seems to live.
///
/// # Errors
/// When `REDIS_URL` cannot be used or no thread can be had.
pub fn start(context: &Context, is_alone: watch::Receiver<bool>) -> Result<Started, Stop> {
    let server = Server::parse(&context.config.redis_url)?;
    let write = &context.config.write;
    let health = Arc::new(Health::new(context));
    let in_flight_max = lanes::in_flight_max(write.lane_count, write.batch_rows_max);
    let numbers = Arc::new(Numbers::new(health.clone(), in_flight_max));
    let loss =
        Loss::new(&server, &context.config.stream, &write.group).map_err(|it| unusable(&it))?;
    let sections: Vec<Arc<dyn Section>> = vec![numbers.clone(), loss.numbers()];
    let plane = Plane { context: context.clone(), server, health, numbers };
    let thread =
        WORKER.start(&context.shutdown, move || async move { plane.run(is_alone, loss).await })?;
    Ok(Started { thread, sections })
}

/// The address cannot be used, which the settings should have said.
fn unusable(failure: &Failure) -> Stop {
    Stop::Config(format!("REDIS_URL: {}", failure.words))
}

struct Plane {
    context: Context,
    server: Server,
    health: Arc<Health>,
    numbers: Arc<Numbers>,
}

impl Plane {
    async fn run(&self, mut is_alone: watch::Receiver<bool>, loss: Loss) -> Result<(), Stop> {
        tokio::spawn(measure(loss, self.context.clone(), self.health.clone()));
        tokio::spawn(remind(self.health.clone()));
        let health = self.health.clone();
        let policy = move |trouble| health.policy(trouble);
        tokio::spawn(policy::watch(self.context.clone(), self.server.clone(), policy));
        let config = &self.context.config;
        let names = Names {
            stream: config.stream.clone(),
            group: config.write.group.clone(),
            consumer: config.instance_id.clone(),
        };
        let storm = Arc::new(Mutex::new(Storm::new(config.write.storm_percent)));
        let lanes = self.start_lanes(&storm)?;
        let intake = Intake {
            lanes,
            yard: Yard::default(),
            decoder: Decoder::new(),
            letters: self.letters()?,
            storm,
            health: self.health.clone(),
            numbers: self.numbers.clone(),
            heartbeat: self.context.status.heartbeat("durable", SILENCE_MS_MAX),
            held: HashSet::new(),
        };
        // Two of one name would take each other's entries for their own.
        tokio::select! {
            biased;
            () = self.context.shutdown.reached(Stage::Leaving) => return Ok(()),
            alone = is_alone.wait_for(|&is_alone| is_alone) => {
                if alone.is_err() {
                    // The lease is another's: the process is about to end.
                    self.context.shutdown.reached(Stage::Leaving).await;
                    return Ok(());
                }
            }
        }
        let reader = Reader::new(&self.context, self.server.clone(), names, intake);
        reader.run(Duration::from_millis(COMMIT_MS_MAX)).await
    }

    fn start_lanes(&self, storm: &Arc<Mutex<Storm>>) -> Result<Lanes, Stop> {
        let write = &self.context.config.write;
        let settings = database::settings(&self.context.config.postgres_url, "durable");
        let (done, answers) = mpsc::channel(write.lane_count);
        let mut senders = Vec::with_capacity(write.lane_count);
        for number in 0..write.lane_count {
            let (sender, batches) = mpsc::channel(1);
            senders.push(sender);
            let lane = Lane::new(lane::Parts {
                number,
                settings: settings.clone(),
                deadline_ms: write.deadline_ms,
                health: self.health.clone(),
                numbers: self.numbers.clone(),
                storm: storm.clone(),
                letters: self.letters()?,
            });
            let (shutdown, done) = (self.context.shutdown.clone(), done.clone());
            tokio::spawn(async move {
                let _alarm = shutdown.alarm(LANE_ENDED_EARLY);
                lane.run(batches, done).await;
            });
        }
        Ok(Lanes::new(senders, answers, write.batch_rows_max, self.numbers.clone()))
    }

    fn letters(&self) -> Result<DeadLetters, Stop> {
        let config = &self.context.config;
        let names = dead_letter::Names {
            stream: config.stream.clone(),
            group: config.write.group.clone(),
            instance_id: config.instance_id.clone(),
        };
        DeadLetters::new(&self.server, names, config.write.dead_letters_max)
            .map_err(|it| unusable(&it))
    }
}

/// Looks again and again how much waits, and whether it is in danger.
async fn measure(mut loss: Loss, context: Context, health: Arc<Health>) -> ! {
    loop {
        match loss.sample(context.clock.monotonic_ms()).await {
            Ok(reading) => health.danger_is(loss::danger(&reading)),
            // Whoever reads tells that Redis cannot be reached.
            Err(failure) => {
                context.log.debug("what waits is not known", &[("reason", &failure.words)]);
            }
        }
        sleep(Duration::from_millis(loss.pause_ms())).await;
    }
}

/// Once a second: what lasts is told, what stays is told again.
async fn remind(health: Arc<Health>) -> ! {
    loop {
        sleep(Duration::from_secs(1)).await;
        health.tick();
    }
}
