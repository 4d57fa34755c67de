//! Each structure of the hot path against a naive model: a list, a map, a format string.
//!
//! Cases are sequences of op-codes; proptest shrinks the sequence that finds a difference and prints
//! its seed.

#![expect(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a failed case is reported by its panic; generated numbers are in range"
)]

mod board;
mod feed;
mod laps;
mod numbers;
mod roster;
mod slots;
mod table;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tests::sample::position;

/// Cases of every property.
const CASES: u32 = 10_000;

/// A runner whose cases are the same on every machine and every day.
fn runner() -> TestRunner {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let seed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, seed)
}
