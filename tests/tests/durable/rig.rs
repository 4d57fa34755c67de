//! A program that only stores, and what is asked of the servers around it.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use pitwall::config::{Config, Roles};
use pitwall::secret::Secret;
use serde_json::Value;
use tests::client::page;
use tests::entries::{Fix, STREAM, iso};
use tests::live::Live;
use tests::oracle::{self, Verdict};
use tests::platform::imei;
use tests::postgres::FAST;
use tests::producer::{Mix, Producer};
use tests::proxy::Proxy;
use tests::scene::Scene;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Error, NoTls};

/// The group of the durable plane.
pub(crate) const GROUP: &str = "processor";

/// Where dead letters lie.
pub(crate) const LETTERS: &str = "telemetry:teltonika:dlq";

/// The servers, and the way to look into them.
pub(crate) struct Rig {
    pub(crate) scene: Scene,
    published_ms: i64,
}

impl Rig {
    /// Over the PostgreSQL that is named for these tests, or one of its own.
    pub(crate) fn new() -> Self {
        Self { scene: Scene::anywhere(3), published_ms: 0 }
    }

    /// Over one of its own, which may be killed, and whose settings and roles may be changed.
    pub(crate) fn own() -> Self {
        Self::over(FAST)
    }

    /// Over a PostgreSQL with these settings.
    pub(crate) fn over(settings: &[(&str, &str)]) -> Self {
        Self { scene: Scene::over(settings, 3), published_ms: 0 }
    }

    /// The settings of a program that only stores.
    pub(crate) fn config(&self) -> Config {
        let mut config = self.scene.config();
        config.roles = Roles::DURABLE;
        config
    }

    /// The settings of one that gives a write no more than a second.
    pub(crate) fn hasty_config(&self) -> Config {
        let mut config = self.config();
        config.write.deadline_ms = 1_000;
        config
    }

    /// The settings of one that finds PostgreSQL behind this.
    pub(crate) fn config_through(&self, proxy: &Proxy) -> Config {
        let mut config = self.config();
        config.postgres_url = Secret::new(self.scene.postgres_url_at(proxy.port()));
        config
    }

    /// Makes a user who may do nothing but write, and gives the settings of one that is this user.
    pub(crate) fn config_of_writer(&self) -> Config {
        self.execute("CREATE ROLE writer LOGIN PASSWORD 'right'; GRANT INSERT, SELECT ON positions TO writer");
        let mut config = self.config();
        config.postgres_url = Secret::new(self.writer_url());
        config
    }

    /// Where that user finds PostgreSQL.
    pub(crate) fn writer_url(&self) -> String {
        format!("postgres://writer:right@127.0.0.1:{}/postgres", self.scene.postgres_port())
    }

    /// The same for one that reaches Redis over this wire.
    pub(crate) fn config_by(&self, proxy: &Proxy) -> Config {
        let redis_url = Secret::new(format!("redis://127.0.0.1:{}", proxy.port()));
        Config { redis_url, ..self.config() }
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&self) -> Live {
        self.start_with(self.config())
    }

    pub(crate) fn start_with(&self, config: Config) -> Live {
        let live = Live::start(config);
        self.scene.until("the program is ready", || is_ready(live.admin));
        live
    }

    /// Publishes so many fixes of each of these devices, newer than all before, up to now.
    pub(crate) fn publish(&mut self, devices: u64, fixes: i64) {
        let first_ms = (self.scene.now_ms() - fixes).max(self.published_ms + 1);
        let all: Vec<Fix> = (first_ms..first_ms + fixes)
            .flat_map(|ts_ms| (1..=devices).map(move |device| Fix::new(&imei(device), ts_ms)))
            .collect();
        self.scene.publish_all(&all);
        self.published_ms = first_ms + fixes - 1;
    }

    /// A number that the database gives.
    pub(crate) fn number(&self, statement: &str) -> i64 {
        let mut number = 0;
        self.scene.sql(async |client| {
            number = client.query_one(statement, &[]).await.unwrap().get(0);
        });
        number
    }

