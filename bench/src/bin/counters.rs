//! Counts what cannot be blurred by a busy machine, and fails when a figure has grown.
//!
//! ```text
//! counters [WORKLOAD...]           count, print, compare with counters.toml
//! counters --accept [WORKLOAD...]  count, print, and make what was counted the new ceilings
//! counters --profile WORKLOAD      count one and print where its instructions go
//! ```

use std::io::{self, Write};
use std::process::ExitCode;

use bench::ceilings::{self, Figures};
use bench::counting::CountingAllocator;
use bench::instrument::{self, CHILD, Counts};
use bench::workload::{CALIBRATION, Meter, WORKLOADS, Workload};

#[global_allocator]
static COUNTING: CountingAllocator = CountingAllocator;

const CEILINGS_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counters.toml");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [CHILD, name, repeat] => run_child(name, repeat),
        ["--profile", name] => profile(name),
        ["--accept", ref names @ ..] => accept(names),
        ref names => check(names),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            // Nothing is left to do when even the error stream is closed.
            drop(writeln!(io::stderr(), "{words}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs one workload, to be watched from outside.
fn run_child(name: &str, repeat: &str) -> Result<(), String> {
    let mut meter = Meter::default();
    let repeat = repeat.parse().map_err(|_| "REPEAT is a number")?;
    (named(name)?.run)(&mut meter, repeat);
    print(&instrument::write_meter(&meter))
}

fn profile(name: &str) -> Result<(), String> {
    let counts = count(named(name)?)?;
    for (function, instruction_count) in counts.profile.iter().take(40) {
        let count = per_unit(*instruction_count, &counts);
        print(&format!("{count:>12.2}  {function}\n"))?;
    }
    Ok(())
}

fn accept(names: &[&str]) -> Result<(), String> {
    let measured = measure(names)?;
    fail_if_any(&ceilings::missed_goals(&measured), "A goal is missed; it cannot be accepted.")?;
    let mut accepted = if names.is_empty() { Figures::new() } else { known_ceilings()? };
    accepted.extend(ceilings::accept(&measured));
    std::fs::write(CEILINGS_PATH, ceilings::write(&accepted))
        .map_err(|error| format!("{CEILINGS_PATH}: {error}"))
}

fn check(names: &[&str]) -> Result<(), String> {
    let measured = measure(names)?;
    fail_if_any(&ceilings::missed_goals(&measured), "A goal is missed.")?;
    let complaints = ceilings::complaints(&measured, &known_ceilings()?, names.is_empty());
    let advice = "If that is meant, accept it with `cargo run --release --package bench --bin \
                  counters -- --accept` and say why in the commit.";
    fail_if_any(&complaints, advice)
}

fn fail_if_any(complaints: &[String], advice: &str) -> Result<(), String> {
    if complaints.is_empty() { Ok(()) } else { Err(format!("{}\n{advice}", complaints.join("\n"))) }
}

fn known_ceilings() -> Result<Figures, String> {
    let text = std::fs::read_to_string(CEILINGS_PATH)
        .map_err(|error| format!("{CEILINGS_PATH}: {error}"))?;
    ceilings::parse(&text).map_err(|line| format!("{CEILINGS_PATH}:{line}: not a ceiling"))
}

/// Counts the workloads of these names, or all, and prints a row of figures for each.
fn measure(names: &[&str]) -> Result<Figures, String> {
    let all = || WORKLOADS.iter().collect::<Vec<_>>();
    let named: Result<Vec<_>, _> = names.iter().map(|name| named(name)).collect();
    let chosen = if names.is_empty() { all() } else { named? };
    let mut measured = Figures::new();
    print("workload            unit       instructions  allocations    sends   copied bytes\n")?;
    for workload in chosen {
        let figures = ceilings::figures(&count(workload)?);
        let cell = |name: &str, width: usize, digits: usize| match figures.get(name) {
            Some(figure) => format!("{figure:>width$.digits$}"),
            None => format!("{:>width$}", "-"),
        };
        print(&format!(
            "{:<20}{:<10}{}{}{}{}\n",
            workload.name,
            workload.unit,
            cell(ceilings::INSTRUCTIONS, 13, 2),
            cell(ceilings::ALLOCATIONS, 13, 3),
            cell(ceilings::SENDS, 9, 4),
            cell(ceilings::COPIED_BYTES, 15, 3),
        ))?;
        measured.insert(workload.name.to_owned(), figures);
        if workload.name == CALIBRATION {
            ceilings::miscounted(&measured).map_or(Ok(()), Err)?;
        }
    }
    Ok(measured)
}

fn count(workload: &Workload) -> Result<Counts, String> {
    if cfg!(debug_assertions) {
        return Err("Build with --release: other code would be counted.".to_owned());
    }
    let program = std::env::current_exe().map_err(|error| format!("the own program: {error}"))?;
    instrument::count(&program, workload).map_err(|error| format!("{}: {error}", workload.name))
}

fn named(name: &str) -> Result<&'static Workload, String> {
    WORKLOADS.iter().find(|workload| workload.name == name).ok_or_else(|| {
        let names: Vec<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
        format!("There is no workload {name:?}; there are: {}", names.join(", "))
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^53")]
fn per_unit(count: u64, counts: &Counts) -> f64 {
    count as f64 / counts.meter.unit_count as f64
}

fn print(text: &str) -> Result<(), String> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
}
