//! A writer as simple as can be: one entry after the other, each stored before it is acknowledged.

use engine::decode::{Decoder, EntryFields, write_for_database};
use redis::{Connection, Value, cmd};
use tests::entries::{STREAM, iso};
use tests::oracle::{DEAD_LETTERS, GROUP, Verdict, judge};
use tests::postgres::{FAST, POSITIONS, Postgres};
use tests::producer::{Kind, Mix, Producer, REFUSE, RawField};
use tests::redis::Redis;
use tokio_postgres::{Client, NoTls};

/// A stream, a table and a writer between them.
pub(crate) struct Rig {
    pub(crate) redis: Redis,
    pub(crate) connection: Connection,
    pub(crate) database: Client,
    runtime: tokio::runtime::Runtime,
    _postgres: Postgres,
}

/// An entry as it is read.
pub(crate) type Raw = (String, Vec<RawField>);

impl Rig {
    pub(crate) fn new() -> Self {
        let (redis, postgres) = (Redis::start(), Postgres::start(FAST));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (database, session) =
            runtime.block_on(tokio_postgres::connect(&postgres.url(), NoTls)).unwrap();
        runtime.spawn(async move { drop(session.await) });
        let mut rig =
            Self { connection: redis.connect(), redis, database, runtime, _postgres: postgres };
        rig.sql(POSITIONS);
        rig.sql(REFUSE);
        rig.begin_anew();
        rig
    }

    /// Forgets all entries and rows.
    pub(crate) fn begin_anew(&mut self) {
        self.sql("TRUNCATE positions");
        self.ask::<()>("FLUSHALL");
        self.ask::<()>(&format!("XGROUP CREATE {STREAM} {GROUP} 0 MKSTREAM"));
    }

    pub(crate) fn sql(&self, statements: &str) {
        self.runtime.block_on(self.database.batch_execute(statements)).unwrap();
    }

    pub(crate) fn ask<T: redis::FromRedisValue>(&mut self, words: &str) -> T {
        let mut words = words.split(' ');
        let mut command = cmd(words.next().unwrap());
        command.arg(words.collect::<Vec<_>>()).query(&mut self.connection).unwrap()
    }

    pub(crate) fn produce(&self, mix: Mix, count: usize) -> Producer {
        let mut producer = Producer::new(self.redis.port(), mix);
        producer.burst(count);
        producer
    }

    pub(crate) fn judge(&self, producer: &Producer) -> Verdict {
        let port = self.redis.port();
        self.runtime.block_on(judge(producer.log(), port, &self.database))
    }

    /// Gives so many entries to the writer.
    pub(crate) fn read(&mut self, count: usize) -> Vec<Raw> {
        let words = format!("XREADGROUP GROUP {GROUP} c COUNT {count} STREAMS {STREAM} >");
        let streams: Option<Vec<(String, Vec<Raw>)>> = self.ask(&words);
        streams.into_iter().flatten().flat_map(|(_, entries)| entries).collect()
    }

    /// Stores an entry, or says why not: with an SQLSTATE, or `decode`.
    pub(crate) fn store(&self, entry: &Raw) -> Result<(), String> {
        let mut decoder = Decoder::new();
        let pairs = entry.1.iter().map(|(name, value)| (&**name, &**value));
        let fields = EntryFields::from_pairs(pairs);
        let decoded = fields.as_ref().map_err(|error| *error);
        let decoded = decoded.and_then(|fields| decoder.decode(fields));
        let Ok(decoded) = decoded else { return Err("decode".to_owned()) };
        let mut attributes = Vec::new();
        write_for_database(decoded.attributes, &mut attributes);
        let (fix, time) = (decoded.position, iso(decoded.position.timestamp_ms));
        let insert = "INSERT INTO positions (device_id, ts, latitude, longitude, altitude, angle,
            speed, satellites, priority, codec, attributes)
            VALUES ($1, $2::text::timestamptz, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::jsonb)
            ON CONFLICT (device_id, ts) DO NOTHING";
        let stored = self.runtime.block_on(self.database.execute(
            insert,
            &[
                &decoded.device_id,
                &time,
                &fix.latitude,
                &fix.longitude,
                &fix.altitude,
                &fix.angle,
                &fix.speed,
                &i16::from(fix.satellites),
                &i16::from(fix.priority),
                &fix.codec.text(),
                &String::from_utf8(attributes).unwrap(),
            ],
        ));
        stored.map(drop).map_err(|error| error.code().unwrap().code().to_owned())
    }

    pub(crate) fn acknowledge(&mut self, entry: &Raw) {
        self.ask::<u64>(&format!("XACK {STREAM} {GROUP} {}", entry.0));
    }

    /// Writes the dead letter of an entry.
    pub(crate) fn bury(&mut self, (id, fields): &Raw, code: &str) {
        let mut command = cmd("XADD");
        command.arg(DEAD_LETTERS).arg("*").arg("entry").arg(id).arg("reason").arg("It is bad.");
        command
            .arg("code")
            .arg(code)
            .arg("instance")
            .arg("honest")
            .arg("at")
            .arg(iso(1_780_704_000_000));
        for (name, value) in fields {
            command.arg([b"raw:", &name[..]].concat()).arg(value);
        }
        command.exec(&mut self.connection).unwrap();
    }

    /// Does with an entry what must be done.
    pub(crate) fn deal_with(&mut self, entry: &Raw) {
        if let Err(code) = self.store(entry) {
            self.bury(entry, &code);
        }
        self.acknowledge(entry);
    }

    /// Does with every entry what must be done.
    pub(crate) fn drain(&mut self) {
        loop {
            let entries = self.read(1_000);
            if entries.is_empty() {
                return;
            }
            entries.iter().for_each(|entry| self.deal_with(entry));
        }
    }
}

