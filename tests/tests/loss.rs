//! The loss meter against a real Redis and a count entry by entry: exact or unknown, never wrong.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bench::random::Random;
use pitwall::durable::group;
use pitwall::durable::loss::Loss;
use pitwall::durable::loss::meter::Reading;
use pitwall::secret::Secret;
use pitwall::stream::{Class, Control, Server};
use redis::Connection;
use tests::redis::Redis;
use tokio::runtime::Runtime;

const GROUP: &str = "processor";

/// Whatever was answered outlives a killed server, though not a killed machine.
const APPEND_ONLY: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "no"];

/// One entry, as somebody counts who looks at every one.
#[derive(Clone)]
struct Entry {
    id: String,
    is_delivered: bool,
}

/// A stream, its reader, its meter, and what is true.
struct Race {
    redis: Redis,
    connection: Connection,
    control: Control,
    loss: Loss,
    runtime: Runtime,
    random: Random,
    stream: String,
    entries: Vec<Entry>,
    pending: Vec<String>,
    /// Entries trimmed unread since the group was created, and since the last gap.
    lost: u64,
    lost_before_gap: u64,
    gaps: u64,
    now_ms: u64,
    /// True when the meter may have a connection to a Redis that was killed.
    is_cut: bool,
    readings: u64,
    undelivered_known: u64,
    lost_known: u64,
}