    pub(crate) fn execute(&self, statement: &str) {
        self.scene.sql(async |client| client.batch_execute(statement).await.unwrap());
    }

    /// Changes a setting of the whole server.
    pub(crate) fn set(&self, setting: &str, value: &str) {
        self.execute(&format!("ALTER SYSTEM SET {setting} = '{value}'"));
        self.execute("SELECT pg_reload_conf()");
    }

    /// Makes a setting of the server what it was.
    pub(crate) fn reset(&self, setting: &str) {
        self.execute(&format!("ALTER SYSTEM RESET {setting}"));
        self.execute("SELECT pg_reload_conf()");
    }

    /// Ends the sessions of the program: the next ones begin anew.
    pub(crate) fn end_sessions(&self) {
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name LIKE 'pitwall-durable%' AND datname = current_database()",
        );
    }

    /// A session that stays.
    pub(crate) fn session(&self) -> Session {
        Session::open(&self.url()).unwrap()
    }

    /// Where PostgreSQL is.
    pub(crate) fn url(&self) -> String {
        self.scene.postgres_url_at(self.scene.postgres_port())
    }

    /// Rows of positions.
    pub(crate) fn stored(&self) -> i64 {
        self.number("SELECT count(*) FROM positions")
    }

    /// Waits until that many rows are stored and nothing is pending.
    pub(crate) fn until_stored(&self, rows: i64) {
        self.scene.until("all rows are stored", || self.stored() == rows);
        self.until_acknowledged();
        let different =
            "SELECT count(*) FROM (SELECT DISTINCT device_id, ts FROM positions) AS them";
        assert_eq!(self.number(different), rows, "each is stored once");
    }

    /// Waits until all that was added was read, and nothing is pending in the group.
    pub(crate) fn until_acknowledged(&self) {
        // In this order: what is read in between is pending afterwards.
        self.scene.until("all is acknowledged", || self.unread() == 0 && self.pending() == 0);
    }

    /// Entries that are pending in the group.
    pub(crate) fn pending(&self) -> usize {
        let says = self.scene.redis_says(&["XPENDING", STREAM, GROUP]);
        says.lines().next().unwrap().parse().unwrap_or(0)
    }

    /// Entries behind the last one that was delivered; all there can be while there is no group.
    pub(crate) fn unread(&self) -> usize {
        let groups = self.scene.redis_says(&["XINFO", "GROUPS", STREAM]);
        let lines: Vec<&str> = groups.lines().collect();
        let Some(at) = lines.iter().position(|line| *line == "last-delivered-id") else {
            return usize::MAX;
        };
        let from = format!("({}", lines[at + 1]);
        self.scene.redis_says(&["XRANGE", STREAM, &from, "+"]).matches("payload").count()
    }

    /// Dead letters.
    pub(crate) fn letters(&self) -> usize {
        self.scene.redis_says(&["XLEN", LETTERS]).parse().unwrap()
    }

    /// All dead letters, as Redis tells them.
    pub(crate) fn letters_text(&self) -> String {
        self.scene.redis_says(&["XRANGE", LETTERS, "-", "+"])
    }

    /// Waits until everything is acknowledged that was produced, and judges what became of it.
    pub(crate) fn until_drained(&self, producer: &Producer) -> Verdict {
        self.scene.until_within(Duration::from_secs(60), "all is drained", || {
            oracle::is_drained(self.scene.redis.port())
        });
        self.judge(producer)
    }

    /// What has become of what was produced.
    pub(crate) fn judge(&self, producer: &Producer) -> Verdict {
        let mut verdict = Verdict::default();
        self.scene.sql(async |client| {
            verdict = oracle::judge(producer.log(), self.scene.redis.port(), client).await;
        });
        verdict
    }

    /// Who produces for this rig.
    pub(crate) fn producer(&self, mix: Mix) -> Producer {
        Producer::new(self.scene.redis.port(), mix)
    }

    /// Makes the group, so that the program knows from its start what waits.
    pub(crate) fn make_group(&self) {
        self.ask(&format!("XGROUP CREATE {STREAM} {GROUP} 0 MKSTREAM ENTRIESREAD 0"));
    }

    /// Takes the table away, or gives it back.
    pub(crate) fn hide_table(&self, is_hidden: bool) {
        let (from, to) = if is_hidden { ("positions", "away") } else { ("away", "positions") };
        self.execute(&format!("ALTER TABLE {from} RENAME TO {to}"));
    }

    /// Sends a command given as one text to Redis.
    pub(crate) fn ask(&self, command: &str) -> String {
        self.scene.redis_says(&command.split(' ').collect::<Vec<_>>())
    }

    /// Adds so many fixes of one device as one write, with these commands around them: nobody gets
    /// in between.
    pub(crate) fn publish_at_once(&self, device: u64, fixes: i64, around: [&str; 2]) {
        let now_ms = self.scene.now_ms();
        let mut pipe = redis::pipe();
        pipe.atomic();
        let command = |pipe: &mut redis::Pipeline, words: &str| {
            let mut words = words.split(' ').filter(|word| !word.is_empty());
            if let Some(name) = words.next() {
                pipe.cmd(name).arg(words.collect::<Vec<_>>()).ignore();
            }
        };
        command(&mut pipe, around[0]);
        for at in 0..fixes {
            pipe.add_command(entry("*", &Fix::new(&imei(device), now_ms - at * 1_000))).ignore();
        }
        command(&mut pipe, around[1]);
        pipe.query::<()>(&mut self.scene.redis.connect()).unwrap();
    }

    pub(crate) fn metric(&self, live: &Live, name: &str) -> u64 {
        let value = self.scene.metric(live, name).unwrap_or_else(|| panic!("{name} is shown"));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
        let value = value as u64;
        value
    }
}

