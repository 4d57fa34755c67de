//! Command line of the fuzz runner: searches the targets one after the other and reports.
//!
//! A failing input is made small, written below `tests/data/fuzz`, and its replay command printed.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use clap::Parser;
use tests::fuzz::{Budget, Outcome, TARGETS, Target, breaks, keep, minimise, search, target_named};

/// An execution that has not ended by then never will.
const ENDLESS: Duration = Duration::from_secs(10);

/// Searches for inputs that break the parsers of foreign bytes.
#[derive(Debug, Parser)]
#[command(name = "fuzz")]
struct Arguments {
    /// How long each target is searched.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Search this long by count instead of by time: the same search again.
    #[arg(long, conflicts_with = "seconds")]
    executions: Option<u64>,
    /// Only this target.
    #[arg(long)]
    target: Option<String>,
    /// The search depends on it alone.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run one kept input with its panic in sight, instead of a search.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seconds", "executions"])]
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    // `cargo fuzz-parsers -- --seconds 5` leaves a second `--` behind the one of the alias.
    let given = std::env::args_os().enumerate().filter(|(at, word)| *at != 1 || word != "--");
    let arguments = Arguments::parse_from(given.map(|(_, word)| word));
    let mut out = io::stdout().lock();
    let finished = match &arguments.replay {
        Some(path) => replay(path, arguments.target.as_deref(), &mut out),
        None => search_all(&arguments, &mut out),
    };
    match finished {
        Ok(code) => code,
        Err(error) => {
            // The reader of our output may be gone; then there is nobody to tell.
            writeln!(io::stderr(), "fuzz: {error}").ok();
            ExitCode::from(2)
        }
    }
}

fn search_all(arguments: &Arguments, out: &mut impl Write) -> io::Result<ExitCode> {
    let targets = match &arguments.target {
        Some(name) => vec![named(name)?],
        None => TARGETS.iter().collect(),
    };
    let budget = arguments
        .executions
        .map_or_else(|| Budget::Time(Duration::from_secs(arguments.seconds)), Budget::Executions);
    // Panics are findings here, and minimising one causes thousands more.
    std::panic::set_hook(Box::new(|_| {}));
    writeln!(out, "seed {}", arguments.seed)?;
    writeln!(out, "{:12} {:>11} {:>10} {:>9}", "target", "executions", "per second", "features")?;
    let mut failed = false;
    for target in targets {
        let outcome = search_watched(target, arguments.seed, budget);
        report(target, &outcome, out)?;
        failed |= outcome.failure.is_some();
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Searches while a second thread sees to it that no execution takes for ever.
fn search_watched(target: &'static Target, seed: u64, budget: Budget) -> Outcome {
    let current = Arc::new(AtomicU64::new(0));
    let watched = Arc::clone(&current);
    let (done, ended) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let mut last = u64::MAX;
        while ended.recv_timeout(ENDLESS) == Err(RecvTimeoutError::Timeout) {
            let now = watched.load(Ordering::Relaxed);
            if now == last {
                give_up(target, seed, now);
            }
            last = now;
        }
    });
    let outcome = search(target, seed, budget, |execution| {
        current.store(execution, Ordering::Relaxed);
    });
    drop(done);
    watchdog.join().expect("the watchdog does not panic");
    outcome
}

fn give_up(target: &Target, seed: u64, execution: u64) -> ! {
    let name = target.name;
    let count = execution + 1;
    // The process ends either way; the message is all that is left to do.
    writeln!(
        io::stderr(),
        "{name} does not come back from execution {execution}; again with:\n  \
         cargo fuzz-parsers --target {name} --seed {seed} --executions {count}"
    )
    .ok();
    std::process::exit(1)
}

fn report(target: &Target, outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:12} {:>11} {:>10} {:>9}",
        target.name,
        outcome.executions,
        outcome.executions_per_second(),
        outcome.features
    )?;
    if let Some(failure) = &outcome.failure {
        let smallest = minimise(failure, |input| breaks(target, input));
        let path = keep(target, &smallest)?;
        writeln!(out, "{} breaks on {} bytes, kept; see it with:", target.name, smallest.len())?;
        writeln!(out, "  cargo fuzz-parsers --target {} --replay {}", target.name, path.display())?;
    }
    out.flush()
}

fn replay(path: &PathBuf, target: Option<&str>, out: &mut impl Write) -> io::Result<ExitCode> {
    let folder = path.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
    let target = named(target.unwrap_or(&folder.to_string_lossy()))?;
    let feature = (target.run)(&std::fs::read(path)?);
    writeln!(out, "{} holds, feature {feature}", target.name)?;
    Ok(ExitCode::SUCCESS)
}

fn named(name: &str) -> io::Result<&'static Target> {
    target_named(name).ok_or_else(|| {
        let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        io::Error::other(format!("no target is called {name}; there are {}", known.join(", ")))
    })
}
