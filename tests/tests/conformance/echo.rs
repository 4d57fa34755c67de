//! The program under test as a process of its own, gone when dropped.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A running one.
pub(crate) struct Echo {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Echo {
    /// Starts it on a free port and waits until it listens.
    pub(crate) fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
        let mut child =
            command.arg("0").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("ws://").and_then(|rest| rest.split('/').next());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { address: address.parse().unwrap(), child }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // Fails when it has ended, which its test has noticed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
