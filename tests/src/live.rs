//! The whole program in the process of a test: started as `main` starts it, ended when dropped.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;

use pitwall::Listeners;
use pitwall::config::Config;
use pitwall::error::Stop;
use pitwall::log::Level;
use pitwall::shutdown::Shutdown;

use crate::lines::Lines;

/// Lines of its log that a failed test shows: the minutes before, in a quiet program.
const LINES_TOLD_MAX: usize = 100;

/// A running program.
#[derive(Debug)]
pub struct Live {
    shutdown: Shutdown,
    thread: Option<JoinHandle<Result<(), Stop>>>,
    /// Where viewers connect; port 0 without the role `live`.
    pub address: SocketAddr,
    /// Where devices connect; port 0 without the role `ingest`.
    pub devices: SocketAddr,
    /// Where operators look.
    pub admin: SocketAddr,
    lines: Lines,
}

impl Live {
    /// Starts it on free ports of loopback.
    ///
    /// # Panics
    /// When the ports cannot be had.
    #[must_use]
    pub fn start(mut config: Config) -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        config.live.host = loopback;
        config.live.port = 0;
        config.ingest.host = loopback;
        config.ingest.port = 0;
        config.admin.host = loopback;
        config.admin.port = 0;
        let listeners = Listeners::bind(&config).expect("a free port");
        let bound = |listener: &TcpListener| listener.local_addr().expect("it is bound");
        let nowhere = || (loopback, 0).into();
        let address = listeners.live.as_ref().map_or_else(nowhere, bound);
        let devices = listeners.ingest.as_ref().map_or_else(nowhere, bound);
        let admin = bound(&listeners.admin);
        let shutdown = Shutdown::default();
        let (log, lines) = Lines::of(Level::Debug, &config.instance_id);
        let end = shutdown.clone();
        let run = move || pitwall::run(config, log, listeners, end);
        let thread = std::thread::Builder::new().name("pitwall".to_owned()).spawn(run);
        Self { shutdown, thread: Some(thread.expect("a thread")), address, devices, admin, lines }
    }

    /// Begins the end, as SIGTERM does.
    pub fn begin_end(&self) {
        self.shutdown.begin();
    }

    /// Begins the end and waits for it.
    ///
    /// # Panics
    /// When the program has panicked.
    pub fn end(mut self) -> Result<(), Stop> {
        self.shutdown.begin();
        self.wait()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When the program has panicked.
    pub fn wait(&mut self) -> Result<(), Stop> {
        let thread = self.thread.take().expect("it is waited for once");
        thread.join().expect("the program does not panic")
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.lines.text()
    }
}

impl Drop for Live {
    #[expect(clippy::print_stderr, reason = "what the program said is where a failed test is read")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = self.log();
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(LINES_TOLD_MAX)..];
            eprintln!("The last lines of {}:\n{}", self.address, last.join("\n"));
        }
        self.shutdown.begin();
        if let Some(thread) = self.thread.take() {
            // A test that fails has said why already.
            drop(thread.join());
        }
    }
}
