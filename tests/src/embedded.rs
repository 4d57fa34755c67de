//! The embedded mode as a process of its own: a folder, three ports, and nothing around.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::child::program;
use crate::client::{Client, page};
use crate::directory::Directory;
use crate::program::comes_true;

/// How long anything may take to come true, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The exit code of a process whose port was taken between its choice and its use.
const PORT_TAKEN: i32 = 69;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// The event of the roster that is made at the first start.
pub const RACE: &str = "6f59d114-a26c-5b6e-bfe1-b2c97f69ccfd";

/// A process and its folder; killed when dropped.
#[derive(Debug)]
pub struct Embedded {
    directory: Directory,
    settings: Vec<(String, String)>,
    child: Option<Child>,
    /// Where viewers connect.
    pub live: SocketAddr,
    /// Where devices connect.
    pub devices: SocketAddr,
    /// Where operators look.
    pub admin: SocketAddr,
}

impl Embedded {
    /// Starts it in an empty folder, with these settings beside its ports, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start; so do all functions here when something is not as it must be.
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let mut embedded = Self::new(settings);
        embedded.launch();
        embedded.is_ready();
        embedded
    }

    /// An empty folder; nothing runs yet.
    ///
    /// # Panics
    /// See [`Self::start`].
    #[must_use]
    pub fn new(settings: &[(&str, &str)]) -> Self {
        let [live, devices, admin] = free_ports();
        let owned = settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            directory: Directory::new("embedded").expect("a folder"),
            settings: owned.collect(),
            child: None,
            live,
            devices,
            admin,
        }
    }

    /// The folder it keeps everything in.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.directory.path().join("race")
    }

    /// Starts it, in the folder it had before, on other ports.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn launch(&mut self) {
        [self.live, self.devices, self.admin] = free_ports();
        let log = File::options().create(true).append(true).open(self.log_file());
        let mut command = Command::new(program());
        command
            .args(["serve", "--embedded"])
            .arg(self.folder())
            .env_clear()
            .env("LIVE_WS_PORT", self.live.port().to_string())
            .env("INGEST_PORT", self.devices.port().to_string())
            .env("METRICS_PORT", self.admin.port().to_string())
            .env("LIVE_WS_DRAIN_TIMEOUT_MS", "200")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a file"));
        self.child = Some(command.spawn().expect("the program"));
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn is_ready(&mut self) {
        let mut ended = None;
        let is_ready = comes_true(PATIENCE, LOOK, || {
            ended = self.look();
            ended.is_some() || page(self.admin, "/readyz").starts_with("HTTP/1.1 200")
        });
        assert!(is_ready && ended.is_none(), "it is not ready, {ended:?}: {}", self.log());
    }

    /// How it has ended, if it has. One that found a port taken is started again.
    fn look(&mut self) -> Option<ExitStatus> {
        let ended = self.child.as_mut().expect("launched").try_wait().expect("our child")?;
        if ended.code() == Some(PORT_TAKEN) {
            self.launch();
            return None;
        }
        Some(ended)
    }

    /// What it has logged so far, in all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Ends it without warning.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("launched");
        child.kill().expect("a process of our own may be killed");
        child.wait().expect("it is our child");
    }

    /// Asks it to end, and waits.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn end(&mut self) -> ExitStatus {
        let process = self.child.as_ref().expect("launched").id().to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &process]).status();
        assert!(sent.expect("there is kill").success(), "the signal is sent");
        self.ended()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn ended(&mut self) -> ExitStatus {
        let mut ended = None;
        until("it has ended", || {
            ended = self.look();
            ended.is_some()
        });
        self.child = None;
        ended.expect("it has just ended")
    }

    /// Connects a viewer.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn viewer(&self) -> Client {
        Client::connect(self.live, &[("Host", "localhost")]).expect("viewers come in")
    }

    /// Writes the roster.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn write_roster(&self, text: &str) {
        fs::create_dir_all(self.folder()).expect("a folder");
        fs::write(self.folder().join("roster.toml"), text).expect("the folder is ours");
    }

    /// Waits until `/readyz` shows this text.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn shows(&self, text: &str) {
        until(text, || page(self.admin, "/readyz").contains(text));
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails when it has ended, which is what is wanted.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Waits until it has come true.
///
/// # Panics
/// When it does not in time.
pub fn until(what: &str, is_true: impl FnMut() -> bool) {
    assert!(comes_true(PATIENCE, LOOK, is_true), "in vain was awaited: {what}");
}

/// Runs the program with these arguments and nothing in its environment: its exit code, what it
/// wrote, and what it complained of.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn run(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    run_in(&[("EMBEDDED_DIR", folder.display().to_string())], arguments)
}

/// The same in this environment.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn run_in(environment: &[(&str, String)], arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(program());
    command.args(arguments).env_clear();
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().expect("the program");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Ports that nobody uses at the moment.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn free_ports() -> [SocketAddr; 3] {
    let all = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    all.map(|listener| listener.local_addr().expect("it is bound"))
}
