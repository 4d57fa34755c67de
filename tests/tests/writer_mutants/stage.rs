//! One program between real servers, and what is asked of those from outside.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tests::client::page;
use tests::directory::Directory;
use tests::entries::Publisher;
use tests::oracle::{self, Verdict};
use tests::postgres::{POSITIONS, Postgres};
use tests::producer::{Mix, Producer, Record};
use tests::program::{Program, comes_true, on_free_port};
use tests::redis::Redis;
use tests::scene::metric;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Error};

/// How long anything may take to come true, and between two looks.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(5);

/// The name of the program under test.
pub(crate) const INSTANCE: &str = "processor-1";

/// Lines of its log that are told with what is found.
const LINES_TOLD_MAX: usize = 15;

/// What was found wrong, if anything was.
pub(crate) type Found = Result<(), Finding>;

/// Something wrong.
pub(crate) struct Finding {
    /// What it is.
    pub(crate) words: String,
    /// The end of the program's log.
    pub(crate) log: String,
}

/// The servers, the program, and what was produced.
pub(crate) struct Stage {
    program: Option<Program>,
    admin: SocketAddr,
    pub(crate) redis: Redis,
    postgres: Postgres,
    runtime: Runtime,
    producer: Producer,
    directory: Directory,
}

impl Stage {
    /// An empty stream and an empty table; these settings of PostgreSQL.
    pub(crate) fn new(mix: Mix, settings: &[(&str, &str)]) -> Self {
        let redis = Redis::start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let stage = Self {
            program: None,
            admin: (Ipv4Addr::LOCALHOST, 0).into(),
            producer: Producer::new(redis.port(), mix),
            redis,
            postgres: Postgres::start(settings),
            runtime: runtime.unwrap(),
            directory: Directory::new("stage").unwrap(),
        };
        stage.execute(POSITIONS);
        stage
    }

    /// Starts the program with these settings and waits until it is ready.
    pub(crate) fn start(&mut self, program: &Path, settings: &[(&str, String)]) {
        // What a killed one leaves behind would be waited for.
        self.ask(&["DEL", &pitwall::lease::key(INSTANCE)]);
        let log = self.log_path();
        let started = on_free_port(|port| {
            self.admin = (Ipv4Addr::LOCALHOST, port).into();
            let mut command = Command::new(program);
            command
                .arg("serve")
                .env_clear()
                .env("ROLES", "durable")
                .env("INSTANCE_ID", INSTANCE)
                .env("REDIS_URL", self.redis.url())
                .env("POSTGRES_URL", self.postgres.url())
                .env("METRICS_HOST", "127.0.0.1")
                .env("METRICS_PORT", port.to_string())
                .envs(settings.iter().cloned());
            let is_ready = |_| page(self.admin, "/readyz").starts_with("HTTP/1.1 200");
            Program::start("pitwall", &mut command, &log, "KILL", is_ready)
        });
        self.program = Some(started.unwrap_or_else(|error| panic!("{error}")));
    }

    /// Kills the program.
    pub(crate) fn kill(&mut self) {
        self.program.take().expect("it was started").kill().unwrap();
    }

