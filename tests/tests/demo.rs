//! `pitwall demo` as a newcomer runs it: with and without a terminal, and what is left afterwards.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;
use tests::client::{Client, page};
use tests::directory::Directory;
use tests::program::comes_true;

/// The event of every demo.
const EVENT: &str = "6d656472-616c-4000-8000-000000000001";

/// How long anything may take to come true, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A demo whose temporary folder is one of ours; killed when dropped.
struct Demo {
    child: Child,
    /// What it says, read as far as its greeting.
    _says: Option<BufReader<ChildStdout>>,
    temporary: Directory,
}

impl Demo {
    fn command(temporary: &Directory, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_program"));
        command.arg("demo").args(arguments).env_clear().env("TMPDIR", temporary.path());
        command
    }

    /// Starts one without a terminal, and reads how it greets.
    fn start(arguments: &[&str]) -> (Self, String, SocketAddr) {
        let temporary = Directory::new("demo").unwrap();
        let mut command = Self::command(&temporary, arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        says.read_line(&mut greeting).unwrap();
        let demo = Self { child, _says: Some(says), temporary };
        let address = greeting.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.unwrap_or_else(|| panic!("{greeting:?}")).parse().unwrap();
        (demo, greeting, address)
    }

    fn interrupt(&self) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &process]).status().unwrap().success());
    }

    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        let is_over = comes_true(PATIENCE, Duration::from_millis(10), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(is_over, "it ends");
        status.unwrap()
    }

    fn leaves_nothing(&self) {
        let left: Vec<_> = fs::read_dir(self.temporary.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // One that has ended cannot be killed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Where a message says that a device is.
fn place(message: &Value, device: &str) -> Option<(f64, f64)> {
    let is_of = message["deviceId"] == device;
    is_of.then(|| (message["lat"].as_f64().unwrap(), message["lon"].as_f64().unwrap()))
}

#[test]
fn cars_move_before_a_viewer_and_ctrl_c_leaves_nothing_behind() {
    let (mut demo, greeting, address) = Demo::start(&["--cars", "6", "--port", "0"]);
    assert!(greeting.contains("6 cars race"), "{greeting}");
    assert!(address.ip().is_loopback());
    let page = page(address, "/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<html"), "{page}");
    let mut viewer = Client::connect(address, &[("Host", "localhost")]).unwrap();
    viewer.subscribe(EVENT, "first");
    viewer.reply("subscribed");
    let device = loadgen::race::imei_of_device(0);
    let mut places = Vec::new();
    let began = Instant::now();
    while places.len() < 3 && began.elapsed() < PATIENCE {
        if let Some(place) = place(&viewer.message(), device.as_str())
            && places.last() != Some(&place)
        {
            places.push(place);
        }
    }
    assert_eq!(places.len(), 3, "the first car moves");
    demo.interrupt();
    assert_eq!(demo.ended().code(), Some(0));
    demo.leaves_nothing();
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn beyond_loopback_the_page_asks_for_the_token_that_is_printed() {
    let (demo, _, address) = Demo::start(&["--cars", "1", "--host", "0.0.0.0", "--port", "0"]);
    let near: SocketAddr = ([127, 0, 0, 1], address.port()).into();
    let answer = page(near, "/page.json");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let mut stranger = Client::connect(near, &[]).unwrap();
    assert_eq!(stranger.closed().0, 4401);
    drop(demo);
}

#[test]
fn a_port_that_is_taken_is_told_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let temporary = Directory::new("demo").unwrap();
    let output = Demo::command(&temporary, &["--port", &port]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{error}");
    assert!(error.contains("Choose another --port, or none."), "{error}");
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

/// A demo on a terminal of ours.
struct OnTerminal {
    demo: Demo,
    terminal: File,
    shown: Receiver<Vec<u8>>,
    all: String,
}

impl OnTerminal {
    fn start(arguments: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).unwrap();
        let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = || fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let temporary = Directory::new("demo").unwrap();
        let mut command = Demo::command(&temporary, arguments);
        let child = command.stdin(theirs()).stdout(theirs()).stderr(Stdio::null()).spawn().unwrap();
        let terminal = File::from(ours);
        let (send, shown) = channel();
        let mut reading = terminal.try_clone().unwrap();
        thread::spawn(move || {
            let mut bytes = [0; 16 * 1024];
            // A terminal whose other side is closed fails to be read.
            while let Ok(read @ 1..) = reading.read(&mut bytes) {
                if send.send(bytes[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { demo: Demo { child, _says: None, temporary }, terminal, shown, all: String::new() }
    }

    fn press(&mut self, key: u8) {
        self.terminal.write_all(&[key]).unwrap();
        // What was shown before says nothing of what the key does.
        self.all.clear();
    }

    fn shows(&mut self, words: &str) {
        let began = Instant::now();
        while !self.all.contains(words) {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let bytes = self.shown.recv_timeout(left);
            let bytes = bytes.unwrap_or_else(|_| panic!("no {words:?} in {}", self.all));
            self.all.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn keys_break_things_and_the_screen_tells_how_they_heal() {
    let mut demo = OnTerminal::start(&["--cars", "12", "--port", "0"]);
    demo.shows("12 of 12 connected");
    demo.shows("p50 ");
    demo.press(b's');
    demo.shows("it watches; what it sees");
    demo.press(b't');
    demo.shows("it reads nothing");
    demo.press(b'd');
    demo.shows("stopped for");
    demo.shows("have sent them: 0");
    demo.press(b's');
    demo.shows("The slow phone has gone.");
    demo.press(b'q');
    // The cursor, and the screen as it was.
    demo.shows("\x1b[?25h\x1b[?1049l");
    assert_eq!(demo.demo.ended().code(), Some(0));
    demo.demo.leaves_nothing();
}
