//! A program that only stores, and what is asked of the servers around it.

use std::net::SocketAddr;

use pitwall::config::{Config, Roles};
use serde_json::Value;
use tests::client::page;
use tests::entries::{Fix, STREAM};
use tests::live::Live;
use tests::platform::imei;
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

    /// Waits until nothing is pending in the group, and all that was added was read.
    pub(crate) fn until_acknowledged(&self) {
        self.scene.until("all is acknowledged", || self.pending() == 0 && self.unread() == 0);
    }

    /// Entries that are pending in the group.
    pub(crate) fn pending(&self) -> usize {
        let says = self.scene.redis_says(&["XPENDING", STREAM, GROUP]);
        says.lines().next().unwrap().parse().unwrap_or(0)
    }

    /// Entries behind the last one that was delivered.
    pub(crate) fn unread(&self) -> usize {
        let groups = self.scene.redis_says(&["XINFO", "GROUPS", STREAM]);
        let lines: Vec<&str> = groups.lines().collect();
        let at = lines.iter().position(|line| *line == "last-delivered-id").unwrap();
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

    pub(crate) fn metric(&self, live: &Live, name: &str) -> u64 {
        let value = self.scene.metric(live, name).unwrap_or_else(|| panic!("{name} is shown"));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
        let value = value as u64;
        value
    }
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