    /// Does something while the program stands still.
    pub(crate) fn meanwhile<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let program = self.program.as_ref().expect("it was started");
        let stat = format!("/proc/{}/stat", program.process_id());
        program.signal("STOP").unwrap();
        let is_stopped = || fs::read_to_string(&stat).unwrap().contains(") T ");
        assert!(comes_true(PATIENCE, LOOK, is_stopped), "a stopped process stands still");
        let done = work(self);
        self.program.as_ref().expect("it was started").signal("CONT").unwrap();
        done
    }

    /// Kills every process of PostgreSQL and starts it again.
    pub(crate) fn kill_postgres(&mut self) {
        self.postgres.kill();
        self.postgres.start_again();
    }

    /// Produces so many records.
    pub(crate) fn produce(&mut self, count: usize) {
        self.producer.burst(count);
    }

    /// What was produced.
    pub(crate) fn records(&self) -> &[Record] {
        &self.producer.log().records
    }

    /// Lets Redis say what a command gives.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let answer = Publisher::connect(self.redis.port()).command(words);
        assert!(!answer.starts_with('-'), "{words:?}: {answer}");
        answer
    }

    /// How many dead letters there are.
    pub(crate) fn letters(&self) -> usize {
        self.ask(&["XLEN", oracle::DEAD_LETTERS]).parse().unwrap()
    }

    /// Entries that wait to be given to a program.
    pub(crate) fn undelivered(&self) -> u64 {
        self.verdict().undelivered
    }

    pub(crate) fn execute(&self, statement: &str) {
        self.execute_in(&self.session(), statement).unwrap();
    }

    /// A number that the database gives.
    pub(crate) fn number(&self, query: &str) -> i64 {
        let asked = async { self.postgres.connect().await.query_one(query, &[]).await };
        self.runtime.block_on(asked).unwrap().get(0)
    }

    /// The texts that the database gives.
    pub(crate) fn texts(&self, query: &str) -> Vec<String> {
        let asked = async { self.postgres.connect().await.query(query, &[]).await };
        self.runtime.block_on(asked).unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// A session that stays.
    pub(crate) fn session(&self) -> Client {
        self.runtime.block_on(self.postgres.connect())
    }

    /// Does something in a session that stays.
    pub(crate) fn execute_in(&self, session: &Client, statement: &str) -> Result<(), Error> {
        self.runtime.block_on(session.batch_execute(statement))
    }

    /// Where the program tells of itself.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A metric of the program, if it is shown.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        metric(self.admin, name)
    }

    /// True when the program says that somebody has to change something in the database.
    pub(crate) fn is_holding(&self) -> bool {
        self.metric("processor_writer_hold{reason=\"schema\"}") == Some(1.0)
    }

    /// True when a session of the program has waited so long for somebody else's lock, and will not
    /// give up soon.
    pub(crate) fn waits(&self, least_ms: u32) -> bool {
        let waiting = format!(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
             WHERE application_name LIKE 'pitwall-durable%' AND NOT granted
                AND clock_timestamp() - waitstart
                    BETWEEN {least_ms} * interval '1 ms' AND interval '1 s'"
        );
        self.number(&waiting) > 0
    }

    /// True when all was given to a program and acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        oracle::is_drained(self.redis.port())
    }

    /// Waits until something is true.
    pub(crate) fn until(&self, what: &str, is_true: impl FnMut() -> bool) -> Found {
        let words = || format!("it did not come true in time that {what}");
        self.expect(comes_true(PATIENCE, LOOK, is_true), words)
    }

    /// Waits until everything is acknowledged.
    pub(crate) fn until_drained(&self) -> Found {
        let is_drained = comes_true(PATIENCE, LOOK, || self.is_drained());
        self.expect(is_drained, || format!("not all is acknowledged: {}", self.verdict()))
    }

    /// Judges what has become of all that was produced, of which so much was trimmed unread.
    pub(crate) fn judge(&self, trimmed: u64) -> Found {
        let verdict = self.verdict();
        self.expect(verdict.is_clean_but_trimmed(trimmed), || verdict.to_string())
    }

    /// Finds something wrong unless this is true.
    pub(crate) fn expect(&self, is_right: bool, words: impl FnOnce() -> String) -> Found {
        if is_right {
            return Ok(());
        }
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES_TOLD_MAX)..];
        Err(Finding { words: words(), log: last.join("\n") })
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.runtime.block_on(async {
            let client = self.postgres.connect().await;
            oracle::judge(self.producer.log(), self.redis.port(), &client).await
        })
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

/// The statement that stores a record.
pub(crate) fn insert(record: &Record) -> String {
    let values = record.values;
    format!(
        "INSERT INTO positions (device_id, ts, latitude, longitude, altitude, angle, speed,
            satellites, priority, codec, attributes)
         VALUES ('{}', 'epoch'::timestamptz + {} * interval '1 ms', {}, {}, {}, {}, {}, {}, {},
            '{}', '{}')",
        record.device_id(),
        record.ts_ms,
        f64::from(values.latitude_e7) / 1e7,
        f64::from(values.longitude_e7) / 1e7,
        values.altitude,
        values.angle,
        values.speed,
        values.satellites,
        record.priority(),
        record.codec(),
        record.stored_attributes(),
    )
}
