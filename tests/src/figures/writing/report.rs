//! What was measured, for people.

use bench::sockets::statistics::{Estimate, Verdict, median};

use super::Used;
use super::sides::{WAYS, Way};

/// What is compared with what, and what the ratio may be at most.
struct Comparison {
    ours: Way,
    base: Way,
    goal: Option<f64>,
}

const COMPARISONS: [Comparison; 13] = [
    Comparison { ours: Way::PsqlAgain, base: Way::Psql, goal: None },
    Comparison { ours: Way::PsqlUnsorted, base: Way::Psql, goal: None },
    Comparison { ours: Way::Fresh, base: Way::Psql, goal: Some(1.05) },
    Comparison { ours: Way::Fresh, base: Way::PsqlUnsorted, goal: None },
    Comparison { ours: Way::Repeating, base: Way::Psql, goal: Some(1.6) },
    Comparison { ours: Way::Careful, base: Way::Psql, goal: None },
    Comparison { ours: Way::CarefulAgain, base: Way::Psql, goal: None },
    Comparison { ours: Way::Insert, base: Way::Psql, goal: None },
    Comparison { ours: Way::InsertPrepared, base: Way::Psql, goal: None },
    Comparison { ours: Way::Staged, base: Way::Psql, goal: None },
    Comparison { ours: Way::Fresh, base: Way::Insert, goal: Some(1.0 / 1.5) },
    Comparison { ours: Way::Fresh, base: Way::InsertPrepared, goal: None },
    Comparison { ours: Way::Staged, base: Way::Careful, goal: None },
];

/// The rounds of each way, in the order of [`WAYS`].
pub(super) type Rounds = Vec<Vec<Used>>;

/// The lines of one size of batches.
pub(super) fn lines(row_count: usize, rounds: &Rounds) -> Vec<String> {
    let of = |way: Way| &rounds[WAYS.iter().position(|&it| it == way).expect("one of them")];
    let mut lines = vec![format!(
        "batches of {row_count}: {} rounds\n  {:<20}{:>12}{:>16}{:>16}",
        rounds[0].len(),
        "",
        "CPU a row",
        "rows a CPU s",
        "rows/s (wall)"
    )];
    for way in WAYS {
        let cpu_us = median(&of(way).iter().map(|it| it.cpu_us).collect::<Vec<_>>());
        let wall_us = median(&of(way).iter().map(|it| it.wall_us).collect::<Vec<_>>());
        let name = way.name();
        let (busy, wall) = (1e6 / cpu_us, 1e6 / wall_us);
        lines.push(format!("  {name:<20}{cpu_us:>9.2} us{busy:>16.0}{wall:>16.0}"));
    }
    for Comparison { ours, base, goal } in COMPARISONS {
        let pairs = of(ours).iter().zip(of(base));
        let ratio =
            Estimate::of(&pairs.map(|(own, base)| own.cpu_us / base.cpu_us).collect::<Vec<_>>());
        let goal = goal.map_or_else(String::new, |goal| {
            let word = match ratio.verdict(goal) {
                Verdict::Pass => "pass",
                Verdict::Fail => "FAIL",
                Verdict::Open => "open",
            };
            format!("at most {goal:.3}: {word}")
        });
        let Estimate { median, low, high } = ratio;
        let (ours, base) = (ours.name(), base.name());
        lines.push(format!("  {ours:<20}/ {base:<20}{median:>7.3} [{low:.3}, {high:.3}]  {goal}"));
    }
    lines
}
