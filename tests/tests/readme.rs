//! The commands of the README, run as they stand there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use engine::position::Codec;
use tests::client::{Client, page};
use tests::directory::Directory;
use tests::embedded::free_ports;
use tests::program::comes_true;
use tests::tracker::Tracker;

const README: &str = include_str!("../../README.md");

/// How long anything may take to come true, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The exit code of a program whose port was taken between its choice and its use.
const PORT_TAKEN: i32 = 69;

/// The settings of the ports.
const PORTS: [&str; 3] = ["LIVE_WS_PORT", "INGEST_PORT", "METRICS_PORT"];

/// In place of cargo: the program that the tests have built is not built again.
const CARGO: &str = "#!/bin/sh\n[ \"$1 $2 $3\" = 'run --release --' ] || exit 64\nshift 3\nexec \"$PROGRAM\" \"$@\"\n";

/// The blocks of a section, in their order.
fn blocks(heading: &str) -> Vec<&'static str> {
    let section = README.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    section.split("\n```\n").skip(1).step_by(2).collect()
}

/// A folder in which commands are run, and the ports that stand for the usual ones.
struct Shell {
    folder: Directory,
    ports: [SocketAddr; 3],
}

impl Shell {
    fn new() -> Self {
        let folder = Directory::new("readme").unwrap();
        let cargo = folder.path().join("cargo");
        fs::write(&cargo, CARGO).unwrap();
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("temporary")).unwrap();
        Self { folder, ports: free_ports() }
    }

    fn at(&self, port: &str) -> SocketAddr {
        self.ports[PORTS.iter().position(|name| *name == port).unwrap()]
    }

    fn command(&self, script: &str) -> Command {
        let path = self.folder.path();
        let mut command = Command::new("sh");
        command.arg("-e").arg("-c").arg(script).current_dir(path).env_clear();
        command.env("PATH", format!("{}:/usr/bin:/bin", path.display()));
        command.env("PROGRAM", env!("CARGO_BIN_EXE_program"));
        command.env("TMPDIR", path.join("temporary"));
        command.envs(PORTS.map(|name| (name, self.at(name).port().to_string())));
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// Runs a script that ends by itself.
    fn run(&self, script: &str) {
        let output = self.command(script).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{error}");
    }

    /// Runs one that serves, and waits until it is ready; on other ports where one is taken.
    fn serve(&mut self, script: &str) -> Serving {
        let start =
            |shell: &Self| Serving(shell.command(script).stderr(Stdio::null()).spawn().unwrap());
        let mut serving = start(self);
        until("it is ready", || {
            if let Some(ended) = serving.0.try_wait().unwrap() {
                assert_eq!(ended.code(), Some(PORT_TAKEN), "it still runs: {script}");
                self.ports = free_ports();
                serving = start(self);
            }
            page(self.at("METRICS_PORT"), "/readyz").starts_with("HTTP/1.1 200")
        });
        serving
    }
}

/// A script that runs, with all that it has started.
struct Serving(Child);

impl Serving {
    /// Ends it as Ctrl-C does.
    fn end(&mut self) {
        let group = format!("-{}", self.0.id());
        Command::new("kill").args(["-s", "INT", "--", &group]).status().unwrap();
        until("it has ended", || self.0.try_wait().unwrap().is_some());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            let group = format!("-{}", self.0.id());
            Command::new("kill").args(["-s", "KILL", "--", &group]).status().ok();
            self.0.wait().ok();
        }
    }
}

fn until(what: &str, is_true: impl FnMut() -> bool) {
    assert!(comes_true(PATIENCE, Duration::from_millis(20), is_true), "{what}");
}

#[test]
fn the_first_minute_is_one_command_and_a_page_to_open() {
    let [demo] = blocks("The first minute")[..] else { panic!("one command") };
    let shell = Shell::new();
    let mut child = shell.command(demo).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut serving = Serving(child);
    let greeting = lines.next().unwrap().unwrap();
    let address = greeting.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let page = page(address.parse().unwrap(), "/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<html"), "{page}");
    serving.end();
    let left = fs::read_dir(shell.folder.path().join("temporary")).unwrap().count();
    assert_eq!(left, 0, "everything is removed");
}

#[test]
fn the_embedded_mode_serves_a_page_and_exports_what_devices_sent() {
    let [serve, subscribe, token, export] = blocks("Embedded")[..] else { panic!("four blocks") };
    let mut shell = Shell::new();
    // What another test might do by chance: it has taken a port that was free before.
    let taken = shell.at("INGEST_PORT");
    let _other = TcpListener::bind(taken).unwrap();
    let mut serving = shell.serve(serve);
    assert_ne!(shell.at("INGEST_PORT"), taken);
    let at = shell.at("LIVE_WS_PORT");
    assert!(page(at, "/").starts_with("HTTP/1.1 200"));
    let mut viewer = Client::connect(at, &[("Host", "localhost")]).unwrap();
    viewer.say(subscribe);
    viewer.reply("subscribed");
    let mut tracker = Tracker::connect(shell.at("INGEST_PORT"), "356307042441013");
    assert_eq!(tracker.report(Codec::Codec8, 1_700_000_000_000, 1), 1);
    assert_eq!(viewer.message()["deviceId"], "356307042441013");
    shell.run(export);
    let track = fs::read_to_string(shell.folder.path().join("race.gpx")).unwrap();
    assert_eq!(track.matches("<trkpt").count(), 1, "{track}");
    serving.end();
    drop(serving);
    let _serving = shell.serve(token);
    let at = shell.at("LIVE_WS_PORT");
    assert_eq!(Client::connect(at, &[]).unwrap().closed().0, 4401);
    let word = fs::read_to_string(shell.folder.path().join("token")).unwrap();
    let cookie = format!("pitwall_token={}", word.trim());
    let mut viewer = Client::connect(at, &[("Cookie", &cookie)]).unwrap();
    viewer.say(subscribe);
    assert_eq!(viewer.reply("subscribed")["snapshot"].as_array().unwrap().len(), 1);
}