impl Race {
    fn start(redis: Redis, seed: u64) -> Self {
        let server = Server::parse(&Secret::new(redis.url())).unwrap();
        let stream = format!("stream-{seed}");
        let mut race = Self {
            connection: redis.connect(),
            control: Control::new(&server).unwrap(),
            loss: Loss::new(&server, &stream, GROUP).unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            redis,
            random: Random::new(seed),
            stream,
            entries: Vec::new(),
            pending: Vec::new(),
            lost: 0,
            lost_before_gap: 0,
            gaps: 0,
            now_ms: 0,
            is_cut: false,
            readings: 0,
            undelivered_known: 0,
            lost_known: 0,
        };
        if race.chance(2) {
            race.add();
            race.trim();
        }
        race.create();
        race
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.random.below(one_in) == 0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    fn ask<T: redis::FromRedisValue>(&mut self, words: &str) -> T {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        command.arg(words.collect::<Vec<_>>());
        command.query(&mut self.connection).unwrap()
    }

    fn create(&mut self) {
        let create = group::create(&mut self.control, &self.stream, GROUP);
        assert!(self.runtime.block_on(create).unwrap(), "it was not there");
        let again = group::create(&mut self.control, &self.stream, GROUP);
        assert!(!self.runtime.block_on(again).unwrap(), "it is there");
        (self.lost, self.lost_before_gap, self.gaps) = (0, 0, 0);
        self.entries.iter_mut().for_each(|entry| entry.is_delivered = false);
        self.pending.clear();
    }

    fn add(&mut self) {
        for _ in 0..=self.below(30) {
            let id = self.ask(&format!("XADD {} * a 1", self.stream));
            self.entries.push(Entry { id, is_delivered: false });
        }
    }

    fn trim(&mut self) {
        let left = self.below(60);
        self.ask::<()>(&format!("XTRIM {} MAXLEN = {left}", self.stream));
        let gone = self.entries.len().saturating_sub(left);
        let unread = self.entries.drain(..gone).filter(|entry| !entry.is_delivered).count();
        self.lost += unread as u64;
    }

    fn read(&mut self) {
        let count = 1 + self.below(40);
        let no_ack = if self.chance(3) { "NOACK " } else { "" };
        let read =
            format!("XREADGROUP GROUP {GROUP} one COUNT {count} {no_ack}STREAMS {} >", self.stream);
        self.ask::<()>(&read);
        let waiting = self.entries.iter_mut().filter(|entry| !entry.is_delivered);
        for entry in waiting.take(count) {
            entry.is_delivered = true;
            if no_ack.is_empty() {
                self.pending.push(entry.id.clone());
            }
        }
    }

    fn acknowledge(&mut self) {
        let count = self.below(self.pending.len() + 1);
        for id in self.pending.drain(..count).collect::<Vec<_>>() {
            let acknowledged: u64 = self.ask(&format!("XACK {} {GROUP} {id}", self.stream));
            assert_eq!(acknowledged, 1);
        }
    }

    fn delete(&mut self) {
        if !self.entries.is_empty() {
            let at = self.below(self.entries.len());
            let entry = self.entries.remove(at);
            self.ask::<()>(&format!("XDEL {} {}", self.stream, entry.id));
        }
    }

    fn create_again(&mut self) {
        self.ask::<()>(&format!("XGROUP DESTROY {} {GROUP}", self.stream));
        self.create();
    }

    /// Another process counts on.
    fn begin_anew(&mut self) {
        let server = Server::parse(&Secret::new(self.redis.url())).unwrap();
        self.loss = Loss::new(&server, &self.stream, GROUP).unwrap();
    }

    fn restart(&mut self) {
        if self.chance(2) {
            self.ask::<()>("BGREWRITEAOF");
            while self.ask::<String>("INFO persistence").contains("rewrite_in_progress:1") {}
            self.add();
            self.read();
        }
        self.redis.kill_and_restart(&APPEND_ONLY);
        self.connection = self.redis.connect();
        while self.ask::<String>("INFO persistence").contains("loading:1") {}
        // Who has a connection that is gone finds it out by its use.
        let ping = redis::cmd("PING");
        while self.runtime.block_on(self.control.call::<String>(&ping)).is_err() {}
        self.is_cut = true;
        if self.chance(2) {
            self.begin_anew();
        }
    }

    fn reading(&mut self) -> Reading {
        let reading = self.runtime.block_on(self.loss.sample(self.now_ms));
        match reading {
            Err(failure) if failure.class == Class::Cut && self.is_cut => {
                assert_eq!(self.loss.numbers().reading(), Reading::default());
                self.is_cut = false;
                self.reading()
            }
            reading => reading.unwrap(),
        }
    }

    #[track_caller]
    fn sample(&mut self, what: &str) {
        self.now_ms += 5_000;
        let reading = self.reading();
        let waiting = self.entries.iter().filter(|entry| !entry.is_delivered).count() as u64;
        let gaps = reading.gaps.unwrap();
        if gaps > self.gaps {
            assert_eq!(reading.lost, None, "{what}: a gap is told");
            (self.gaps, self.lost_before_gap) = (gaps, self.lost);
        }
        let lost = self.lost - self.lost_before_gap;
        assert_eq!(reading.length, self.entries.len() as u64, "{what}");
        assert_eq!(reading.pending, Some(self.pending.len() as u64), "{what}");
        assert_eq!(reading.undelivered.unwrap_or(waiting), waiting, "{what}: {reading:?}");
        assert_eq!(reading.lost.unwrap_or(lost), lost, "{what}: {reading:?}");
        self.readings += 1;
        self.undelivered_known += u64::from(reading.undelivered.is_some());
        self.lost_known += u64::from(reading.lost.is_some());
    }
}

/// What may happen, beside what always may.
#[derive(Clone, Copy)]
struct Events {
    deletions: bool,
    restarts: bool,
}

fn run(redis: Redis, seed: u64, steps: u32, events: Events) -> Race {
    let mut race = Race::start(redis, seed);
    for step in 0..steps {
        match race.random.below(40) {
            0 => race.begin_anew(),
            1 => race.create_again(),
            2 | 3 if events.deletions => race.delete(),
            4 if events.restarts => race.restart(),
            5..=10 => race.trim(),
            11..=22 => race.read(),
            23..=26 => race.acknowledge(),
            _ => race.add(),
        }
        if race.chance(2) {
            race.sample(&format!("seed {seed}, step {step}"));
        }
    }
    race
}

#[test]
fn f13_whatever_a_reader_and_trimming_do_both_numbers_are_known_and_exact() {
    let mut redis = Redis::start();
    for seed in 0..40 {
        let events = Events { deletions: false, restarts: false };
        let race = run(redis, seed, 200, events);
        assert!(race.readings > 50 && race.gaps == 0);
        assert_eq!((race.undelivered_known, race.lost_known), (race.readings, race.readings));
        redis = race.redis;
    }
}

#[test]
fn f15_with_deletions_both_numbers_are_exact_or_unknown() {
    let mut redis = Redis::start();
    let (mut readings, mut known) = (0, 0);
    for seed in 100..140 {
        let race = run(redis, seed, 200, Events { deletions: true, restarts: false });
        readings += race.readings;
        known += race.undelivered_known.min(race.lost_known);
        redis = race.redis;
    }
    assert!(known > readings / 2 && known < readings, "{known} of {readings}");
}

#[test]
fn m2_with_restarts_too_both_numbers_are_exact_or_unknown() {
    let mut redis = Redis::try_start(&APPEND_ONLY).unwrap();
    let (mut readings, mut known) = (0, 0);
    for seed in 200..206 {
        let race = run(redis, seed, 200, Events { deletions: seed % 2 == 0, restarts: true });
        readings += race.readings;
        known += race.undelivered_known.min(race.lost_known);
        redis = race.redis;
    }
    assert!(known > readings / 2 && known < readings, "{known} of {readings}");
}

#[test]
fn f5_without_memory_the_group_is_refused_whole_and_the_meter_goes_on() {
    let mut race = Race::start(Redis::start(), 0);
    race.ask::<()>("CONFIG SET maxmemory 1");
    race.now_ms += 5_000;
    assert_eq!(race.reading().gaps, Some(0), "what cannot be remembered there is kept here");
    race.ask::<()>(&format!("XGROUP DESTROY {} {GROUP}", race.stream));
    let create = group::create(&mut race.control, &race.stream, GROUP);
    let failure = race.runtime.block_on(create).unwrap_err();
    assert!(failure.class == Class::Later && failure.words.contains("OOM"), "{failure}");
    assert_eq!(race.reading(), Reading::default());
    race.ask::<()>("CONFIG SET maxmemory 0");
    race.create();
    race.sample("there is memory again");
}

#[test]
fn what_waits_is_counted_only_up_to_a_bound() {
    let mut race = Race::start(Redis::start(), 0);
    let add = format!("for i = 1, 10050 do redis.call('XADD', '{}', '*', 'a', i) end", race.stream);
    redis::cmd("EVAL").arg(add).arg(0).exec(&mut race.connection).unwrap();
    let mut read = |count: u32| {
        let words = format!("XREADGROUP GROUP {GROUP} x COUNT {count} STREAMS {} >", race.stream);
        race.ask::<()>(&words);
        race.begin_anew();
        race.ask::<()>(&format!("DEL pitwall:loss:{}:{GROUP}", race.stream));
        let length: u64 = race.ask(&format!("XLEN {}", race.stream));
        (length, race.reading().undelivered)
    };
    let (length, undelivered) = read(40);
    assert!(length > 10_040 && undelivered.is_none(), "{length}, {undelivered:?}");
    let (length, undelivered) = read(100);
    assert_eq!(undelivered, Some(length - 140));
}

#[test]
fn t30_few_rights_are_enough_and_without_info_a_loss_is_unknown() {
    let mut race = Race::start(Redis::start(), 0);
    race.ask::<()>("XTRIM stream-0 MAXLEN 0");
    race.ask::<()>("XGROUP DESTROY stream-0 processor");
    let rights = "on >secret-word resetchannels ~stream-0 ~pitwall:loss:* +xinfo +xgroup +xrange \
                  +client|setname +eval +get +set +del +exists";
    for (user, more, lost) in [("few", " +info", Some(1)), ("fewer", "", None)] {
        race.ask::<()>(&format!("ACL SETUSER {user} {rights}{more}"));
        let url = race.redis.url().replace("redis://", &format!("redis://{user}:secret-word@"));
        let server = Server::parse(&Secret::new(url)).unwrap();
        race.control = Control::new(&server).unwrap();
        race.create();
        race.loss = Loss::new(&server, "stream-0", GROUP).unwrap();
        assert_eq!((race.reading().undelivered, race.reading().lost), (Some(0), Some(0)), "{user}");
        race.ask::<()>("XADD stream-0 * a b");
        race.ask::<()>("XADD stream-0 MAXLEN 1 * a b");
        let reading = race.reading();
        assert_eq!((reading.undelivered, reading.lost), (Some(1), lost), "{user}");
        race.ask::<()>("XTRIM stream-0 MAXLEN 0");
        race.ask::<()>("XGROUP DESTROY stream-0 processor");
    }
}
