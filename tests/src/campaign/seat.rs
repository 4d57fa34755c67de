//! The place of one instance of pitwall: ways of its own to both servers, and a process or none.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use pitwall::Listeners;
use pitwall::config::{Config, Roles};
use pitwall::error::Stop;
use pitwall::log::{Level, Log};
use pitwall::shutdown::Shutdown;

use super::database_url;
use crate::directory::Directory;
use crate::proxy::{Proxy, reserve};

/// Names of one place, taken in turn.
const NAMES: usize = 3;

/// Lines of a log that are told.
const LINES_TOLD: usize = 30;

/// What the process in a place does: stores until it is killed, in small batches. It claims what a
/// dead one has left sooner than an operator may ask for.
///
/// # Errors
/// When the program ends with one.
pub fn serve(
    redis_url: &str,
    postgres_url: &str,
    admin_port: u16,
    instance_id: &str,
) -> Result<(), Stop> {
    let mut config = Config::new(redis_url, postgres_url);
    config.instance_id = instance_id.to_owned();
    config.roles = Roles::DURABLE;
    (config.admin.host, config.admin.port) = (Ipv4Addr::LOCALHOST.into(), admin_port);
    config.write.batch_rows_max = 200;
    config.write.linger_ms = 10;
    config.write.deadline_ms = 1_000;
    config.write.claim_threshold_ms = 1_100;
    let log = Log::to_standard_error(Level::Info, instance_id);
    let listeners = Listeners::bind(&config)?;
    pitwall::run(config, log, listeners, Shutdown::default())
}

/// One place.
#[derive(Debug)]
pub(super) struct Seat {
    letter: char,
    program: PathBuf,
    pub(super) redis: Proxy,
    pub(super) postgres: Proxy,
    /// Where operators look.
    pub(super) admin: SocketAddr,
    directory: Directory,
    child: Option<Child>,
    lives: usize,
    name: usize,
    /// Keeps the port between two lives.
    _reservation: OwnedFd,
}

impl Seat {
    /// An empty place with ways to the servers on these ports.
    pub(super) fn new(letter: char, program: PathBuf, redis: u16, postgres: u16) -> Self {
        let (port, reservation) = reserve();
        Self {
            letter,
            program,
            redis: Proxy::to_redis(redis),
            postgres: Proxy::to_postgres(postgres),
            admin: (Ipv4Addr::LOCALHOST, port).into(),
            directory: Directory::new("campaign").expect("a directory"),
            child: None,
            lives: 0,
            name: 0,
            _reservation: reservation,
        }
    }

    /// The name of the process that is or was here.
    pub(super) fn instance_id(&self) -> String {
        format!("{}-{}", self.letter, self.name)
    }

    /// Takes the next name.
    pub(super) fn rename(&mut self) {
        self.name = (self.name + 1) % NAMES;
    }

    /// Starts a process here.
    pub(super) fn start(&mut self) {
        assert!(self.child.is_none(), "one process at a time");
        self.lives += 1;
        let log = File::create(self.log_path()).expect("a file");
        let mut command = Command::new(&self.program);
        command
            .arg("serve")
            .arg(format!("redis://127.0.0.1:{}", self.redis.port()))
            .arg(database_url(self.postgres.port(), "postgres"))
            .arg(self.admin.port().to_string())
            .arg(self.instance_id())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(command.spawn().expect("the program starts"));
    }

    /// Kills the process without warning, if there is one, and says whether there was.
    pub(super) fn kill(&mut self) -> bool {
        let Some(mut child) = self.child.take() else { return false };
        child.kill().expect("a child may be killed");
        child.wait().expect("a child may be waited for");
        true
    }

    /// True when a process is here.
    pub(super) fn is_taken(&self) -> bool {
        self.child.is_some()
    }

    /// How the process has ended, if it has ended by itself.
    pub(super) fn has_ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().expect("a child may be looked at")?;
        Some(format!("{} has ended by itself, with {status}", self.instance_id()))
    }

    /// The last lines of its log.
    pub(super) fn log(&self) -> String {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES_TOLD)..].join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join(format!("log-{}", self.lives))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.kill();
    }
}