/// The command that adds an entry of this id.
pub(crate) fn entry(id: &str, fix: &Fix) -> redis::Cmd {
    let mut command = redis::cmd("XADD");
    command.arg(STREAM).arg(id).arg("ts").arg(iso(fix.ts_ms)).arg("device_id").arg(&fix.imei);
    command.arg("codec").arg("8").arg("payload").arg(fix.payload());
    command
}

/// A session with the database, which has what it has begun until it is dropped.
pub(crate) struct Session {
    client: Client,
    // It moves the bytes of the client, so it goes last.
    runtime: Runtime,
}

impl Session {
    pub(crate) fn open(url: &str) -> Result<Self, Error> {
        let builder = &mut tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let (client, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls))?;
        runtime.spawn(async move {
            // The client sees the same error, and says it where a test looks.
            drop(connection.await);
        });
        Ok(Self { client, runtime })
    }

    pub(crate) fn execute(&self, statement: &str) {
        self.runtime.block_on(self.client.batch_execute(statement)).unwrap();
    }
}

/// Goes through cases that mostly wait, side by side.
pub(crate) fn at_once(cases: &[&(dyn Fn() + Sync)]) {
    thread::scope(|threads| {
        for case in cases {
            threads.spawn(case);
        }
    });
}

/// True when `/readyz` says so.
pub(crate) fn is_ready(admin: SocketAddr) -> bool {
    page(admin, "/readyz").starts_with("HTTP/1.1 200")
}

/// What `/readyz` says of a component.
pub(crate) fn report(live: &Live, name: &str) -> Value {
    let page = page(live.admin, "/readyz");
    let body: Value = serde_json::from_str(page.split_once("\r\n\r\n").unwrap().1).unwrap();
    let components = body["components"].as_array().unwrap();
    components.iter().find(|component| component["name"] == name).cloned().unwrap_or_default()
}

/// True when the component has failed for a reason that holds these words.
pub(crate) fn holds(live: &Live, name: &str, words: &str) -> bool {
    let report = report(live, name);
    report["state"] == "failed" && report["reason"].as_str().unwrap().contains(words)
}
