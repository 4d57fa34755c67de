//! Searches for inputs that break the parsers of foreign bytes, on the stable toolchain.
//!
//! A target states what must hold for every input and answers with a *feature*: a number for what
//! the input made it do. Inputs with a new feature join the corpus and are mutated further. The
//! search depends on the seed alone; the clock only ends it.

mod feature;
mod minimise;
mod mutate;
mod random;
mod regressions;
mod targets;

use std::collections::HashSet;
use std::time::{Duration, Instant};

pub use minimise::minimise;
pub use random::Random;
pub use regressions::{Regression, data_folder, keep, regressions};
pub use targets::{TARGETS, target_named};

/// Most inputs kept for mutation; beyond it a new one replaces one at random. The features of a
/// target are few, so this only bounds memory when a target answers with too many.
const CORPUS_INPUTS_MAX: usize = 4_096;

/// How many executions pass between two looks at the clock.
const EXECUTIONS_PER_LOOK: u64 = 256;

/// An execution that takes longer than this is a finding: foreign bytes may not buy that much time.
pub const EXECUTION_MS_MAX: u64 = 1_000;

/// One parser and what must hold for it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line and its folder below `tests/data/fuzz`.
    pub name: &'static str,
    /// Inputs the search begins with: at least one, all accepted by `run`.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces of the grammar that random bytes would take long to hit.
    pub dictionary: &'static [&'static [u8]],
    /// Longest input worth trying: a little more than the parser accepts.
    pub input_bytes_max: usize,
    /// Panics when a property is broken; otherwise tells what the input made it do.
    pub run: fn(&[u8]) -> u64,
}

/// When a search ends.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// After this much time.
    Time(Duration),
    /// After this many executions: the same search again, to the same end.
    Executions(u64),
}

/// What a search did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Inputs tried, seeds included.
    pub executions: u64,
    /// Different features seen.
    pub features: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// The input that broke the target, as it was found.
    pub failure: Option<Vec<u8>>,
}

impl Outcome {
    /// Inputs tried per second.
    #[must_use]
    pub fn executions_per_second(&self) -> u128 {
        u128::from(self.executions) * 1_000_000 / self.elapsed.as_micros().max(1)
    }
}

/// What one execution did.
enum Verdict {
    Feature(u64),
    Broken,
}

/// Searches until the budget is used up or the target breaks. `before_each` sees the number of
/// every execution before it begins, so that a watchdog can name one that never ends.
pub fn search(
    target: &Target,
    seed: u64,
    budget: Budget,
    mut before_each: impl FnMut(u64),
) -> Outcome {
    let started = Instant::now();
    let mut random = Random::new(seed);
    let mut corpus = Vec::new();
    let mut features = HashSet::new();
    let mut outcome = Outcome::default();
    let mut seeds = (target.seeds)().into_iter();
    while !is_spent(budget, outcome.executions, started) {
        let input = seeds.next().unwrap_or_else(|| {
            mutate::mutated(&corpus, target.dictionary, target.input_bytes_max, &mut random)
        });
        before_each(outcome.executions);
        outcome.executions += 1;
        match execute(target, &input) {
            Verdict::Feature(feature) if features.insert(feature) => {
                keep_in_corpus(&mut corpus, input, &mut random);
            }
            Verdict::Feature(_) => {}
            Verdict::Broken => {
                outcome.failure = Some(input);
                break;
            }
        }
    }
    outcome.features = features.len();
    outcome.elapsed = started.elapsed();
    outcome
}

/// True when the target breaks on `input`: it panics, or it takes too long.
#[must_use]
pub fn breaks(target: &Target, input: &[u8]) -> bool {
    matches!(execute(target, input), Verdict::Broken)
}

fn execute(target: &Target, input: &[u8]) -> Verdict {
    let started = Instant::now();
    match std::panic::catch_unwind(|| (target.run)(input)) {
        Ok(feature) if started.elapsed() < Duration::from_millis(EXECUTION_MS_MAX) => {
            Verdict::Feature(feature)
        }
        Ok(_) | Err(_) => Verdict::Broken,
    }
}

fn is_spent(budget: Budget, executions: u64, started: Instant) -> bool {
    match budget {
        Budget::Executions(limit) => executions >= limit,
        Budget::Time(limit) => {
            executions.is_multiple_of(EXECUTIONS_PER_LOOK) && started.elapsed() >= limit
        }
    }
}

fn keep_in_corpus(corpus: &mut Vec<Vec<u8>>, input: Vec<u8>, random: &mut Random) {
    if corpus.len() < CORPUS_INPUTS_MAX {
        corpus.push(input);
    } else {
        let place = random.below(corpus.len());
        corpus[place] = input;
    }
}

#[cfg(test)]
mod tests;
