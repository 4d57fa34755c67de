//! `psql` with one session, told to copy one file after the other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use engine::copy::{COLUMNS, encode_header, encode_rows, encode_trailer};
use engine::rows::RowBatch;

use crate::directory::Directory;
use crate::postgres::Postgres;

/// A running psql, gone when dropped.
pub(super) struct Psql {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    directory: Directory,
}

impl Psql {
    pub(super) fn start(postgres: &Postgres) -> Self {
        let mut child = Command::new(postgres.tool("psql"))
            .arg(postgres.url())
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql starts");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let directory = Directory::new("psql").expect("a directory");
        Self { child, input, output, directory }
    }

    /// The process that serves the session.
    pub(super) fn process(&mut self) -> u32 {
        self.tell("SELECT pg_backend_pid();");
        self.answer().parse().expect("a process")
    }

    /// Puts the rows where [`Psql::copy`] looks for them.
    pub(super) fn prepare(&self, number: usize, batch: &RowBatch, rows: &[u32]) {
        let mut bytes = Vec::new();
        encode_header(&mut bytes);
        encode_rows(batch, rows, &mut bytes);
        encode_trailer(&mut bytes);
        fs::write(self.file(number), bytes).expect("room for a file");
    }

    /// Copies what was prepared under this number, and says how many rows were stored.
    pub(super) fn copy(&mut self, number: usize) -> u64 {
        let file = self.file(number);
        let file = file.display();
        self.tell(&format!(r"\copy positions ({COLUMNS}) from '{file}' with (format binary)"));
        let answer = self.answer();
        answer.strip_prefix("COPY ").and_then(|count| count.parse().ok()).expect("COPY and a count")
    }

    fn file(&self, number: usize) -> PathBuf {
        self.directory.path().join(number.to_string())
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").and_then(|()| self.input.flush()).expect("psql reads");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("psql answers");
        assert!(line.ends_with('\n'), "psql has ended: its words stand above");
        line.trim_end().to_owned()
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
