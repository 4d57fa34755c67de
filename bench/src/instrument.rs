//! Runs a workload in a child process under valgrind and reads what the tools have counted.
//!
//! Callgrind counts the instructions inside of the one instrumented function. DHAT counts the bytes
//! that go through `memcpy` and its like in the whole program, so the workload runs once and twice,
//! and the difference is what one more repetition copies. An instrument that has counted nothing is
//! an error, never a good figure.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, Output};

use crate::workload::{INSTRUMENTED, Meter, Workload};

/// What was counted in one repetition of a workload.
#[derive(Clone, Debug)]
pub struct Counts {
    /// What the process says itself.
    pub meter: Meter,
    /// Instructions in user space.
    pub instruction_count: u64,
    /// Bytes copied, if the workload wants them counted.
    pub copied_bytes: Option<u64>,
    /// Instructions by function, the most expensive first.
    pub profile: Vec<(String, u64)>,
}

/// Why there are no counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstrumentError {
    /// There is no valgrind to run.
    ValgrindMissing,
    /// The child could not be run, or failed: its last words.
    ChildFailed(String),
    /// What a tool has written is not what was expected: this is missing or wrong.
    NotUnderstood(&'static str),
    /// The tool has counted nothing, so it did not see the workload.
    NothingCounted,
}

impl fmt::Display for InstrumentError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ValgrindMissing => {
                write!(formatter, "valgrind is not installed (Debian: apt-get install valgrind)")
            }
            Self::ChildFailed(words) => write!(formatter, "the child failed: {words}"),
            Self::NotUnderstood(what) => write!(formatter, "valgrind's output: {what}"),
            Self::NothingCounted => write!(formatter, "the instrument has counted nothing"),
        }
    }
}

impl std::error::Error for InstrumentError {}

/// The argument by which the program knows that it is the child.
pub const CHILD: &str = "--child";

/// Counts one workload. `program` is the program to run as child, which understands [`CHILD`].
///
/// # Errors
/// When valgrind is missing, the child fails, or the tools did not see the workload.
pub fn count(program: &Path, workload: &Workload) -> Result<Counts, InstrumentError> {
    let file_name = format!("pitwall-callgrind-{}-{}", std::process::id(), workload.name);
    let written = std::env::temp_dir().join(file_name);
    let arguments = [
        "--tool=callgrind".to_owned(),
        format!("--toggle-collect={INSTRUMENTED}"),
        format!("--callgrind-out-file={}", written.display()),
    ];
    let output = valgrind(&arguments, program, workload, 1)?;
    let text = std::fs::read_to_string(&written)
        .map_err(|_| InstrumentError::NotUnderstood("callgrind has written no file"))?;
    std::fs::remove_file(&written)
        .map_err(|_| InstrumentError::NotUnderstood("callgrind's file cannot be removed"))?;
    let meter = parse_meter(&String::from_utf8_lossy(&output.stdout))?;
    let profile = parse_callgrind(&text)?;
    let instruction_count = profile.iter().map(|(_, count)| count).sum();
    if instruction_count == 0 || meter.unit_count == 0 {
        return Err(InstrumentError::NothingCounted);
    }
    let copied_bytes = match workload.counts_copies {
        true => Some(copied_bytes(program, workload)?),
        false => None,
    };
    Ok(Counts { meter, instruction_count, copied_bytes, profile })
}

/// The lines by which the child tells its meter.
#[must_use]
pub fn write_meter(meter: &Meter) -> String {
    let Meter { unit_count, allocation_count, send_count, encoded_bytes } = meter;
    format!("{unit_count} {allocation_count} {send_count} {encoded_bytes}\n")
}

fn parse_meter(text: &str) -> Result<Meter, InstrumentError> {
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [unit_count, allocation_count, send_count, encoded_bytes] => {
            Ok(Meter { unit_count, allocation_count, send_count, encoded_bytes })
        }
        _ => Err(InstrumentError::NotUnderstood("the child has not told its meter")),
    }
}

fn copied_bytes(program: &Path, workload: &Workload) -> Result<u64, InstrumentError> {
    let total = |repeat| {
        let arguments = ["--tool=dhat", "--mode=copy", "--dhat-out-file=/dev/null"];
        let output = valgrind(&arguments.map(str::to_owned), program, workload, repeat)?;
        parse_dhat(&String::from_utf8_lossy(&output.stderr))
    };
    let (once, twice) = (total(1)?, total(2)?);
    match twice.checked_sub(once) {
        None | Some(0) => Err(InstrumentError::NothingCounted),
        Some(bytes) => Ok(bytes),
    }
}

