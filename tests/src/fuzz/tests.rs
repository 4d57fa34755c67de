//! The runner is only worth something if it finds what is there: these targets are broken.

use super::{Budget, Outcome, TARGETS, Target, breaks, minimise, search, target_named};

const SEED: u64 = 1;
const EXECUTIONS: u64 = 200_000;

/// Breaks on a length byte that lies, behind a word only the dictionary knows.
const LYING_LENGTH: Target = Target {
    name: "lying_length",
    seeds: || vec![b"other".to_vec()],
    dictionary: &[b"length:"],
    input_bytes_max: 32,
    run: |input| match input.strip_prefix(b"length:") {
        Some([length, rest @ ..]) => u64::from(rest[..usize::from(*length)].is_empty()),
        Some([]) => 2,
        None => 3,
    },
};

fn searched(target: &Target, seed: u64) -> Outcome {
    search(target, seed, Budget::Executions(EXECUTIONS), |_| {})
}

#[test]
fn a_broken_target_is_found_and_its_input_made_small() {
    let outcome = searched(&LYING_LENGTH, SEED);
    let failure = outcome.failure.expect("the target is broken");
    let smallest = minimise(&failure, |input| breaks(&LYING_LENGTH, input));
    assert_eq!(smallest, b"length:0");
}

#[test]
fn the_same_seed_is_the_same_search() {
    let first = searched(&LYING_LENGTH, SEED);
    let again = searched(&LYING_LENGTH, SEED);
    let other = searched(&LYING_LENGTH, SEED + 1);
    assert_eq!((first.executions, &first.failure), (again.executions, &again.failure));
    assert_ne!(first.failure, other.failure);
}

#[test]
fn every_execution_is_announced_before_it_begins() {
    let target = target_named("event_id").expect("listed");
    let mut announced = Vec::new();
    search(target, SEED, Budget::Executions(3), |execution| announced.push(execution));
    assert_eq!(announced, [0, 1, 2]);
}

#[test]
fn every_target_has_its_own_name_and_seeds_that_hold() {
    for (index, target) in TARGETS.iter().enumerate() {
        assert!(TARGETS[..index].iter().all(|other| other.name != target.name), "{}", target.name);
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        for seed in seeds {
            assert!(seed.len() <= target.input_bytes_max, "{}: {seed:?}", target.name);
            assert!(!breaks(target, &seed), "{}: {seed:?}", target.name);
        }
    }
}

#[test]
fn mutations_reach_every_answer_of_event_id() {
    let target = target_named("event_id").expect("listed");
    assert_eq!(searched(target, SEED).features, 3);
}
