//! A real PostgreSQL of one test: on a free port of loopback, with a cluster of its own.
//!
//! The cluster is copied from a template that is made once per user and version and kept in the
//! temporary folder. PostgreSQL refuses to run as root: then it runs as the user `postgres`.

pub mod named;

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::{Client, NoTls};

use crate::directory::Directory;
use crate::program::{Program, StartError, comes_true, find, on_free_port};

/// The table that pitwall writes, as the platform makes it.
pub const POSITIONS: &str = include_str!("../data/copy/positions.sql");

/// Settings for tests that are not about durability: nothing waits for the disk.
pub const FAST: &[(&str, &str)] = &[("fsync", "off"), ("full_page_writes", "off")];

/// The one user of the cluster, its superuser, who needs no password.
const USER: &str = "pitwall";

/// How long killed processes may take to be gone, and between two looks.
const KILLED_PATIENCE: Duration = Duration::from_secs(20);
const KILLED_LOOK: Duration = Duration::from_millis(1);

/// A running PostgreSQL, gone when dropped.
#[derive(Debug)]
pub struct Postgres {
    // Dropped in this order: the server ends before its directory goes.
    program: Option<Program>,
    directory: Directory,
    port: u16,
    account: Account,
    binary: PathBuf,
    settings: Vec<String>,
}

impl Postgres {
    /// Starts a server with the settings it comes with, `fsync` among them, and these beside.
    ///
    /// # Panics
    /// When it cannot be started, with the sentence of [`StartError`].
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::try_start(settings).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a server, or says why not.
    pub fn try_start(settings: &[(&str, &str)]) -> Result<Self, StartError> {
        let binary = find_binary("postgres")?;
        let template = template()?;
        on_free_port(|port| {
            let directory = Directory::new("postgres")?;
            let account = Account::for_files_of(&directory)?;
            account.own(&directory)?;
            let data = directory.path().join("data");
            run(account.command("cp").arg("-R").arg(&template).arg(&data))?;
            let settings = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let binary = binary.clone();
            let mut postgres = Self { program: None, directory, port, account, binary, settings };
            postgres.try_start_again()?;
            Ok(postgres)
        })
    }

    /// Ends the server at once, as a crash does; its cluster stays.
    pub fn stop(&mut self) {
        self.program = None;
    }

    /// Kills every process of the server without warning; its cluster stays.
    ///
    /// # Panics
    /// When they cannot be killed, or the server is stopped.
    pub fn kill(&mut self) {
        let mut program = self.program.take().expect("the server is running");
        // One that stands still starts no more of them.
        program.signal("STOP").expect("a server of our own may be stopped");
        let children = children_of(program.process_id());
        for &child in &children {
            // Fails when it has just ended.
            kill_process(child, Signal::KILL).ok();
        }
        program.kill().expect("a server of our own may be killed");
        // Whoever starts next must not find its memory in use.
        let are_gone = || children.iter().all(|&child| has_ended(child));
        assert!(comes_true(KILLED_PATIENCE, KILLED_LOOK, are_gone), "some outlive a SIGKILL");
    }

    /// Kills its youngest process without warning: the server ends all others and starts them again.
    ///
    /// # Panics
    /// When it cannot be killed, or the server is stopped.
    pub fn kill_one(&self) {
        let children = children_of(self.program().process_id()).into_iter();
        let youngest = children.max_by_key(|child| child.as_raw_nonzero());
        let killed = kill_process(youngest.expect("a server has processes"), Signal::KILL);
        killed.expect("a process of our own may be killed");
    }