#[test]
fn an_honest_writer_is_clean_at_every_step_and_drained_at_the_end() {
    let mut rig = Rig::new();
    let mix = Mix { undecodable: 50, refused: 50, ..Mix::rough(1) };
    let producer = rig.produce(mix, 2_000);
    let log = producer.log();
    let verdict = rig.judge(&producer);
    verdict.assert_clean();
    assert_eq!((verdict.added, verdict.undelivered, verdict.waiting), (2_000, 2_000, 2_000));
    assert!(!tests::oracle::is_drained(rig.redis.port()));

    // Some of it is done, some of it only stored, some only given out.
    let entries = rig.read(1_000);
    entries[..400].iter().for_each(|entry| rig.deal_with(entry));
    entries[400..500].iter().for_each(|entry| drop(rig.store(entry)));
    let verdict = rig.judge(&producer);
    verdict.assert_clean();
    assert_eq!(verdict.waiting, 1_600);
    // Duplicates of what is stored are no matter of concern any more.
    assert!((450..550).contains(&verdict.pending), "{verdict}");
    assert!((950..=1_000).contains(&verdict.undelivered), "{verdict}");
    assert!(std::panic::catch_unwind(|| verdict.assert_drained()).is_err(), "it is not");

    entries[400..].iter().for_each(|entry| rig.deal_with(entry));
    rig.drain();
    assert!(tests::oracle::is_drained(rig.redis.port()));
    let verdict = rig.judge(&producer);
    verdict.assert_drained();
    let dead = log.count(Kind::Undecodable) + log.count(Kind::Refused);
    assert_eq!(verdict.dead_lettered, dead as u64);
    assert_eq!(verdict.duplicates, log.count(Kind::Duplicate) as u64);
    assert_eq!(verdict.stored + verdict.duplicates + verdict.dead_lettered, 2_000);
    assert_eq!(verdict.later_stands, 0, "the first one stands");
    let line = "2000 records: acknowledged-but-lost 0, duplicates 0, residual 0 (";
    assert!(
        verdict.to_string().starts_with(line) && !verdict.to_string().contains('\n'),
        "{verdict}"
    );
}

#[test]
fn what_was_stored_and_then_given_out_once_more_is_no_loss_and_no_duplicate() {
    let mut rig = Rig::new();
    let producer = rig.produce(Mix::rough(2), 500);
    rig.drain();
    // As after a failover that went back.
    rig.ask::<Value>(&format!("XGROUP SETID {STREAM} {GROUP} 0"));
    let verdict = rig.judge(&producer);
    verdict.assert_clean();
    assert_eq!((verdict.undelivered, verdict.waiting), (0, 500));
    for entry in rig.read(1_000) {
        // Its letter is there already.
        rig.store(&entry).ok();
        rig.acknowledge(&entry);
    }
    rig.judge(&producer).assert_drained();
}

#[test]
fn what_was_trimmed_unread_is_counted_and_must_be_expected() {
    let mut rig = Rig::new();
    let producer = rig.produce(Mix::plain(3), 500);
    let read = rig.read(100);
    read.iter().for_each(|entry| rig.deal_with(entry));
    rig.ask::<u64>(&format!("XTRIM {STREAM} MAXLEN 370"));
    rig.drain();
    let verdict = rig.judge(&producer);
    assert_eq!((verdict.trimmed, verdict.wrong_count(), verdict.residual()), (30, 0, 0));
    verdict.assert_clean_but_trimmed(30);
    assert!(std::panic::catch_unwind(|| verdict.assert_clean()).is_err(), "30 are not none");
}
