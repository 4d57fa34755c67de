//! The real Directus of a test, on a PostgreSQL of its own, with the platform's collections.
//!
//! It is set up through its own REST API, so its tables, rules and sessions are what it makes of
//! them. `tests/install-directus` has to have been run once.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::directory::Directory;
use crate::postgres::{FAST, Postgres};
use crate::program::Program;
use api::{Api, Login};

pub mod api;
mod collections;

/// The version of the platform.
const VERSION: &str = "11.17.4";

const ADMIN_EMAIL: &str = "admin@example.com";

/// One password for everybody in a test that is not about passwords.
const PASSWORD: &str = "a-password-of-a-test";

/// A running Directus, gone when dropped.
#[derive(Debug)]
pub struct RealDirectus {
    // Dropped in this order: Directus, its database, its files.
    program: Option<Program>,
    /// Its database; the tables are Directus's own, but for `positions`.
    pub postgres: Postgres,
    directory: Directory,
    api: Api,
    admin: String,
    role: String,
}

impl RealDirectus {
    /// Starts one with the platform's collections, a role for its users and the rule that they see
    /// the events of their organizations.
    ///
    /// # Panics
    /// When it is not installed, or does not start; so do all functions here, since a test cannot go
    /// on without.
    #[must_use]
    pub fn start() -> Self {
        let postgres = Postgres::start(FAST);
        let directory = Directory::new("directus").expect("a temporary directory");
        let api = Api { port: free_port() };
        let mut directus = Self {
            program: None,
            postgres,
            directory,
            api,
            admin: String::new(),
            role: String::new(),
        };
        let output = directus.command("bootstrap", api).output().expect("Node starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        directus.program = Some(directus.launch(api, "1d"));
        let admin = json!({ "email": ADMIN_EMAIL, "password": PASSWORD });
        let login = directus.api.call("POST", "/auth/login", None, Some(&admin));
        directus.admin = format!("Authorization: Bearer {}", login.text("access_token"));
        directus.role = collections::create(&directus);
        directus.add_positions();
        directus
    }

    /// Adds the one table of the platform that Directus does not make.
    fn add_positions(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let client = self.postgres.connect().await;
            let created = client.batch_execute(include_str!("../../data/copy/positions.sql")).await;
            created.expect("Directus has no table of that name");
        });
    }

    /// Starts another process on the same database; sessions that begin there live as long as
    /// `session_ttl` says, such as `1d`, and are known to all.
    ///
    /// # Panics
    /// See [`RealDirectus::start`].
    #[must_use]
    pub fn another(&self, session_ttl: &'static str) -> Another<'_> {
        let mut another =
            Another { directus: self, program: None, api: Api { port: free_port() }, session_ttl };
        another.run();
        another
    }

    fn launch(&self, api: Api, session_ttl: &str) -> Program {
        let log = self.directory.path().join(format!("log-{}", api.port));
        let mut command = self.command("start", api);
        command.env("SESSION_COOKIE_TTL", session_ttl);
        let program = Program::start("directus", &mut command, &log, "TERM", |_| api.is_up());
        program.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.api.port
    }

    /// Adds a row to a collection of the platform; the names of its fields are the platform's.
    ///
    /// # Panics
    /// When Directus refuses it.
    pub fn add(&self, collection: &str, row: &serde_json::Value) {
        self.admin("POST", &format!("/items/{collection}"), Some(row));
    }

    /// Removes a row of a collection by its id.
    ///
    /// # Panics
    /// When Directus refuses it.
    pub fn remove(&self, collection: &str, id: &str) {
        self.admin("DELETE", &format!("/items/{collection}/{id}"), None);
    }

    /// Adds an active user with the platform's role, and returns the id.
    ///
    /// # Panics
    /// When Directus refuses it.
    #[must_use]
    pub fn add_user(&self, name: &str) -> String {
        let user = json!({
            "email": format!("{name}@example.com"),
            "password": PASSWORD,
            "role": self.role,
            "status": "active",
        });
        self.admin("POST", "/users", Some(&user)).text("id")
    }

    /// Changes fields of a user, such as `status`.
    ///
    /// # Panics
    /// When Directus refuses it.
    pub fn change_user(&self, user: &str, fields: &serde_json::Value) {
        self.admin("PATCH", &format!("/users/{user}"), Some(fields));
    }

    /// Logs a user in as the platform's page does, and returns what a browser would send as
    /// `Cookie` from then on.
    ///
    /// # Panics
    /// When Directus refuses it.
    #[must_use]
    pub fn log_in(&self, name: &str) -> String {
        self.api.log_in(&login_of(name))
    }

    /// Exchanges a session for a new one, and returns the new cookie.
    ///
    /// # Panics
    /// When Directus refuses it.
    #[must_use]
    pub fn refresh(&self, cookie: &str) -> String {
        let body = json!({ "mode": "session" });
        let cookie = format!("Cookie: {cookie}");
        self.api.call("POST", "/auth/refresh", Some(&cookie), Some(&body)).cookie()
    }

    /// Ends a session.
    ///
    /// # Panics
    /// When Directus refuses it.
    pub fn log_out(&self, cookie: &str) {
        let body = json!({ "mode": "session" });
        let cookie = format!("Cookie: {cookie}");
        let answer = self.api.call("POST", "/auth/logout", Some(&cookie), Some(&body));
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    fn admin(&self, method: &str, path: &str, body: Option<&serde_json::Value>) -> api::Answer {
        let answer = self.api.call(method, path, Some(&self.admin), body);
        assert!((200..300).contains(&answer.status), "{method} {path} {body:?}: {answer:?}");
        answer
    }

    fn command(&self, action: &str, api: Api) -> Command {
        let folder = installed();
        let mut command = Command::new(folder.join("node/bin/node"));
        command
            .arg(folder.join("app/node_modules/directus/cli.js"))
            .arg(action)
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .envs([
                ("SECRET", "a-secret-of-a-test-that-is-long-enough"),
                ("ADMIN_EMAIL", ADMIN_EMAIL),
                ("ADMIN_PASSWORD", PASSWORD),
                ("DB_CLIENT", "pg"),
                ("DB_HOST", "127.0.0.1"),
                ("DB_DATABASE", "postgres"),
                ("DB_USER", "pitwall"),
                ("DB_PASSWORD", "none"),
                ("HOST", "127.0.0.1"),
                ("TELEMETRY", "false"),
                ("SESSION_COOKIE_SECURE", "false"),
                // It answers 503 when the machine is busy, which the stub can do on purpose.
                ("PRESSURE_LIMITER_ENABLED", "false"),
            ])
            .env("DB_PORT", self.postgres.port().to_string())
            .env("PORT", api.port.to_string())
            .env("PUBLIC_URL", format!("http://127.0.0.1:{}", api.port));
        command
    }
}

/// Another process of a running Directus, gone when dropped.
#[derive(Debug)]
pub struct Another<'a> {
    directus: &'a RealDirectus,
    program: Option<Program>,
    api: Api,
    session_ttl: &'static str,
}

impl Another<'_> {
    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.api.port
    }

    /// See [`RealDirectus::log_in`].
    ///
    /// # Panics
    /// When it refuses it.
    #[must_use]
    pub fn log_in(&self, name: &str) -> String {
        self.api.log_in(&login_of(name))
    }

    /// Kills it, as a crash does.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let mut program = self.program.take().expect("it runs");
        program.kill().expect("the process is ours");
    }

    /// Runs it again.
    ///
    /// # Panics
    /// See [`RealDirectus::start`].
    pub fn run(&mut self) {
        self.program = Some(self.directus.launch(self.api, self.session_ttl));
    }
}

fn login_of(name: &str) -> Login {
    Login { email: format!("{name}@example.com"), password: PASSWORD }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Where `tests/install-directus` has put it.
fn installed() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache")
    });
    let folder = cache.join(format!("pitwall/directus-{VERSION}"));
    let is_there = fs::exists(folder.join("app/node_modules/directus/cli.js")).unwrap_or(false);
    assert!(is_there, "the real Directus is not installed: run tests/install-directus once");
    folder
}
