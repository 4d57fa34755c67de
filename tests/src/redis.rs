//! A real redis-server of one test: on a free port of loopback, in a directory of its own.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::directory::Directory;
use crate::program::{Program, StartError, find, on_free_port};

/// A running redis-server, gone when dropped.
#[derive(Debug)]
pub struct Redis {
    // Dropped in this order: the server ends before its directory goes.
    program: Program,
    directory: Directory,
    binary: PathBuf,
    port: u16,
}

impl Redis {
    /// Starts a server that keeps nothing on disk.
    ///
    /// # Panics
    /// When it cannot be started, with the sentence of [`StartError`].
    #[must_use]
    pub fn start() -> Self {
        Self::try_start(&["--appendonly", "no"]).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a server that has every write on disk before it answers.
    ///
    /// # Panics
    /// When it cannot be started, with the sentence of [`StartError`].
    #[must_use]
    pub fn start_append_only() -> Self {
        Self::try_start(&["--appendonly", "yes", "--appendfsync", "always"])
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a server with these arguments beside the port and the directory.
    pub fn try_start(arguments: &[&str]) -> Result<Self, StartError> {
        let binary = find("redis-server", "redis-server", &[])?;
        on_free_port(|port| {
            let directory = Directory::new("redis")?;
            let program = launch(&binary, &directory, port, arguments)?;
            Ok(Self { program, directory, binary: binary.clone(), port })
        })
    }

    /// Kills the server without warning and starts another one in its place: on the same port, with
    /// what it has left on disk, and with these arguments.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn kill_and_restart(&mut self, arguments: &[&str]) {
        self.kill();
        self.restart(arguments);
    }

    /// Kills the server without warning.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&mut self) {
        self.program.kill().expect("a server of our own may be killed");
    }

    /// Starts a server in the place of the one that was killed.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn restart(&mut self, arguments: &[&str]) {
        let started = launch(&self.binary, &self.directory, self.port, arguments);
        self.program = started.unwrap_or_else(|error| panic!("{error}"));
    }

    /// A connection to it.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn connect(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).expect("the address of a server");
        client.get_connection().expect("a running server answers")
    }

    /// What `REDIS_URL` should say.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process, for signals and for its id.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Where it keeps its files.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }
}

fn launch(
    binary: &Path,
    directory: &Directory,
    port: u16,
    arguments: &[&str],
) -> Result<Program, StartError> {
    let log = directory.path().join("log");
    let mut command = Command::new(binary);
    command
        .current_dir(directory.path())
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(arguments);
    let is_ready = |process| is_ready(port, process).unwrap_or(false);
    Program::start("redis-server", &mut command, &log, "TERM", is_ready)
}

/// True when the server on this port is this process and serves: one that still loads what it has on
/// disk answers, too, but refuses every write.
fn is_ready(port: u16, process: u32) -> io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"INFO server\r\nINFO persistence\r\nQUIT\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let own = format!("process_id:{process}");
    Ok([&*own, "loading:0"].iter().all(|line| answer.lines().any(|answered| answered == *line)))
}
