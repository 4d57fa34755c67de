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

use engine::id::DeviceIndex;
use engine::position::{Codec, Position};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Cases of every property.
const CASES: u32 = 10_000;

/// A runner whose cases are the same on every machine and every day.
fn runner() -> TestRunner {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let seed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, seed)
}

/// A position that differs from others by its time only.
fn position(timestamp_ms: i64) -> Position {
    Position {
        timestamp_ms,
        latitude: 41.3275,
        longitude: 19.8187,
        altitude: 120.0,
        angle: 214.0,
        speed: 63.0,
        device: DeviceIndex(0),
        satellites: 11,
        priority: 0,
        codec: Codec::Codec8,
    }
}
