//! What the load generator is asked to do, and its exit code.

mod course;
mod firehose;
mod interrupt;
mod print;
mod progress;
mod publish;
mod race;
mod report;
mod viewers;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use report::Report;

/// A race from a seed, and the crowd that watches it.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every record of a race in the order of its arrival, or bring it to a server by the clock
    /// of the wall: into a stream of Redis, or over a connection for each device.
    Race(race::RaceArguments),
    /// Print the road of a race as GeoJSON.
    Course(course::CourseArguments),
    /// Open many viewers, check what they get, and say how fresh it is.
    Viewers(viewers::ViewersArguments),
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
enum Failure {
    /// Its words say what to do.
    Words(String),
    Output(io::Error),
}

impl From<String> for Failure {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

pub(crate) fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Race(arguments) => race::run(&arguments),
        Command::Course(arguments) => course::run(&arguments),
        Command::Viewers(arguments) => viewers::run(&arguments),
    };
    let words = match result {
        Ok(code) => return code,
        // The reader has seen enough.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Err(Failure::Output(error)) => format!("cannot write: {error}"),
        Err(Failure::Words(words)) => words,
    };
    // Nobody is left to be told when this fails too; the exit code remains.
    drop(writeln!(io::stderr(), "loadgen: {words}"));
    ExitCode::FAILURE
}

/// Prints a report, as JSON if that is wanted; the exit code says whether something has failed.
fn finish(report: &Report, is_json: bool) -> Result<ExitCode, Failure> {
    let text = if is_json { report.json() } else { report.text() };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
