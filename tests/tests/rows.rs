//! The split of batches into fresh and suspect rows, against a model of the database.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{HashMap, HashSet};

use engine::id::DeviceIndex;
use engine::position::{Codec, Position};
use engine::rows::{EntryId, Newest, Row, RowBatch};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// One row of a schedule: few devices and few timestamps, so that they meet often.
#[derive(Clone, Debug)]
struct Fix {
    device: u8,
    timestamp_ms: i64,
    redelivered: bool,
}

/// What happens to a batch after it was split.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// The database committed it and said so.
    Committed,
    /// The database committed it, the answer was lost.
    CommittedUnheard,
    /// It was not committed, and nobody knows.
    LostUnheard,
    /// The database refused it and said so.
    Refused,
}

fn fixes() -> impl Strategy<Value = Vec<Fix>> {
    let fix = (0..6_u8, 0..24_i64, prop::bool::weighted(0.15));
    let fix = fix.prop_map(|(device, timestamp_ms, redelivered)| Fix {
        device,
        timestamp_ms,
        redelivered,
    });
    vec(fix, 0..24)
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        5 => Just(Outcome::Committed),
        1 => Just(Outcome::CommittedUnheard),
        1 => Just(Outcome::LostUnheard),
        1 => Just(Outcome::Refused),
    ]
}

/// The device ids of a schedule; they differ in the ways in which texts are mixed up.
fn device_id(device: u8) -> &'static str {
    ["356307042441013", "0356307042441013", "356307042441013 ", "a", "A", "\u{1f3c1}"]
        [usize::from(device)]
}

fn batch(fixes: &[Fix]) -> RowBatch {
    let mut batch = RowBatch::new(100);
    for (sequence, fix) in (0_u64..).zip(fixes) {
        let position = Position {
            timestamp_ms: fix.timestamp_ms,
            latitude: 0.0,
            longitude: 0.0,
            altitude: 0.0,
            angle: 0.0,
            speed: 0.0,
            device: DeviceIndex::ORPHAN,
            satellites: 0,
            priority: 0,
            codec: Codec::Codec8,
        };
        let (device_id, redelivered) = (device_id(fix.device), fix.redelivered);
        let entry = EntryId { ms: 0, sequence };
        batch.push(&Row { entry, device_id, position, attributes: b"{}", redelivered }).unwrap();
    }
    batch
}

/// Runs 10,000 cases, the same ones every time; a failure prints its smallest case.
fn check<S: Strategy>(strategy: &S, case: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases: 10_000, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng).run(strategy, case).unwrap_or_else(|e| panic!("{e}"));
}

/// The rules of the split, told slowly: looks back over everything for every row.
fn split_slowly(written: &[(u8, i64)], fixes: &[Fix]) -> (Vec<u32>, Vec<u32>) {
    let (mut fresh, mut suspect) = (Vec::new(), Vec::new());
    for (row, fix) in (0_u32..).zip(fixes) {
        let of_device = || written.iter().filter(|known| known.0 == fix.device);
        let is_known = of_device().count() > 0;
        let is_above_written = of_device().all(|known| known.1 < fix.timestamp_ms);
        let is_above_earlier = fixes[..row as usize]
            .iter()
            .all(|earlier| earlier.device != fix.device || earlier.timestamp_ms < fix.timestamp_ms);
        let is_fresh = is_known && is_above_written && is_above_earlier && !fix.redelivered;
        if is_fresh { fresh.push(row) } else { suspect.push(row) }
    }
    for part in [&mut fresh, &mut suspect] {
        part.sort_by_key(|&row| {
            let fix = &fixes[row as usize];
            (device_id(fix.device).as_bytes(), fix.timestamp_ms)
        });
    }
    (fresh, suspect)
}

#[test]
fn split_is_what_the_rules_say() {
    check(&(vec(fixes(), 0..4), fixes()), |(history, fixes)| {
        let mut newest = Newest::new();
        let mut written = Vec::new();
        for earlier in &history {
            newest.commit(&batch(earlier));
            written.extend(earlier.iter().map(|fix| (fix.device, fix.timestamp_ms)));
        }
        let (mut fresh, mut suspect) = (Vec::new(), Vec::new());
        newest.split(&batch(&fixes), &mut fresh, &mut suspect);
        prop_assert_eq!((fresh, suspect), split_slowly(&written, &fixes));
        Ok(())
    });
}

/// The table of the model: first row stands, a plain COPY of a present row is an error.
#[derive(Default)]
struct Table {
    rows: HashMap<(u8, i64), u64>,
}

impl Table {
    /// Plain COPY: false when the unique index would refuse it.
    fn copy(&mut self, fixes: &[Fix], rows: &[u32], batch_number: u64) -> bool {
        rows.iter().all(|&row| {
            let fix = &fixes[row as usize];
            self.rows.insert((fix.device, fix.timestamp_ms), batch_number).is_none()
        })
    }

    /// INSERT … ON CONFLICT DO NOTHING.
    fn insert(&mut self, fixes: &[Fix], rows: &[u32], batch_number: u64) {
        for &row in rows {
            let fix = &fixes[row as usize];
            self.rows.entry((fix.device, fix.timestamp_ms)).or_insert(batch_number);
        }
    }
}

#[test]
fn fresh_rows_never_meet_a_stored_row_whatever_becomes_of_the_batches() {
    check(&vec((fixes(), outcome()), 1..8), |schedule| {
        let (mut table, mut newest) = (Table::default(), Newest::new());
        let (mut fresh, mut suspect) = (Vec::new(), Vec::new());
        for (number, (fixes, outcome)) in (0_u64..).zip(&schedule) {
            let batch = batch(fixes);
            newest.split(&batch, &mut fresh, &mut suspect);
            let rows: HashSet<u32> = fresh.iter().chain(&suspect).copied().collect();
            prop_assert_eq!(rows.len(), fixes.len());
            prop_assert_eq!(fresh.len() + suspect.len(), fixes.len());
            if matches!(outcome, Outcome::Committed | Outcome::CommittedUnheard) {
                prop_assert!(table.copy(fixes, &fresh, number), "a fresh row was stored already");
                table.insert(fixes, &suspect, number);
            }
            // Not told of a refusal, and told the worst when nobody knows.
            if *outcome != Outcome::Refused {
                newest.commit(&batch);
            }
        }
        Ok(())
    });
}

#[test]
fn batch_repeated_after_an_unknown_outcome_is_all_suspect() {
    check(&vec(fixes(), 1..4), |schedule| {
        let mut newest = Newest::new();
        let (mut fresh, mut suspect) = (Vec::new(), Vec::new());
        for fixes in &schedule {
            newest.commit(&batch(fixes));
            newest.split(&batch(fixes), &mut fresh, &mut suspect);
            prop_assert!(fresh.is_empty());
            prop_assert_eq!(suspect.len(), fixes.len());
        }
        Ok(())
    });
}