fn valgrind(
    arguments: &[String],
    program: &Path,
    workload: &Workload,
    repeat: u64,
) -> Result<Output, InstrumentError> {
    let mut command = Command::new("valgrind");
    command.args(arguments).arg(program).args([CHILD, workload.name, &repeat.to_string()]);
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => InstrumentError::ValgrindMissing,
        _ => InstrumentError::ChildFailed(error.to_string()),
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no words");
    Err(InstrumentError::ChildFailed(last.to_owned()))
}

/// Reads DHAT's sum: `==1== Total:     1,005,144 bytes in 1,105 blocks`.
fn parse_dhat(text: &str) -> Result<u64, InstrumentError> {
    let total = text.lines().find_map(|line| line.split_once("Total:")).map(|(_, rest)| rest);
    let bytes = total.and_then(|rest| rest.split_whitespace().next());
    let digits = bytes.map(|bytes| bytes.replace(',', ""));
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or(InstrumentError::NotUnderstood("no total of copied bytes"))
}

/// Reads a callgrind file: instructions by function, without those of the functions it calls.
///
/// A cost line is a position and a count. After `calls=` comes one with what the callee cost, which
/// is counted at the callee. Names are given once, `fn=(7) name`, and then only as `fn=(7)`.
fn parse_callgrind(text: &str) -> Result<Vec<(String, u64)>, InstrumentError> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut count_by_id: HashMap<&str, u64> = HashMap::new();
    let mut function = "";
    let mut is_of_callee = false;
    let mut total = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
            let (id, name) = rest.split_once(' ').unwrap_or((rest, ""));
            if !name.is_empty() {
                names.insert(id, name);
            }
            if line.starts_with("fn=") {
                function = id;
            }
        } else if line.starts_with("calls=") {
            is_of_callee = true;
        } else if let Some(rest) = line.strip_prefix("totals:") {
            total = rest.trim().parse::<u64>().ok();
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let count = line.split(' ').nth(1).and_then(|count| count.parse::<u64>().ok());
            if !std::mem::take(&mut is_of_callee) {
                *count_by_id.entry(function).or_default() += count.unwrap_or(0);
            }
        }
    }
    let mut profile: Vec<(String, u64)> = count_by_id
        .into_iter()
        .map(|(id, count)| ((*names.get(id).unwrap_or(&id)).to_owned(), count))
        .collect();
    profile.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let sum: u64 = profile.iter().map(|(_, count)| count).sum();
    match total {
        Some(total) if total == sum => Ok(profile),
        _ => Err(InstrumentError::NotUnderstood("the parts of callgrind's file do not sum up")),
    }
}

#[cfg(test)]
mod tests {
    use super::{InstrumentError, parse_callgrind, parse_dhat, parse_meter, write_meter};
    use crate::workload::Meter;

    #[test]
    fn costs_of_callees_are_counted_once() {
        fn check(total: u64, expected: Result<&[(&str, u64)], InstrumentError>) {
            let text = format!(
                "positions: line\nevents: Ir\n\nfl=(1) a.rs\nfn=(1) outer\n12 30\n+3 4\ncfn=(2) \
                 inner\ncalls=2 40\n* 600\nfe=(2) b.rs\n7 1\n\nfn=(2)\n40 600\ntotals: {total}\n"
            );
            let found = parse_callgrind(&text);
            let expected = expected.map(|rows| {
                rows.iter().map(|&(name, count)| (name.to_owned(), count)).collect::<Vec<_>>()
            });
            assert_eq!(found, expected, "{total}");
        }
        check(635, Ok(&[("inner", 600), ("outer", 35)]));
        let wrong = "the parts of callgrind's file do not sum up";
        check(636, Err(InstrumentError::NotUnderstood(wrong)));
    }

    #[test]
    fn the_sum_of_copied_bytes_is_read() {
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(parse_dhat(text).ok(), expected, "{text}");
        }
        check("==7== \n==7== Total:     1,005,144 bytes in 1,105 blocks\n", Some(1_005_144));
        check("==7== Total:     none\n", None);
        check("==7== \n", None);
    }

    #[test]
    fn a_child_tells_its_meter() {
        let meter = Meter { unit_count: 1, allocation_count: 2, send_count: 3, encoded_bytes: 4 };
        assert_eq!(parse_meter(&write_meter(&meter)), Ok(meter));
        assert!(parse_meter("1 2 3").is_err());
    }
}
