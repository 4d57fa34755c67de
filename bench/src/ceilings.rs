//! What each figure may be at most: the file `counters.toml`, and the goals that no file may pass.
//!
//! A ceiling is the figure measured when it was accepted; instructions and copied bytes get 5 % more,
//! allocations and sends nothing. A figure above its ceiling fails; so does one that has none, or a
//! ceiling that nothing is measured for.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::instrument::Counts;
use crate::workload::{CALIBRATION, calibration};

/// Figures by workload and name, each per unit of the workload.
pub type Figures = BTreeMap<String, BTreeMap<String, f64>>;

/// Instructions in user space.
pub const INSTRUCTIONS: &str = "instructions";
/// Requests for memory.
pub const ALLOCATIONS: &str = "allocations";
/// Sends.
pub const SENDS: &str = "sends";
/// Bytes copied in user space, the making of each frame included.
pub const COPIED_BYTES: &str = "copied_bytes";

/// What a delivered frame may cost whatever the file says: workload, figure, limit.
pub const GOALS: [(&str, &str, f64); 4] = [
    ("rounds-1000x16", SENDS, 1.0 / 16.0),
    ("rounds-1000x16", ALLOCATIONS, 0.0),
    ("rounds-1000x16", COPIED_BYTES, 10.0),
    ("rounds-1000x16", INSTRUCTIONS, 40.0),
];

/// What instructions and copied bytes are multiplied by when they are accepted: room for another
/// processor's `memcpy`, and for small changes that are not about speed.
const MARGIN: f64 = 1.05;

/// The figures of one workload.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^53")]
pub fn figures(counts: &Counts) -> BTreeMap<String, f64> {
    let per_unit = |count: u64| count as f64 / counts.meter.unit_count as f64;
    let mut figures = BTreeMap::from([
        (INSTRUCTIONS.to_owned(), per_unit(counts.instruction_count)),
        (ALLOCATIONS.to_owned(), per_unit(counts.meter.allocation_count)),
    ]);
    if counts.meter.send_count > 0 {
        figures.insert(SENDS.to_owned(), per_unit(counts.meter.send_count));
    }
    if let Some(copied_bytes) = counts.copied_bytes {
        // Frames are made by small stores that no tool counts as copies: add them whole.
        let bytes = copied_bytes + counts.meter.encoded_bytes;
        figures.insert(COPIED_BYTES.to_owned(), per_unit(bytes));
    }
    figures
}

/// What is wrong with the instruments, judged by the workload whose figures are known.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "small constants")]
pub fn miscounted(measured: &Figures) -> Option<String> {
    let known = [
        (ALLOCATIONS, calibration::ALLOCATION_COUNT as f64),
        (COPIED_BYTES, calibration::COPIED_BYTES as f64),
    ];
    let row = measured.get(CALIBRATION)?;
    known.iter().find_map(|&(name, expected)| {
        let found = row.get(name).copied().unwrap_or(0.0);
        let is_wrong = (found - expected).abs() > 1e-9;
        is_wrong.then(|| format!("{CALIBRATION}: {name} must be {expected}, not {found}"))
    })
}

/// Every figure above its ceiling or its goal, one sentence each.
#[must_use]
pub fn complaints(measured: &Figures, ceilings: &Figures, is_whole: bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for (workload, name, value) in each(measured) {
        match ceilings.get(workload).and_then(|row| row.get(name)) {
            Some(&ceiling) if value <= ceiling => {}
            Some(ceiling) => complaints.push(format!(
                "{workload}: {name} grew to {value:.4} a unit, the ceiling is {ceiling:.4}"
            )),
            None => complaints.push(format!("{workload}: {name} has no ceiling")),
        }
    }
    for (workload, name, _) in each(ceilings).filter(|_| is_whole) {
        if measured.get(workload).and_then(|row| row.get(name)).is_none() {
            complaints.push(format!("{workload}: nobody measures {name} any more"));
        }
    }
    complaints
}

/// Every figure above its goal, one sentence each: these cannot be accepted.
#[must_use]
pub fn missed_goals(measured: &Figures) -> Vec<String> {
    let mut missed = Vec::new();
    for (workload, name, goal) in GOALS {
        let Some(row) = measured.get(workload) else { continue };
        match row.get(name) {
            Some(&value) if value <= goal => {}
            found => missed.push(format!("{workload}: {name} is {found:?}, the goal is {goal}")),
        }
    }
    missed
}

