//! Fills a stream and keeps a log of it, by which an oracle can judge what has become of it.
//!
//! What is produced depends on a seed; when and how fast, on the test. A broken connection costs
//! certainty, not records: an entry whose answer was lost is in the log as one that may be there or
//! not, and the producer connects again and goes on.

mod mix;
mod record;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use engine::rows::EntryId;
use redis::{Connection, RedisResult, Value};

pub use mix::Mix;
pub use record::{ACCEPT, Entry, Kind, REFUSE, RawField, Record, Values};

use crate::entries::STREAM;
use crate::program::comes_true;
use mix::Chance;

/// Entries sent before their answers are read.
const PIPELINE_ENTRIES: usize = 100;

/// How long Redis may take to answer, and to be found again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one answer may take before the connection counts as broken.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at the clock, or at a Redis that is away.
const TICK: Duration = Duration::from_millis(5);

/// Everything that was produced, in order.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// In the order in which they were sent.
    pub records: Vec<Record>,
}

impl Log {
    /// How many of them may exist or not.
    #[must_use]
    pub fn unknown_count(&self) -> usize {
        self.records.iter().filter(|record| record.entry == Entry::Perhaps).count()
    }

    /// How many are of this kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.records.iter().filter(|record| record.kind == kind).count()
    }
}

/// Writes entries into the stream of the platform.
pub struct Producer {
    url: String,
    length_max: Option<u64>,
    connection: Option<Connection>,
    chance: Chance,
    log: Log,
}

impl Producer {
    /// A producer for the Redis on this port of loopback.
    #[must_use]
    pub fn new(port: u16, mix: Mix) -> Self {
        Self {
            url: format!("redis://127.0.0.1:{port}"),
            length_max: mix.length_max,
            connection: None,
            chance: Chance::new(mix),
            log: Log::default(),
        }
    }

    /// What has been produced.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Produces so many records as fast as Redis takes them.
    ///
    /// # Panics
    /// When Redis is away for a minute.
    pub fn burst(&mut self, count: usize) {
        let mut left = count;
        let is_done = comes_true(PATIENCE, TICK, || {
            while left > 0 {
                match self.publish(left.min(PIPELINE_ENTRIES)) {
                    0 => return false,
                    sent => left -= sent,
                }
            }
            true
        });
        assert!(is_done, "Redis is away for too long: {left} of {count} records left");
    }

    /// Adds so many records in one transaction: who waits for entries gets all of them in one read.
    ///
    /// # Panics
    /// When Redis is away or refuses.
    pub fn add_together(&mut self, count: usize) {
        let first = self.log.records.len();
        let mut pipe = redis::pipe();
        pipe.atomic();
        self.next_records(count, &mut pipe);
        assert!(self.is_connected(), "Redis is there");
        let connection = self.connection.as_mut().expect("it was asked whether there is one");
        let ids: Vec<String> = pipe.query(connection).expect("Redis takes entries");
        for (record, id) in self.log.records[first..].iter_mut().zip(ids) {
            record.entry = Entry::At(EntryId::parse(id.as_bytes()).expect("Redis gives ids"));
        }
    }

    /// Produces so many records a second in a thread of its own, whether anybody keeps up or not.
    #[must_use]
    pub fn steady(mut self, per_second: u32) -> Steady {
        let (stop, stopped) = mpsc::channel();
        let count = Arc::new(AtomicUsize::new(self.log.records.len()));
        let counted = count.clone();
        let thread = thread::spawn(move || {
            let (began, mut sent) = (Instant::now(), 0_u128);
            // Dropped without a word is a stop, too.
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let due = began.elapsed().as_micros() * u128::from(per_second) / 1_000_000;
                let missing = usize::try_from(due - sent).expect("a test is not that long");
                sent += self.publish(missing.min(PIPELINE_ENTRIES * 10)) as u128;
                counted.store(self.log.records.len(), Ordering::Relaxed);
            }
            self
        });
        Steady { stop, count, thread }
    }

    /// Sends so many records and reads the answers. Says how many have been sent, whatever became
    /// of them: none while Redis cannot be reached.
    fn publish(&mut self, count: usize) -> usize {
        if count == 0 || !self.is_connected() {
            return 0;
        }
        let first = self.log.records.len();
        let mut pipe = redis::pipe();
        self.next_records(count, &mut pipe);
        let sent = self.exchange(&pipe.get_packed_pipeline(), first);
        if sent.is_err() {
            self.connection = None;
        }
        count
    }

    /// Appends records to the log, and what adds them.
    fn next_records(&mut self, count: usize, pipe: &mut redis::Pipeline) {
        for _ in 0..count {
            let record = self.chance.next(&self.log.records);
            let command = pipe.cmd("XADD").arg(STREAM);
            if let Some(length_max) = self.length_max {
                command.arg("MAXLEN").arg("~").arg(length_max);
            }
            command.arg("*").arg(record.fields());
            self.chance.note(self.log.records.len(), &record);
            self.log.records.push(record);
        }
    }

    fn is_connected(&mut self) -> bool {
        if self.connection.is_none() {
            let client = redis::Client::open(&*self.url).expect("the address of a server");
            let connection = client.get_connection_with_timeout(ANSWER_PATIENCE).ok();
            self.connection = connection.filter(|connection| {
                connection.set_read_timeout(Some(ANSWER_PATIENCE)).is_ok()
                    && connection.set_write_timeout(Some(ANSWER_PATIENCE)).is_ok()
            });
        }
        self.connection.is_some()
    }

    /// Sends the records from this place on, and notes what Redis says of each.
    fn exchange(&mut self, bytes: &[u8], first: usize) -> RedisResult<()> {
        let connection = self.connection.as_mut().expect("it was asked whether there is one");
        connection.send_packed_command(bytes)?;
        for record in &mut self.log.records[first..] {
            record.entry = match connection.recv_response() {
                Ok(Value::BulkString(id)) => {
                    Entry::At(EntryId::parse(&id).expect("Redis gives ids"))
                }
                Ok(Value::ServerError(_)) => Entry::Nowhere,
                Ok(answer) => panic!("no answer to XADD: {answer:?}"),
                Err(error) if error.is_io_error() || error.is_unrecoverable_error() => {
                    return Err(error);
                }
                Err(_) => Entry::Nowhere,
            };
        }
        Ok(())
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A connection has nothing to show.
        formatter.debug_struct("Producer").field("log", &self.log).finish_non_exhaustive()
    }
}

/// A producer at work. Dropping it stops it and loses its log.
#[derive(Debug)]
pub struct Steady {
    stop: mpsc::Sender<()>,
    count: Arc<AtomicUsize>,
    thread: JoinHandle<Producer>,
}

impl Steady {
    /// Records so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Ends it and gives its log.
    ///
    /// # Panics
    /// When it has failed.
    #[must_use]
    pub fn stop(self) -> Producer {
        drop(self.stop);
        self.thread.join().expect("the producer has not failed")
    }
}

#[cfg(test)]
mod tests;
