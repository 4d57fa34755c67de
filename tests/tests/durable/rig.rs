//! A program that only stores, and what is asked of the servers around it.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::time::Duration;

use pitwall::config::{Config, Roles};
use pitwall::secret::Secret;
use serde_json::Value;
use tests::client::page;
use tests::entries::{Fix, STREAM, iso};
use tests::live::Live;
use tests::oracle::{self, Verdict};
use tests::platform::imei;
use tests::producer::Producer;
use tests::proxy::Proxy;
use tests::scene::Scene;

/// The group of the durable plane.
pub(crate) const GROUP: &str = "processor";

/// Where dead letters lie.
pub(crate) const LETTERS: &str = "telemetry:teltonika:dlq";

/// The servers, and the way to look into them.
pub(crate) struct Rig {
    pub(crate) scene: Scene,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self { scene: Scene::new() }
    }

    /// The settings of a program that only stores.
    pub(crate) fn config(&self) -> Config {
        let mut config = self.scene.config();
        config.roles = Roles { live: false, durable: true };
        config
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

    /// Publishes so many fixes of each of these devices, a second apart, the last one now.
    pub(crate) fn publish(&mut self, devices: u64, fixes: i64) {
        let now_ms = self.scene.now_ms();
        let all: Vec<Fix> = (0..fixes)
            .flat_map(|at| {
                let ts_ms = now_ms - (fixes - 1 - at) * 1_000;
                (1..=devices).map(move |device| Fix::new(&imei(device), ts_ms))
            })
            .collect();
        self.scene.publish_all(&all);
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

/// Does all of these at once: each of them waits for most of its time.
pub(crate) fn at_once<const COUNT: usize>(all: [fn(); COUNT]) {
    std::thread::scope(|scope| {
        let threads = all.map(|one| scope.spawn(one));
        let ended = threads.map(|thread| thread.join());
        ended.into_iter().for_each(|ended| ended.unwrap_or_else(|panic| resume_unwind(panic)));
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