    /// Starts the stopped server again, on the same port and the same cluster.
    ///
    /// # Panics
    /// When it cannot be started, with the sentence of [`StartError`].
    pub fn start_again(&mut self) {
        self.try_start_again().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Ends the server as a crash does, keeps a copy of its cluster, and starts it again.
    ///
    /// # Panics
    /// When there is no room for the copy, or the server does not start.
    pub fn keep(&mut self) {
        self.stop();
        let (data, kept) = (self.directory.path().join("data"), self.directory.path().join("kept"));
        run(self.account.command("cp").arg("-R").arg(data).arg(kept)).expect("room for a copy");
        self.start_again();
    }

    /// Kills the server and starts it with what was kept: all that was committed since is gone, as
    /// after a failover to a standby that had not heard of it.
    ///
    /// # Panics
    /// When nothing was kept, or the server does not start.
    pub fn go_back(&mut self) {
        self.kill();
        let (data, kept) = (self.directory.path().join("data"), self.directory.path().join("kept"));
        run(self.account.command("rm").arg("-r").arg(&data)).expect("the cluster is there");
        run(self.account.command("mv").arg(kept).arg(data)).expect("a copy was kept");
        self.start_again();
    }

    fn try_start_again(&mut self) -> Result<(), StartError> {
        let data = self.directory.path().join("data");
        let mut command = self.account.command(&self.binary);
        command.arg("-D").arg(&data).args(["-p", &self.port.to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let log = self.directory.path().join("log");
        let is_ready = |process| is_ready(&data, process);
        // QUIT is PostgreSQL's immediate shutdown: its own children end too.
        self.program = Some(Program::start("postgres", &mut command, &log, "QUIT", is_ready)?);
        Ok(())
    }

    /// What `POSTGRES_URL` should say.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    /// A program that came with the server.
    #[must_use]
    pub fn tool(&self, name: &str) -> PathBuf {
        self.binary.with_file_name(name)
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process, for signals and for its id.
    ///
    /// # Panics
    /// While the server is stopped.
    #[must_use]
    pub fn program(&self) -> &Program {
        self.program.as_ref().expect("the server is running")
    }

    /// Where it keeps its files; the cluster is in `data`.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// A new session; the connection is driven by the runtime that calls.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn connect(&self) -> Client {
        let (client, connection) =
            tokio_postgres::connect(&self.url(), NoTls).await.expect("the server is ready");
        tokio::spawn(async move {
            // The client sees the same error, and says it where a test looks.
            drop(connection.await);
        });
        client
    }
}

/// Who owns the cluster and runs the server.
#[derive(Clone, Copy, Debug)]
enum Account {
    /// Whoever runs the tests.
    Own { user: u32 },
    /// The user `postgres`, because root runs the tests.
    Postgres { user: u32, group: u32 },
}

impl Account {
    /// The account for a directory that was just made, and so tells who we are.
    fn for_files_of(directory: &Directory) -> io::Result<Self> {
        let user = directory.owner()?;
        if user != 0 {
            return Ok(Self::Own { user });
        }
        let accounts = fs::read_to_string("/etc/passwd")?;
        let fields: Vec<&str> = accounts
            .lines()
            .find(|line| line.starts_with("postgres:"))
            .map_or_else(Vec::new, |line| line.split(':').collect());
        let number = |at: usize| fields.get(at).and_then(|field| field.parse().ok());
        match (number(2), number(3)) {
            (Some(user), Some(group)) => Ok(Self::Postgres { user, group }),
            _ => Err(io::Error::other("PostgreSQL refuses root: add a user named postgres")),
        }
    }

    fn user(self) -> u32 {
        match self {
            Self::Own { user } | Self::Postgres { user, .. } => user,
        }
    }

    fn own(self, directory: &Directory) -> io::Result<()> {
        match self {
            Self::Own { .. } => Ok(()),
            Self::Postgres { user, group } => directory.give_to(user, group),
        }
    }

    /// A command of this account, in a directory that every account may enter.
    fn command(self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir("/");
        if let Self::Postgres { user, group } = self {
            command.uid(user).gid(group);
        }
        command
    }
}

/// A cluster that was never started, made by `initdb` when there is none yet.
fn template() -> Result<PathBuf, StartError> {
    let initdb = find_binary("initdb")?;
    let output = Command::new(&initdb).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version: String =
        text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(|&c| c != ' ').collect();

    let directory = Directory::new("initdb")?;
    let account = Account::for_files_of(&directory)?;
    let name = format!("pitwall-postgres-template-{}-{}", version.trim(), account.user());
    let template = std::env::temp_dir().join(name);
    if !template.join("PG_VERSION").exists() {
        account.own(&directory)?;
        let data = directory.path().join("data");
        run(account
            .command(&initdb)
            .arg("--pgdata")
            .arg(&data)
            .args(["--username", USER, "--auth", "trust", "--encoding", "UTF8"])
            .args(["--locale", "C", "--no-sync"]))?;
        // Whole or not at all; another test may have been faster, and its template is as good.
        if let Err(error) = fs::rename(&data, &template)
            && !template.join("PG_VERSION").exists()
        {
            return Err(error.into());
        }
    }
    if fs::metadata(&template)?.uid() != account.user() {
        let text = format!("{} belongs to somebody else: remove it", template.display());
        return Err(io::Error::other(text).into());
    }
    Ok(template)
}

/// Finds a program of PostgreSQL: where `PITWALL_TEST_POSTGRES_BIN` says, else the newest of
/// Debian's versions, else in `PATH`.
fn find_binary(program: &'static str) -> Result<PathBuf, StartError> {
    let mut directories: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().parse().unwrap_or(0);
        directories.push((version, entry.path().join("bin")));
    }
    directories.sort();
    let chosen = std::env::var_os("PITWALL_TEST_POSTGRES_BIN").map(PathBuf::from);
    let newest_first = directories.into_iter().rev().map(|(_, directory)| directory);
    let directories: Vec<PathBuf> = chosen.into_iter().chain(newest_first).collect();
    find(program, "postgresql", &directories)
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{} failed: {text}", command.get_program().to_string_lossy())))
}

/// True when the postmaster's own file says that this process accepts connections.
fn is_ready(data: &Path, process: u32) -> bool {
    let status = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let lines: Vec<&str> = status.lines().map(str::trim).collect();
    lines.first() == Some(&process.to_string().as_str()) && lines.get(7) == Some(&"ready")
}

/// The processes that this one has started, as the system says.
fn children_of(process: u32) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parent = process.to_string();
    let own = numbers.filter(|&number| field_of(number, 1).as_deref() == Some(&*parent));
    own.filter_map(Pid::from_raw).collect()
}

/// True when a process is gone, or nobody has yet asked how it ended.
fn has_ended(process: Pid) -> bool {
    field_of(process.as_raw_nonzero().get(), 0).is_none_or(|state| state == "Z" || state == "X")
}

/// What the system says of a process, counted from behind its name: its state, its parent.
fn field_of(process: i32, at: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold anything, but ends at the last bracket.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(at).map(str::to_owned)
}
