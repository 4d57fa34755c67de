//! A race into a stream of Redis, as the platform's ingestion writes it.
//!
//! Entries are due by a fixed schedule and leave in pipelines of whatever is due. While Redis does
//! not answer, the same entries are sent again and again: what was answered is in the stream, what
//! was not may be there twice, and the fields say that it is the same.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redis::Pipeline;

use crate::measure::{Busy, Percentiles, Share, Timings};
use crate::race::{Arrival, Race, RaceConfig};
use crate::schedule::{Clock, Dates, Pace, Schedule, wall_us};
use crate::source::Source;
use crate::wire::EntryWriter;

/// Entries of one pipeline: some 300 KB. More would make the first of them wait for the last.
const PIPELINE_ENTRIES_MAX: usize = 512;

/// What is later than this has been delayed by the generator itself, or by Redis.
const LATE_US: u64 = 50_000;

/// Shortest and longest rest while nothing is due.
const REST_US: (u64, u64) = (200, 10_000);

/// How often it is shown how far it is.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// Between two attempts to reach Redis.
const RETRY: Duration = Duration::from_millis(200);

/// How long Redis may take for a pipeline.
const ANSWER: Duration = Duration::from_secs(5);

/// Where a race goes, and how.
#[derive(Clone, Debug)]
pub struct PublisherConfig {
    /// The server, as `REDIS_URL` says it.
    pub url: String,
    /// The stream.
    pub stream: String,
    /// How many entries the stream keeps, about.
    pub entries_max: u64,
    /// Decides everything that is random.
    pub seed: u64,
    /// The race.
    pub race: RaceConfig,
    /// How fast it passes.
    pub pace: Pace,
    /// How its fixes are dated.
    pub dates: Dates,
}

impl PublisherConfig {
    /// The usual race into the usual stream of this server, at its own pace, dated now.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            stream: "telemetry:teltonika".to_owned(),
            entries_max: 1_000_000,
            seed: 1,
            race: RaceConfig::default(),
            pace: Pace::REAL,
            dates: Dates::Wall,
        }
    }
}

/// What was published so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Entries that Redis has acknowledged.
    pub entries: u64,
    /// Pipelines that failed, and were sent again.
    pub failures: u64,
    /// Entries that left more than 50 ms after they were due.
    pub late: u64,
    /// From when an entry was due until it left.
    pub lateness: Percentiles,
    /// How long Redis took for a pipeline.
    pub answer: Percentiles,
    /// How much of its time the generator worked.
    pub busy: Share,
    /// True when the race is over and all of it is in the stream.
    pub is_over: bool,
}

impl Published {
    /// True when the schedule was not kept: by the generator, or because Redis was slower.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.late * 100 > self.entries
    }
}

/// The fields of an entry.
#[derive(Debug)]
struct Entry {
    ts: String,
    device_id: String,
    codec: &'static str,
    payload: String,
}

#[derive(Debug, Default)]
struct Shown {
    is_stopped: AtomicBool,
    published: Mutex<Published>,
    trouble: Mutex<String>,
}

/// A race that is being published. It stops when this is dropped.
#[derive(Debug)]
pub struct Publisher {
    shown: Arc<Shown>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Begins; the race starts now.
    ///
    /// # Errors
    /// When the address is none, Redis does not answer, or there is no thread.
    pub fn start(config: &PublisherConfig) -> Result<Self, String> {
        let client = redis::Client::open(config.url.as_str())
            .map_err(|error| format!("--redis is not the address of a Redis: {error}"))?;
        let connection = connect(&client).map_err(|error| {
            format!("Redis does not answer: {error}; start it, or correct the address")
        })?;
        let clock = Clock::starting_in(0);
        let schedule = Schedule {
            race_start_ms: config.race.start_ms,
            wall_start_ms: wall_us() / 1_000,
            pace: config.pace,
            dates: config.dates,
        };
        let words = |error: io::Error| format!("the race cannot begin: {error}");
        let race = Race::new(config.seed, &config.race);
        let source = entries(race, schedule, clock).map_err(words)?;
        let shown = Arc::new(Shown::default());
        let seen = shown.clone();
        let (stream, entries_max) = (config.stream.clone(), config.entries_max);
        let work =
            Work { client, connection: Some(connection), clock, source, stream, entries_max };
        let run = move || work.run(&seen);
        let thread = thread::Builder::new().name("publisher".to_owned()).spawn(run);
        Ok(Self { shown, thread: Some(thread.map_err(words)?) })
    }

    /// How far it is.
    #[must_use]
    pub fn published(&self) -> Published {
        *lock(&self.shown.published)
    }

    /// True when it has ended by itself: the race is over, or its thread has failed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What Redis said when it failed last; empty when it never did.
    #[must_use]
    pub fn trouble(&self) -> String {
        lock(&self.shown.trouble).clone()
    }

