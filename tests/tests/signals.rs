//! What signals do to the process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

/// A process that never ends by itself, gone when dropped.
struct Stubborn {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Stubborn {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stubborn"));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines }
    }

    /// Waits for the next line of its log; an empty one when it has ended.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &process]).status().unwrap().success());
    }
}

impl Drop for Stubborn {
    fn drop(&mut self) {
        // Fails when it has ended, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_second_signal_to_end_exits_130_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let mut stubborn = Stubborn::start();
        assert!(stubborn.line().contains("ready"));
        stubborn.signal(first);
        assert!(stubborn.line().contains("told to end: "));
        stubborn.signal(second);
        assert!(stubborn.line().contains("told to end a second time"));
        assert_eq!(stubborn.child.wait().unwrap().code(), Some(130));
    }
}

#[test]
fn a_hangup_is_logged_and_has_no_effect() {
    let mut stubborn = Stubborn::start();
    assert!(stubborn.line().contains("ready"));
    for _ in 0..2 {
        stubborn.signal("HUP");
        assert!(stubborn.line().contains("SIGHUP has no effect"));
    }
    stubborn.signal("TERM");
    assert!(stubborn.line().contains("told to end: "), "it is still there and listens");
}
