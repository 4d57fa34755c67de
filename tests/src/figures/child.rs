//! The program as a process of its own, and what the system says of it.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, io};

use pitwall::Listeners;
use pitwall::config::{Config, Roles};
use pitwall::log::{Level, Log};
use pitwall::shutdown::Shutdown;

use super::say;

/// What the child does: serves until it is killed, its ports on the first line.
///
/// # Panics
/// When the program ends with an error.
pub fn serve(redis_url: &str, postgres_url: &str, directus_port: u16) {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut config = Config::new(redis_url, postgres_url);
    config.roles = Roles::LIVE;
    config.directus.host = "127.0.0.1".to_owned();
    config.directus.port = directus_port;
    config.live.host = loopback;
    config.live.port = 0;
    config.admin.host = loopback;
    config.admin.port = 0;
    config.live.access.allow_missing_origin = Some(true);
    let listeners = Listeners::bind(&config).expect("free ports");
    let port = |listener: &std::net::TcpListener| listener.local_addr().expect("bound").port();
    let live = listeners.live.as_ref().expect("it serves viewers");
    say(&format!("{} {}", port(live), port(&listeners.admin)));
    let log = Log::to(Level::Warn, "figures", io::stderr());
    pitwall::run(config, log, listeners, Shutdown::default())
        .expect("it serves until it is killed");
}

/// The same for one that listens to devices and does nothing else.
///
/// # Panics
/// When the program ends with an error.
pub fn listen(redis_url: &str) {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut config = Config::new(redis_url, "postgres://nobody@127.0.0.1:1/nothing");
    config.roles = Roles::INGEST;
    config.ingest.host = loopback;
    config.ingest.port = 0;
    config.admin.host = loopback;
    config.admin.port = 0;
    if let Some(words) = pitwall::process::allow_descriptors(&config) {
        say_to_operator(&words);
    }
    let listeners = Listeners::bind(&config).expect("free ports");
    let port = |listener: &std::net::TcpListener| listener.local_addr().expect("bound").port();
    let devices = listeners.ingest.as_ref().expect("it listens to devices");
    say(&format!("{} {}", port(devices), port(&listeners.admin)));
    let log = Log::to(Level::Warn, "figures", io::stderr());
    pitwall::run(config, log, listeners, Shutdown::default())
        .expect("it listens until it is killed");
}

#[expect(clippy::print_stderr, reason = "the standard output is for the ports")]
fn say_to_operator(words: &str) {
    eprintln!("{words}");
}

/// A running child, killed when dropped.
#[derive(Debug)]
pub struct Served {
    child: Child,
    /// Where viewers connect, or devices when it listens to those.
    pub live: SocketAddr,
    /// Where operators look.
    pub admin: SocketAddr,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Memory that is in use now.
    pub resident_bytes: u64,
    /// Time on a core.
    pub cpu: Duration,
}

impl Served {
    /// Starts this program again as the one under measure.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(redis_url: &str, postgres_url: &str, directus_port: u16) -> Self {
        Self::launch(&["serve", redis_url, postgres_url, &directus_port.to_string()])
    }

    /// Starts this program again as one that listens to devices.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn listening(redis_url: &str) -> Self {
        Self::launch(&["listen", redis_url])
    }

    fn launch(arguments: &[&str]) -> Self {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the child says its ports");
        let mut ports = line.split_whitespace().map(|port| port.parse::<u16>().expect("a port"));
        let mut next = || (Ipv4Addr::LOCALHOST, ports.next().expect("two ports")).into();
        let (live, admin) = (next(), next());
        Self { child, live, admin }
    }

    /// What it has used so far.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn used(&self) -> Used {
        Used::of(self.child.id())
    }
}

impl Used {
    /// What the process of this id has used so far.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn of(process: u32) -> Self {
        let of = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}"));
        let statm = of("statm").expect("it runs");
        let pages: u64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
        let stat = of("stat").expect("it runs");
        // After the name, which may hold anything but ends at the last bracket: fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().expect("a bracket").split(' ').collect();
        let ticks: u64 = fields[12..14].iter().map(|n| n.parse::<u64>().expect("a number")).sum();
        // Both the page and the tick of Linux are the same on all machines we run on.
        Self { resident_bytes: pages * 4096, cpu: Duration::from_millis(ticks * 10) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
