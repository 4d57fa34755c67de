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
            let program = launch((&binary, &directory, port), arguments, has_loaded)?;
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

    /// The same, but does not wait until it has loaded what is on disk: with the arguments that make
    /// loading slow it answers, and refuses.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn kill_and_begin_to_load(&mut self, arguments: &[&str]) {
        self.kill();
        let place = (&*self.binary, &self.directory, self.port);
        let started = launch(place, arguments, |answer| answer.contains("\nloading:1\r"));
        self.program = started.unwrap_or_else(|error| panic!("{error}"));
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
        let started = launch((&self.binary, &self.directory, self.port), arguments, has_loaded);
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

/// Starts a server in this place and waits until its own word satisfies.
fn launch(
    (binary, directory, port): (&Path, &Directory, u16),
    arguments: &[&str],
    satisfies: impl Fn(&str) -> bool,
) -> Result<Program, StartError> {
    let log = directory.path().join("log");
    let mut command = Command::new(binary);
    command
        .current_dir(directory.path())
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(arguments);
    let is_ready = |process| {
        let own = format!("\nprocess_id:{process}\r");
        ask(port).is_ok_and(|answer| answer.contains(&own) && satisfies(&answer))
    };
    Program::start("redis-server", &mut command, &log, "TERM", is_ready)
}

/// What the server on this port says of itself.
fn ask(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"INFO server\r\nINFO persistence\r\nQUIT\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// One that still loads what it has on disk answers, too, but refuses every write.
fn has_loaded(answer: &str) -> bool {
    answer.contains("\nloading:0\r")
}
