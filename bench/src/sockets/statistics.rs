//! The middle of few figures that wander, and how far it can be trusted.

use crate::random::Random;

/// A median with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// What an interval says about a goal "at most".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it keeps the goal.
    Pass,
    /// All of it misses the goal.
    Fail,
    /// The goal lies inside of it: more pairs may tell.
    Open,
}

/// Samples drawn for an interval. The ends then wander by far less than the figures.
const RESAMPLE_COUNT: usize = 10_000;

impl Estimate {
    /// The median of `figures` and its bootstrap interval; the same for the same figures.
    ///
    /// # Panics
    /// When there is no figure.
    #[must_use]
    pub fn of(figures: &[f64]) -> Self {
        let mut random = Random::new(figures.len() as u64);
        let count = figures.len() as u64;
        let mut draw = |_| figures[usize::try_from(random.below(count)).expect("below the count")];
        let mut resample = |_| median(&(0..figures.len()).map(&mut draw).collect::<Vec<_>>());
        let mut medians: Vec<f64> = (0..RESAMPLE_COUNT).map(&mut resample).collect();
        medians.sort_by(f64::total_cmp);
        let tail = RESAMPLE_COUNT / 40;
        Self {
            median: median(figures),
            low: medians[tail],
            high: medians[RESAMPLE_COUNT - 1 - tail],
        }
    }

    /// Whether at most `goal` was reached.
    #[must_use]
    pub fn verdict(&self, goal: f64) -> Verdict {
        if self.high <= goal {
            Verdict::Pass
        } else if self.low > goal {
            Verdict::Fail
        } else {
            Verdict::Open
        }
    }
}

/// The middle figure, or the mean of the two in the middle.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    assert!(!figures.is_empty(), "a median of something");
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

#[cfg(test)]
mod tests {
    use super::{Estimate, Verdict, median};

    #[test]
    fn a_median_is_in_the_middle() {
        let check = |figures: &[f64], expected: f64| {
            assert!((median(figures) - expected).abs() < 1e-12, "{figures:?}");
        };
        check(&[3.0], 3.0);
        check(&[9.0, 1.0, 2.0], 2.0);
        check(&[9.0, 1.0, 2.0, 4.0], 3.0);
    }

    #[test]
    fn an_interval_holds_its_median_and_ignores_one_wild_figure() {
        let figures = [1.01, 1.02, 1.00, 1.03, 1.01, 1.02, 1.01, 1.02, 5.0];
        let estimate = Estimate::of(&figures);
        assert!(estimate.low <= estimate.median && estimate.median <= estimate.high);
        assert!(estimate.low >= 1.0 && estimate.high < 1.1, "{estimate:?}");
        assert_eq!(estimate, Estimate::of(&figures));
    }

    #[test]
    fn a_goal_passes_only_with_the_whole_interval() {
        let estimate = Estimate { median: 1.03, low: 1.01, high: 1.05 };
        assert_eq!(estimate.verdict(1.05), Verdict::Pass);
        assert_eq!(estimate.verdict(1.04), Verdict::Open);
        assert_eq!(estimate.verdict(1.00), Verdict::Fail);
    }
}
