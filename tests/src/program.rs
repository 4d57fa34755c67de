//! One server process of a test: found, started, awaited, ended by its id.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

/// How long a server may take until it is ready: some hundred times what it takes on an idle
/// machine.
const READY_MS_MAX: u64 = 60_000;

/// How long a server may take to obey a signal before it is killed.
const END_MS_MAX: u64 = 10_000;

/// Between two looks at a condition.
const LOOK_MS: u64 = 5;

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The program is not on this machine.
    Missing {
        /// The file that was looked for.
        program: &'static str,
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// It ended, or was not ready in time.
    NotReady {
        /// The file that was started.
        program: &'static str,
        /// What it wrote.
        log: String,
    },
    /// The operating system refused a step.
    System(io::Error),
}

impl StartError {
    /// True when the port was taken between the moment it was chosen and its use.
    #[must_use]
    pub fn is_port_taken(&self) -> bool {
        matches!(self, Self::NotReady { log, .. } if log.contains("Address already in use"))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program, package } => write!(
                formatter,
                "the tests need a real {program}: install it, for instance with \
                 `apt-get install {package}`"
            ),
            Self::NotReady { program, log } => {
                write!(formatter, "{program} did not become ready; it wrote:\n{log}")
            }
            Self::System(error) => write!(formatter, "a server could not be started: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// A running server. Dropping it ends the process and waits for its end.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// What asks this server to end at once, leaving nothing behind.
    end_signal: &'static str,
}

impl Program {
    /// Starts `command`, its output in the file `log`, and waits until `is_ready` says so.
    ///
    /// `is_ready` gets the process id: a server on the same port that is not ours does not count.
    pub fn start(
        name: &'static str,
        command: &mut Command,
        log: &Path,
        end_signal: &'static str,
        mut is_ready: impl FnMut(u32) -> bool,
    ) -> Result<Self, StartError> {
        let output = File::create(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut program = Self { child: command.spawn()?, end_signal };
        let deadline = Instant::now() + Duration::from_millis(READY_MS_MAX);
        while !is_ready(program.process_id()) {
            if program.child.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(log)?;
                return Err(StartError::NotReady { program: name, log });
            }
            thread::sleep(Duration::from_millis(LOOK_MS));
        }
        Ok(program)
    }

    /// The id of the process that was started, which is the server itself.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process without warning and waits until it is gone.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Sends a signal by its name, such as `STOP`.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        let process = self.process_id().to_string();
        let status =
            Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &process]).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other("the signal was refused")) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let asked =
            matches!(self.child.try_wait(), Ok(None)) && self.signal(self.end_signal).is_ok();
        let deadline = Instant::now() + Duration::from_millis(END_MS_MAX);
        while asked && matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(LOOK_MS));
        }
        // Fails when it has ended, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Looks at something, with this pause between two looks; false if it has not come true in time.
pub fn comes_true(patience: Duration, pause: Duration, mut is_true: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while !is_true() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(pause);
    }
    true
}

/// Finds a program in one of `directories` or in `PATH`.
pub fn find(
    program: &'static str,
    package: &'static str,
    directories: &[PathBuf],
) -> Result<PathBuf, StartError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let everywhere = directories.iter().cloned().chain(std::env::split_paths(&path));
    everywhere
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
        .ok_or(StartError::Missing { program, package })
}

/// The ports of servers: below those that the system gives to outgoing connections. So a server that
/// is stopped for a while finds its own free when it comes back.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// Ports that this process has looked at.
static LOOKED_AT: AtomicU32 = AtomicU32::new(0);

/// Starts a server on a free port, and again on another one when that was taken meanwhile.
pub fn on_free_port<S>(
    mut start: impl FnMut(u16) -> Result<S, StartError>,
) -> Result<S, StartError> {
    let mut tries = 10;
    loop {
        let port = free_port();
        tries -= 1;
        match start(port) {
            Err(error) if error.is_port_taken() && tries > 0 => {}
            result => return result,
        }
    }
}

/// A port of [`PORTS`] on which nobody listens. Each process begins at another.
fn free_port() -> u16 {
    loop {
        let step = LOOKED_AT.fetch_add(1, Ordering::Relaxed);
        let place = std::process::id().wrapping_mul(7_919).wrapping_add(step);
        let port = PORTS.start + place % (PORTS.end - PORTS.start);
        let port = u16::try_from(port).expect("the range is one of ports");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
