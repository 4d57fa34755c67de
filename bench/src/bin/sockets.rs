//! Measures what a delivered frame costs over real sockets, beside a bare loop of the same sends.
//!
//! ```text
//! sockets [--pairs N] [--leg-ms N] [--only BxV] [--json]
//! ```
//!
//! It times a machine, so it never gates a change: it fails only when it could not measure.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use bench::sockets::hot::HotAndSmall;
use bench::sockets::legs::{self, BareAndShard, BareTwice, Outcome};
use bench::sockets::report::{self, Comparison, Row};
use bench::sockets::{Case, Effort, pin, reader, two_cores};

const P1: Comparison =
    Comparison { name: "P1", base: "bare send loop", ours: "one shard", goal: 1.05 };

const P9: Comparison = Comparison {
    name: "P9",
    base: "two events, each on a shard with half of the viewers",
    ours: "one event over two shards",
    goal: 1.05,
};

/// What the instrument says when there is nothing to measure.
const CONTROL: Comparison =
    Comparison { name: "control", base: "bare send loop", ours: "bare send loop", goal: 1.02 };

/// Measures one case of a comparison; the last argument is the reader's core.
type Measure = fn(Case, Effort, usize) -> Result<Outcome, String>;

const ROWS: [(Comparison, Measure, Case); 6] = [
    (CONTROL, bare_twice, Case { batch: 16, viewer_count: 1_000 }),
    (P1, bare_and_shard, Case { batch: 1, viewer_count: 1_000 }),
    (P1, bare_and_shard, Case { batch: 16, viewer_count: 1_000 }),
    (P1, bare_and_shard, Case { batch: 64, viewer_count: 1_000 }),
    (P1, bare_and_shard, Case { batch: 16, viewer_count: 10_000 }),
    (P9, hot_and_small, Case { batch: 16, viewer_count: 2_000 }),
];

/// Fewer pairs give no honest interval.
const PAIR_COUNT_MIN: usize = 7;

struct Wanted {
    effort: Effort,
    /// Only P1, in this case.
    only: Option<Case>,
    json: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [reader::CHILD, core, count] => run_reader(core, count),
        ref words => wanted(words).and_then(|wanted| run(&wanted)),
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

fn run_reader(core: &str, count: &str) -> Result<(), String> {
    let core = core.parse().map_err(|_| "CORE is a number")?;
    reader::run(core, count.parse().map_err(|_| "COUNT is a number")?)
}

fn wanted(words: &[&str]) -> Result<Wanted, String> {
    let effort = Effort { pair_count: 15, leg: Duration::from_millis(1_500) };
    let mut wanted = Wanted { effort, only: None, json: false };
    let mut rest = words;
    loop {
        rest = match rest {
            [] => return Ok(wanted),
            ["--json", after @ ..] => {
                wanted.json = true;
                after
            }
            ["--pairs", count, after @ ..] => {
                let count = number(count)?;
                wanted.effort.pair_count = usize::try_from(count).map_err(|_| "too many pairs")?;
                if wanted.effort.pair_count < PAIR_COUNT_MIN {
                    return Err(format!("At least {PAIR_COUNT_MIN} pairs are needed."));
                }
                after
            }
            ["--leg-ms", milliseconds, after @ ..] => {
                wanted.effort.leg = Duration::from_millis(number(milliseconds)?);
                after
            }
            ["--only", case, after @ ..] => {
                wanted.only = Some(parse_case(case)?);
                after
            }
            [word, ..] => return Err(format!("{word:?} is not understood")),
        }
    }
}

fn parse_case(word: &str) -> Result<Case, String> {
    let (batch, viewers) = word.split_once('x').ok_or("a case is BxV, such as 16x1000")?;
    let (batch, viewers) = (number(batch)?, number(viewers)?);
    match (usize::try_from(batch), u32::try_from(viewers)) {
        (Ok(batch @ 1..=1_000), Ok(viewer_count @ 1..=50_000)) => Ok(Case { batch, viewer_count }),
        _ => Err("1 to 1000 frames and 1 to 50000 viewers can be measured".to_owned()),
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("{word:?} is not a number"))
}

fn run(wanted: &Wanted) -> Result<(), String> {
    if cfg!(debug_assertions) {
        return Err("Build with --release: other code would be measured.".to_owned());
    }
    let [sending_core, reading_core] = two_cores()?;
    pin(sending_core)?;
    let rows = wanted
        .only
        .map_or_else(|| ROWS.to_vec(), |case| vec![(P1, bare_and_shard as Measure, case)]);
    if !wanted.json {
        print(&report::head(wanted.effort))?;
    }
    let mut measured = Vec::new();
    for (comparison, measure, case) in rows {
        let outcome = measure(case, wanted.effort, reading_core)
            .map_err(|words| refusal(comparison, case, &words))?;
        let row = Row::new(comparison, outcome);
        if !wanted.json {
            print(&report::line(&row))?;
        }
        measured.push(row);
    }
    if wanted.json { print(&report::json(wanted.effort, &measured)) } else { Ok(()) }
}

fn bare_twice(case: Case, effort: Effort, reading_core: usize) -> Result<Outcome, String> {
    legs::measure(case, effort, reading_core, &mut BareTwice(BareAndShard::new(case)))
}

fn bare_and_shard(case: Case, effort: Effort, reading_core: usize) -> Result<Outcome, String> {
    legs::measure(case, effort, reading_core, &mut BareAndShard::new(case))
}

fn hot_and_small(case: Case, effort: Effort, reading_core: usize) -> Result<Outcome, String> {
    legs::measure(case, effort, reading_core, &mut HotAndSmall::new(case))
}

fn refusal(comparison: Comparison, case: Case, words: &str) -> String {
    let Case { batch, viewer_count } = case;
    let name = comparison.name;
    format!("{name}, B = {batch}, {viewer_count} viewers: the run does not count: {words}")
}

fn print(text: &str) -> Result<(), String> {
    let mut stdout = io::stdout();
    let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    printed.map_err(|error| format!("standard output: {error}"))
}