    /// Stops and says what was.
    #[must_use]
    pub fn stop(mut self) -> Published {
        self.end();
        self.published()
    }

    fn end(&mut self) {
        self.shown.is_stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that has failed is seen by a race that is not over.
            drop(thread.join());
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(client: &redis::Client) -> redis::RedisResult<redis::Connection> {
    let connection = client.get_connection_with_timeout(ANSWER)?;
    connection.set_read_timeout(Some(ANSWER))?;
    connection.set_write_timeout(Some(ANSWER))?;
    Ok(connection)
}

fn entries(race: Race, schedule: Schedule, clock: Clock) -> io::Result<Source<Entry>> {
    let mut writer = EntryWriter::new();
    Source::start(race, schedule, clock, move |arrivals: &[Arrival], give| {
        for arrival in arrivals {
            let entry = writer.entry(arrival);
            give(Entry {
                ts: entry.ts.to_owned(),
                device_id: entry.device_id.to_owned(),
                codec: entry.codec,
                payload: entry.payload.to_owned(),
            });
        }
    })
}

/// What was published, with all times.
#[derive(Default)]
struct Tally {
    published: Published,
    lateness: Timings,
    answer: Timings,
}

impl Tally {
    fn published(&self) -> Published {
        Published {
            lateness: self.lateness.percentiles(),
            answer: self.answer.percentiles(),
            ..self.published
        }
    }
}

/// What the thread has.
struct Work {
    client: redis::Client,
    connection: Option<redis::Connection>,
    clock: Clock,
    source: Source<Entry>,
    stream: String,
    entries_max: u64,
}

impl Work {
    fn run(mut self, shown: &Shown) {
        let mut tally = Tally::default();
        let mut busy = Busy::new();
        let mut shown_at = Instant::now();
        while !shown.is_stopped.load(Ordering::Relaxed) {
            let now_us = self.clock.elapsed_us();
            let (pipeline, count) = self.take_due(now_us, &mut tally);
            if count > 0 {
                if self.send_until_answered(&pipeline, shown, &mut tally) {
                    tally.published.entries += count;
                }
            } else if self.source.is_over() {
                tally.published.is_over = true;
                break;
            } else {
                thread::sleep(self.rest(now_us));
            }
            if shown_at.elapsed() >= SHOWN_EVERY {
                shown_at = Instant::now();
                tally.published.busy = busy.look();
                *lock(&shown.published) = tally.published();
            }
        }
        *lock(&shown.published) = tally.published();
    }

    /// A pipeline of what is due, and how many entries it has.
    fn take_due(&mut self, now_us: u64, tally: &mut Tally) -> (Pipeline, u64) {
        let mut pipeline = Pipeline::with_capacity(PIPELINE_ENTRIES_MAX);
        let mut count = 0;
        for _ in 0..PIPELINE_ENTRIES_MAX {
            let Some(due) = self.source.pop_due(now_us) else { break };
            let late_us = now_us - due.due_us;
            tally.lateness.record_us(late_us);
            tally.published.late += u64::from(late_us > LATE_US);
            self.add(&due.what, &mut pipeline);
            count += 1;
        }
        (pipeline, count)
    }

    /// True when Redis has acknowledged it; false when it was stopped before.
    fn send_until_answered(
        &mut self,
        pipeline: &Pipeline,
        shown: &Shown,
        tally: &mut Tally,
    ) -> bool {
        let began = Instant::now();
        while let Err(error) = self.send(pipeline) {
            tally.published.failures += 1;
            *lock(&shown.trouble) = error.to_string();
            *lock(&shown.published) = tally.published();
            if shown.is_stopped.load(Ordering::Relaxed) {
                return false;
            }
            thread::sleep(RETRY);
        }
        tally.answer.record_us(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        true
    }

    fn add(&self, entry: &Entry, pipeline: &mut Pipeline) {
        pipeline
            .cmd("XADD")
            .arg(&self.stream)
            .arg("MAXLEN")
            .arg("~")
            .arg(self.entries_max)
            .arg("*")
            .arg(&[
                ("ts", entry.ts.as_str()),
                ("device_id", &entry.device_id),
                ("codec", entry.codec),
                ("payload", &entry.payload),
            ])
            .ignore();
    }

    fn send(&mut self, pipeline: &Pipeline) -> redis::RedisResult<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.client)?,
        };
        pipeline.query::<()>(&mut connection)?;
        self.connection = Some(connection);
        Ok(())
    }

    fn rest(&mut self, now_us: u64) -> Duration {
        let (shortest_us, longest_us) = REST_US;
        Duration::from_micros(self.source.rest_us(now_us).clamp(shortest_us, longest_us))
    }
}
