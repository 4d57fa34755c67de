//! What was measured, as a table for people and as JSON for programs.

use std::fmt::Write;

use super::Effort;
use super::legs::Outcome;
use super::statistics::{Estimate, Verdict, median};

/// What is compared, and what must come out.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// A short name, the same in table and JSON.
    pub name: &'static str,
    /// The yardstick.
    pub base: &'static str,
    /// What is measured against it.
    pub ours: &'static str,
    /// The ratio may be this at most.
    pub goal: f64,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was compared.
    pub comparison: Comparison,
    /// How it went.
    pub outcome: Outcome,
    /// CPU time of a delivered frame on the yardstick's side, the median.
    pub base_ns: f64,
    /// The same on the measured side.
    pub ours_ns: f64,
    /// The median of the pairs' ratios.
    pub ratio: Estimate,
}

impl Row {
    /// The row of an outcome.
    ///
    /// # Panics
    /// When the outcome has no pair.
    #[must_use]
    pub fn new(comparison: Comparison, outcome: Outcome) -> Self {
        let of = |figure: fn(&super::legs::Pair) -> f64| {
            outcome.pairs.iter().map(figure).collect::<Vec<f64>>()
        };
        let ratio = Estimate::of(&of(|pair| pair.ours_ns / pair.base_ns));
        let (base_ns, ours_ns) =
            (median(&of(|pair| pair.base_ns)), median(&of(|pair| pair.ours_ns)));
        Self { comparison, outcome, base_ns, ours_ns, ratio }
    }

    /// Whether the goal was reached.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.ratio.verdict(self.comparison.goal)
    }

    /// Frames that one core delivers in a second when it does nothing else.
    #[must_use]
    pub fn frames_per_second(&self) -> f64 {
        1e9 / self.ours_ns
    }
}

/// The head of the table.
#[must_use]
pub fn head(effort: Effort) -> String {
    format!(
        "{} pairs of legs of {} ms each; CPU time of a delivered frame, one core; the ratio is the \
         median of the pairs with its 95 % interval\n\
         {:<8}{:>4}{:>8}{:>11}{:>11}  {:<22}{:>6}  {:<5}{:>12}{:>8}{:>9}\n",
        effort.pair_count,
        effort.leg.as_millis(),
        "",
        "B",
        "viewers",
        "base ns",
        "ours ns",
        "ratio",
        "goal",
        "",
        "frames/s",
        "reader",
        "backlog"
    )
}

/// A line of the table.
#[must_use]
pub fn line(row: &Row) -> String {
    let Row { comparison, outcome, ratio, .. } = row;
    let ratio = format!("{:.3} [{:.3}, {:.3}]", ratio.median, ratio.low, ratio.high);
    format!(
        "{:<8}{:>4}{:>8}{:>11.2}{:>11.2}  {ratio:<22}{:>6}  {:<5}{:>12.0}{:>7.0}%{:>8}B\n",
        comparison.name,
        outcome.case.batch,
        outcome.case.viewer_count,
        row.base_ns,
        row.ours_ns,
        comparison.goal,
        word(row.verdict()),
        row.frames_per_second(),
        outcome.reader_load * 100.0,
        outcome.backlog_bytes,
    )
}

/// All rows for programs.
#[must_use]
pub fn json(effort: Effort, rows: &[Row]) -> String {
    let mut text = format!(
        "{{\"pair_count\":{},\"leg_ms\":{},\"rows\":[",
        effort.pair_count,
        effort.leg.as_millis()
    );
    for (at, row) in rows.iter().enumerate() {
        let Row { comparison, outcome, ratio, .. } = row;
        let comma = if at == 0 { "" } else { "," };
        let pairs: Vec<_> = outcome
            .pairs
            .iter()
            .map(|pair| format!("[{:.3},{:.3}]", pair.base_ns, pair.ours_ns))
            .collect();
        write!(
            text,
            "{comma}\n{{\"name\":\"{}\",\"base\":\"{}\",\"ours\":\"{}\",\"batch\":{},\
             \"viewer_count\":{},\"base_ns\":{:.3},\"ours_ns\":{:.3},\"ratio\":{:.4},\
             \"ratio_low\":{:.4},\"ratio_high\":{:.4},\"goal\":{},\"verdict\":\"{}\",\
             \"frames_per_second\":{:.0},\"reader_load\":{:.3},\"backlog_bytes\":{},\
             \"pairs_ns\":[{}]}}",
            comparison.name,
            comparison.base,
            comparison.ours,
            outcome.case.batch,
            outcome.case.viewer_count,
            row.base_ns,
            row.ours_ns,
            ratio.median,
            ratio.low,
            ratio.high,
            comparison.goal,
            word(row.verdict()),
            row.frames_per_second(),
            outcome.reader_load,
            outcome.backlog_bytes,
            pairs.join(","),
        )
        .expect("a string takes everything");
    }
    text.push_str("\n]}\n");
    text
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
        Verdict::Open => "open",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Comparison, Row, json, line};
    use crate::sockets::legs::{Outcome, Pair};
    use crate::sockets::{Case, Effort};

    fn row() -> Row {
        let comparison = Comparison { name: "P1", base: "bare", ours: "shard", goal: 1.05 };
        let pairs = vec![Pair { base_ns: 250.0, ours_ns: 255.0 }; 7];
        let case = Case { batch: 16, viewer_count: 1_000 };
        Row::new(comparison, Outcome { case, pairs, reader_load: 0.25, backlog_bytes: 4_000 })
    }

    #[test]
    fn a_row_tells_both_sides_their_ratio_and_whether_the_goal_is_reached() {
        let line = line(&row());
        for part in
            ["P1", "16", "1000", "250.00", "255.00", "1.020 [1.020, 1.020]", "pass", "3921569"]
        {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
    }

    #[test]
    fn the_json_is_json() {
        let effort = Effort { pair_count: 7, leg: Duration::from_millis(1_500) };
        let read: serde_json::Value = serde_json::from_str(&json(effort, &[row(), row()])).unwrap();
        assert_eq!(read["leg_ms"], 1_500);
        assert_eq!(read["rows"][1]["ratio"], 1.02);
        assert_eq!(read["rows"][0]["pairs_ns"][6][1], 255.0);
        assert_eq!(read["rows"][0]["verdict"], "pass");
    }
}
