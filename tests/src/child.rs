//! The program as a process of its own, as an operator starts it.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::client::page;
use crate::directory::Directory;
use crate::scene::{EVENT, Scene, metric, metric_sum};

/// The exit code of a process whose port was taken between its choice and its use.
const PORT_TAKEN: i32 = 69;

/// Viewers let in so far.
pub const OPENED: &str = "processor_live_viewers_opened_total";

/// A running process, killed when dropped.
#[derive(Debug)]
pub struct Pitwall {
    child: Child,
    directory: Directory,
    /// Where viewers connect.
    pub live: SocketAddr,
    /// Where devices connect, with the role `ingest`.
    pub devices: SocketAddr,
    /// Where operators look.
    pub admin: SocketAddr,
}

impl Pitwall {
    /// Starts it with these settings beside those of the scene, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start; so do all functions here when something is not as it must be.
    #[must_use]
    pub fn start(scene: &Scene, settings: &[(&str, &str)]) -> Self {
        Self::start_with_files(scene, settings, 4_096)
    }

    /// The same, with so many files at most.
    ///
    /// # Panics
    /// See [`Self::start`].
    #[must_use]
    pub fn start_with_files(scene: &Scene, settings: &[(&str, &str)], files_max: u32) -> Self {
        let has_viewers =
            settings.iter().all(|(name, value)| *name != "ROLES" || value.contains("live"));
        let mut started = Self::launch(scene, settings, files_max);
        scene.until("the process is ready", || {
            match started.exit_code() {
                Some(PORT_TAKEN) => started = Self::launch(scene, settings, files_max),
                Some(code) => panic!("it ended with {code}: {}", started.log()),
                None => {}
            }
            page(started.admin, "/readyz").starts_with("HTTP/1.1 200")
                && (!has_viewers
                    || metric(started.admin, "processor_live_roster_devices")
                        .is_some_and(|count| count > 0.0))
        });
        started
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().expect("it is our child").and_then(|status| status.code())
    }

    fn launch(scene: &Scene, settings: &[(&str, &str)], files_max: u32) -> Self {
        let directory = Directory::new("process").expect("a directory");
        let log = File::create(directory.path().join("log")).expect("a file");
        let [live, devices, admin] = free_ports();
        // The shell sets the limit and then becomes the program.
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n \"$0\" && exec \"$1\" serve", &files_max.to_string()])
            .arg(program())
            .env_clear()
            .env("LIVE_WS_HOST", "127.0.0.1")
            .env("LIVE_WS_PORT", live.port().to_string())
            .env("INGEST_HOST", "127.0.0.1")
            .env("INGEST_PORT", devices.port().to_string())
            .env("METRICS_HOST", "127.0.0.1")
            .env("METRICS_PORT", admin.port().to_string())
            .env("LIVE_WS_DRAIN_TIMEOUT_MS", "500")
            .envs(scene.environment())
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Self { child: command.spawn().expect("a shell"), directory, live, devices, admin }
    }

    /// Its log so far.
    ///
    /// # Panics
    /// See [`Self::start`].
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).expect("it logs")
    }

    /// Sends a signal by its name.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status();
        assert!(sent.expect("there is kill").success(), "the signal is sent");
    }

    /// Ends it without warning and waits until it is gone.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn kill(&mut self) {
        self.child.kill().expect("a process of our own may be killed");
        self.child.wait().expect("it is our child");
    }

    /// Waits until it has ended: how, and how long that took.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn ended(&mut self, scene: &Scene) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let mut status = ExitStatus::from_raw(0);
        scene.until_within(Duration::from_secs(60), "the process has ended", || {
            let ended = self.child.try_wait().expect("it is our child");
            ended.inspect(|ended| status = *ended).is_some()
        });
        (status, began.elapsed())
    }

    /// Files it has open, sockets among them, as the system says.
    ///
    /// # Panics
    /// See [`Self::start`].
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.files().len()
    }

    /// Threads it has, as the system says.
    ///
    /// # Panics
    /// See [`Self::start`].
    #[must_use]
    pub fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs").count()
    }

    /// What is behind each of them; some may be closed meanwhile.
    fn files(&self) -> Vec<String> {
        let all = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs");
        let names = all.map(|file| fs::read_link(file.expect("a file").path()));
        names.filter_map(|name| Some(name.ok()?.display().to_string())).collect()
    }

    /// Lets one viewer come and go, so that what is opened once is open: a connection to whom the
    /// process asks, files that are opened late.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn warm_up(&self, scene: &Scene) {
        let mut first = scene.viewer_at(self.live, 1);
        first.subscribe(EVENT, "");
        first.reply("subscribed");
        drop(first);
        // What shards show is a quarter of a second old.
        scene.wait_for_metric(self.admin, OPENED, 1);
        scene.until("the first one is forgotten", || {
            metric_sum(self.admin, "processor_live_viewers") == Some(0.0)
        });
    }

    /// Waits until it has no more files open than this.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn closes_files(&self, scene: &Scene, most: usize) {
        let mut left = Vec::new();
        let until = std::panic::AssertUnwindSafe(|| {
            scene.until("its files are closed", || {
                left = self.files();
                left.len() <= most
            });
        });
        assert!(std::panic::catch_unwind(until).is_ok(), "{most} were allowed: {left:#?}");
    }

    /// Time it has spent on a core.
    ///
    /// # Panics
    /// See [`Self::start`].
    #[must_use]
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("it runs");
        // Behind the name, which ends at the last bracket: fields 14 and 15, in hundredths.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
        let ticks = |field: &str| field.parse::<u64>().expect("a number");
        let ticks: u64 = fields[12..14].iter().map(|field| ticks(field)).sum();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Pitwall {
    fn drop(&mut self) {
        // Fails when it has ended, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_ports() -> [SocketAddr; 3] {
    let all = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    all.map(|listener| listener.local_addr().expect("it is bound"))
}

/// The program, which lies beside the folder of the tests.
pub(crate) fn program() -> PathBuf {
    let own = env::current_exe().expect("it is known what runs");
    // A program of ours lies beside it; tests have a folder of their own there.
    let mut folders = own.ancestors().skip(1).map(|folder| folder.join("program"));
    folders.find(|path| path.is_file()).expect("it was built with what runs")
}