/// The ceilings that accept these figures.
#[must_use]
pub fn accept(measured: &Figures) -> Figures {
    let ceiling = |name: &str, value: f64| match name {
        INSTRUCTIONS | COPIED_BYTES => (value * MARGIN * 1e4).ceil() / 1e4,
        _ => value,
    };
    let row = |row: &BTreeMap<String, f64>| {
        row.iter().map(|(name, &value)| (name.clone(), ceiling(name, value))).collect()
    };
    measured.iter().map(|(workload, figures)| (workload.clone(), row(figures))).collect()
}

/// Writes the file of ceilings.
#[must_use]
pub fn write(ceilings: &Figures) -> String {
    let mut text = String::from(
        "# What each figure may be at most, per unit: as measured, and 5 % more for instructions\n\
         # and copied bytes. Written by\n\
         # `cargo run --release --package bench --bin counters -- --accept`; a commit that raises a\n\
         # ceiling says why.\n",
    );
    let mut section = "";
    for (workload, name, value) in each(ceilings) {
        if workload != section {
            section = workload;
            writeln!(text, "\n[{workload}]").expect("a String takes everything");
        }
        writeln!(text, "{name} = {value}").expect("a String takes everything");
    }
    text
}

/// Reads the file of ceilings: sections and numbers, nothing else of TOML.
///
/// # Errors
/// The number of the first line that is neither.
pub fn parse(text: &str) -> Result<Figures, usize> {
    let mut ceilings = Figures::new();
    let mut section = None;
    for (number, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = Some(ceilings.entry(name.to_owned()).or_default());
            continue;
        }
        let (name, value) = line.split_once('=').ok_or(number)?;
        let value: f64 = value.trim().parse().map_err(|_| number)?;
        section.as_deref_mut().ok_or(number)?.insert(name.trim().to_owned(), value);
    }
    Ok(ceilings)
}

fn each(figures: &Figures) -> impl Iterator<Item = (&str, &str, f64)> {
    figures.iter().flat_map(|(workload, row)| {
        row.iter().map(move |(name, &value)| (workload.as_str(), name.as_str(), value))
    })
}

#[cfg(test)]
mod tests {
    use super::{Figures, accept, complaints, missed_goals, parse, write};

    fn figures(rows: &[(&str, &str, f64)]) -> Figures {
        let mut figures = Figures::new();
        for &(workload, name, value) in rows {
            figures.entry(workload.to_owned()).or_default().insert(name.to_owned(), value);
        }
        figures
    }

    #[test]
    fn what_grew_has_no_ceiling_or_is_not_measured_any_more_is_named() {
        fn check(measured: &[(&str, &str, f64)], is_whole: bool, expected: &[&str]) {
            let ceilings = figures(&[("a", "instructions", 21.0), ("a", "allocations", 0.0)]);
            let found = complaints(&figures(measured), &ceilings, is_whole);
            assert_eq!(found, expected, "{measured:?}");
        }
        check(&[("a", "instructions", 21.0), ("a", "allocations", 0.0)], true, &[]);
        check(
            &[("a", "instructions", 21.5), ("a", "allocations", 0.0)],
            true,
            &["a: instructions grew to 21.5000 a unit, the ceiling is 21.0000"],
        );
        check(
            &[("a", "allocations", 0.001)],
            false,
            &["a: allocations grew to 0.0010 a unit, the ceiling is 0.0000"],
        );
        check(&[("b", "sends", 1.0)], false, &["b: sends has no ceiling"]);
        check(&[("a", "allocations", 0.0)], true, &["a: nobody measures instructions any more"]);
    }

    #[test]
    fn accepted_figures_pass_and_survive_the_file() {
        let measured = figures(&[("a", "instructions", 21.7), ("a", "allocations", 0.0)]);
        let ceilings = accept(&measured);
        assert!(ceilings["a"]["allocations"] <= 0.0, "nothing has no margin");
        assert!((ceilings["a"]["instructions"] - 22.785).abs() < 1e-9);
        assert_eq!(complaints(&measured, &ceilings, true), [""; 0]);
        assert_eq!(parse(&write(&ceilings)), Ok(ceilings));
    }

    #[test]
    fn a_line_that_is_no_ceiling_is_named() {
        assert_eq!(parse("# a\n[a]\nsends = x\n"), Err(3));
        assert_eq!(parse("sends = 1\n"), Err(1));
    }

    #[test]
    fn no_file_accepts_more_than_a_goal() {
        let measured = figures(&[("rounds-1000x16", "sends", 0.07)]);
        let missed = missed_goals(&measured);
        assert!(missed[0].contains("sends is Some(0.07)"), "{missed:?}");
        assert_eq!(missed.len(), 4, "a goal that is not measured is missed: {missed:?}");
    }
}
