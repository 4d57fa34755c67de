//! Cuts the connection to PostgreSQL at every byte of a small batch, in both directions.
//!
//! A batch is three rows: either new ones, which go by COPY, or late ones, which are inserted carefully.
//! For each byte there is one batch; the connection ends when what comes before that byte has passed,
//! and the writer has to do the rest over a new one. It goes on until a batch passes whole.

use std::fmt;

use engine::rows::EntryId;
use pitwall::config::{Config, Roles};
use redis::Connection;

use super::ground::{Ground, group};
use super::{Say, all, database_url, is_clean};
use crate::live::Live;
use crate::oracle::Verdict;
use crate::postgres::{FAST, Postgres};
use crate::producer::{Entry, Mix, Producer};
use crate::proxy::{Ending, Fault, Place, Proxy, Way, Which};
use crate::scene::metric;

/// Rows of a batch.
const ROWS: usize = 3;

/// Records before the first batch, so that all later numbers have four digits.
const RECORDS_BEFORE: usize = 1_008;

/// The codecs take turns by three and long attributes by four: of four batches in a row, three have
/// one size, and the one with this number of twelve is smaller. It is not cut.
const SMALLER: usize = 9;

/// Worlds that share the bytes of the COPY, and those of the insert, of which there are more.
const WORLDS_COPY: u32 = 3;
const WORLDS_INSERT: u32 = 5;

/// Nothing is killed here.
const NOTHING_KEPT: &[&str] = &["--appendonly", "no"];

/// What was done, and what has become of the records.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Bytes of a COPY and of its answers; before each of them it was cut once.
    pub copy: [usize; 2],
    /// The same of an insert.
    pub insert: [usize; 2],
    /// What has become of the records.
    pub verdict: Verdict,
}

impl Outcome {
    /// True when nothing is lost, nothing is there twice, and nothing is left over.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        is_clean(&self.verdict)
    }

    /// Connections that were cut.
    #[must_use]
    pub fn cuts(&self) -> usize {
        [self.copy, self.insert].iter().flatten().sum()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [copy, copy_back] = self.copy;
        let [insert, insert_back] = self.insert;
        write!(
            formatter,
            "{} cuts, one before each byte (COPY of {ROWS} rows {copy} and {copy_back} back, insert \
             of {ROWS} rows {insert} and {insert_back} back), {}",
            self.cuts(),
            self.verdict,
        )
    }
}

/// Cuts at every byte, lets all be stored, and judges. The seed decides how each connection ends.
///
/// # Errors
/// When something does not go on, or a connection is not cut where it should be.
pub fn run(seed: u64, say: Say<'_>) -> Result<Outcome, String> {
    let count = WORLDS_COPY + WORLDS_INSERT;
    let postgres = Postgres::start(FAST);
    let mut ground = Ground::start(NOTHING_KEPT, postgres.url());
    (0..count).for_each(|number| ground.create_database(&format!("world_{number}")));
    let worlds = all(count, count, |number| {
        let copies = number < WORLDS_COPY;
        let part = if copies {
            Part { first: number, every: WORLDS_COPY }
        } else {
            Part { first: number - WORLDS_COPY, every: WORLDS_INSERT }
        };
        let mut world = World::start(seed, copies, postgres.port(), &format!("world_{number}"));
        let lived = world.live(&part, say);
        lived.map_err(|what| format!("{what}\n{}", world.live.log()))
    })?;
    let mut outcome = Outcome::default();
    for (number, (bytes, verdict)) in (0..).zip(worlds) {
        let all = if number < WORLDS_COPY { &mut outcome.copy } else { &mut outcome.insert };
        *all = [0, 1].map(|way| all[way].max(bytes[way]));
        outcome.verdict.join(verdict);
    }
    Ok(outcome)
}

/// Which of all bytes one world cuts at.
struct Part {
    first: u32,
    every: u32,
}

struct World {
    seed: u64,
    ground: Ground,
    proxy: Proxy,
    live: Live,
    producer: Producer,
    redis: Connection,
}

impl World {
    /// One whose records are new, or late.
    fn start(seed: u64, are_new: bool, postgres: u16, database: &str) -> Self {
        let ground = Ground::start(NOTHING_KEPT, database_url(postgres, database));
        let proxy = Proxy::to_postgres(postgres);
        let mut config = Config::new(&ground.redis.url(), &database_url(proxy.port(), database));
        config.roles = Roles::DURABLE;
        (config.write.lane_count, config.write.linger_ms) = (1, 0);
        let late = if are_new { 0 } else { 1_000 };
        let mix = Mix { devices: 1, late, ..Mix::plain(seed) };
        let mut producer = Producer::new(ground.redis.port(), mix);
        producer.burst(RECORDS_BEFORE);
        let redis = ground.redis.connect();
        Self { seed, ground, proxy, live: Live::start(config), producer, redis }
    }

    /// Cuts at its part of all bytes; says which one was the last, each way, counted from 1.
    fn live(&mut self, part: &Part, say: Say<'_>) -> Result<([usize; 2], Verdict), String> {
        self.until_done()?;
        let mut bytes = [0; 2];
        for way in Way::BOTH {
            for at in (part.first as usize..).step_by(part.every as usize) {
                if !self.cut(way, at)? {
                    break;
                }
                bytes[way as usize] = at + 1;
            }
            say(&format!("part {} of {}: {bytes:?}", part.first, part.every));
        }
        let residual = || metric(self.live.admin, "processor_writer_residual");
        self.ground.until("nothing is left over", |_| residual() == Some(0.0))?;
        Ok((bytes, self.ground.judge(self.producer.log())))
    }

    /// Lets so many bytes of a batch pass and no more; false when it has no more.
    fn cut(&mut self, way: Way, at: usize) -> Result<bool, String> {
        if self.producer.log().records.len() % 12 == SMALLER {
            self.batch()?;
        }
        let connection = self.connection()?;
        let is_even = (at as u64 + self.seed).is_multiple_of(2);
        let ending = if is_even { Ending::Reset } else { Ending::Close };
        let fault = Fault::Cut { at: Place::FromNow(at as u64), ending };
        self.proxy.set(Which::Existing, way, fault);
        self.batch().map_err(|what| format!("{what} after a cut at byte {at} {way:?}"))?;
        self.proxy.heal();
        // One that passes whole needs no other connection.
        Ok(self.proxy.open_connections().iter().any(|&open| open != connection))
    }

    /// The writer's connection, when it is the only one: a request to end a statement has one of its
    /// own.
    fn connection(&mut self) -> Result<usize, String> {
        let Self { ground, proxy, .. } = self;
        let mut found = 0;
        ground.until("the writer is connected once", |_| {
            let open = proxy.open_connections();
            found = open.first().copied().unwrap_or(0);
            open.len() == 1
        })?;
        Ok(found)
    }

    /// Has a batch written, and waits until it is acknowledged.
    fn batch(&mut self) -> Result<(), String> {
        self.producer.add_together(ROWS);
        self.until_done()
    }

    fn until_done(&mut self) -> Result<(), String> {
        let last = self.producer.log().records.last().map(|record| record.entry);
        let Some(Entry::At(last)) = last else { return Err("Redis has not answered".to_owned()) };
        let redis = &mut self.redis;
        let is_done = |(delivered, pending): (EntryId, usize)| delivered == last && pending == 0;
        self.ground.until("a batch is stored", |_| group(redis).is_some_and(is_done))
    }
}
