//! Cuts the connection to PostgreSQL at every byte of a small batch, in both directions.
//!
//! A batch is three rows, of one size each time: either new ones, which go by COPY, or late ones, which
//! are inserted carefully. For each byte there is one batch; the connection ends when what comes
//! before that byte has passed, and the writer has to do the rest over a new one.

use std::fmt;
use std::ops::Range;

use engine::rows::EntryId;
use pitwall::config::{Config, Roles};
use redis::Connection;

use super::ground::{Ground, group};
use super::{Say, all, is_clean};
use crate::live::Live;
use crate::oracle::Verdict;
use crate::postgres::FAST;
use crate::producer::{Entry, Mix, Producer};
use crate::proxy::{Ending, Fault, Place, Proxy, Way, Which};
use crate::scene::metric;

/// Rows of a batch.
const ROWS: usize = 3;

/// Records before the first batch, so that all later numbers have four digits.
const RECORDS_BEFORE: usize = 1_008;

/// The codecs take turns by three and long attributes by four: of four batches in a row, three have
/// one size, and this one is smaller.
const SMALLER: usize = 9;

/// Worlds that share the bytes of the COPY, and those of the insert, of which there are more.
const WORLDS_COPY: u32 = 3;
const WORLDS_INSERT: u32 = 5;

/// Cuts of one world between two lines.
const TOLD_EVERY: usize = 50;

/// What was done, and what has become of the records.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Bytes of a COPY to PostgreSQL and of its answers, each of which was cut at once.
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
    let worlds = all(count, count, |number| {
        let copies = number < WORLDS_COPY;
        let part = if copies {
            Part { number, of: WORLDS_COPY }
        } else {
            Part { number: number - WORLDS_COPY, of: WORLDS_INSERT }
        };
        let mut world = World::start(seed, copies);
        let lived = world.live(&part, say);
        lived.map_err(|what| format!("{what}\n{}", world.live.log()))
    })?;
    let mut outcome = Outcome::default();
    for (number, (bytes, verdict)) in worlds.into_iter().enumerate() {
        let of_way =
            if number < WORLDS_COPY as usize { &mut outcome.copy } else { &mut outcome.insert };
        if *of_way != [0, 0] && *of_way != bytes {
            return Err(format!("batches of {of_way:?} and of {bytes:?} bytes"));
        }
        *of_way = bytes;
        outcome.verdict.join(verdict);
    }
    Ok(outcome)
}

/// Which of all bytes: each so-maniest.
struct Part {
    number: u32,
    of: u32,
}

impl Part {
    fn of(&self, bytes: Range<usize>) -> impl Iterator<Item = usize> {
        bytes.skip(self.number as usize).step_by(self.of as usize)
    }
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
    fn start(seed: u64, are_new: bool) -> Self {
        let ground = Ground::start(&["--appendonly", "no"], FAST);
        let proxy = Proxy::to_postgres(ground.postgres.port());
        let url = format!("postgres://pitwall@127.0.0.1:{}/postgres", proxy.port());
        let mut config = Config::new(&ground.redis.url(), &url);
        config.roles = Roles { live: false, durable: true };
        (config.write.lane_count, config.write.linger_ms) = (1, 0);
        let mut producer = Producer::new(
            ground.redis.port(),
            Mix { devices: 1, late: if are_new { 0 } else { 1_000 }, ..Mix::plain(seed) },
        );
        producer.burst(RECORDS_BEFORE);
        let redis = ground.redis.connect();
        Self { seed, ground, proxy, live: Live::start(config), producer, redis }
    }

    /// Cuts at its part of all bytes; says how many there are each way.
    fn live(&mut self, part: &Part, say: Say<'_>) -> Result<([usize; 2], Verdict), String> {
        self.until_done()?;
        let bytes = self.measure()?;
        for way in Way::BOTH {
            let all = bytes[way as usize];
            for (count, at) in part.of(0..all).enumerate() {
                self.cut(way, at)?;
                if count % TOLD_EVERY == 0 {
                    say(&format!("world {}: byte {at} of {all} {way:?}", part.number));
                }
            }
        }
        if self.measure()? != bytes {
            return Err("batches have not stayed of one size".to_owned());
        }
        let residual = || metric(self.live.admin, "processor_writer_residual");
        self.ground.until("nothing is left over", |_| residual() == Some(0.0))?;
        Ok((bytes, self.ground.judge(self.producer.log())))
    }

    /// How many bytes pass for a batch, each way.
    fn measure(&mut self) -> Result<[usize; 2], String> {
        self.skip_smaller()?;
        let connection = self.connection()?;
        let before = self.passed(connection);
        self.batch()?;
        let after = self.passed(connection);
        if self.connection()? != connection {
            return Err("a connection has ended by itself".to_owned());
        }
        Ok([0, 1].map(|way| usize::try_from(after[way] - before[way]).expect("a small batch")))
    }

    /// Lets so many bytes of a batch pass and no more.
    fn cut(&mut self, way: Way, at: usize) -> Result<(), String> {
        self.skip_smaller()?;
        let connection = self.connection()?;
        let before = self.passed(connection)[way as usize];
        let is_even = (at as u64 + self.seed).is_multiple_of(2);
        let ending = if is_even { Ending::Reset } else { Ending::Close };
        let fault = Fault::Cut { at: Place::FromNow(at as u64), ending };
        self.proxy.set(Which::Existing, way, fault);
        self.batch().map_err(|what| format!("{what} after a cut at byte {at} {way:?}"))?;
        let passed = self.passed(connection)[way as usize] - before;
        let is_cut = !self.proxy.open_connections().contains(&connection);
        if is_cut && passed == at as u64 {
            return Ok(());
        }
        Err(format!("{passed} bytes {way:?} have passed instead of {at}; cut: {is_cut}"))
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

    fn passed(&self, connection: usize) -> [u64; 2] {
        Way::BOTH.map(|way| self.proxy.bytes_passed(connection, way))
    }

    fn skip_smaller(&mut self) -> Result<(), String> {
        if self.producer.log().records.len() % 12 == SMALLER { self.batch() } else { Ok(()) }
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
