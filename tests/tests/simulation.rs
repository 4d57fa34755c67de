//! A few hundred simulated worlds with every run of the tests; `cargo simulate` lives through more.

use tests::simulation::{Summary, run};

/// Worlds from `from` on, all of which must keep every promise.
fn check(from: u64, seeds: u64) -> Summary {
    let mut total = Summary::default();
    for seed in from..from + seeds {
        match run(seed) {
            Ok(summary) => total.add(&summary),
            Err(failure) => panic!("{failure}"),
        }
    }
    total
}

#[test]
fn no_world_breaks_a_promise() {
    let total = check(0, 400);
    println!("{}", total.verdict(400));
}

#[test]
fn worlds_are_not_empty() {
    let total = check(1000, 60);
    assert!(total.frames > 1000, "{total:?}");
    assert!(total.snapshots > 1000, "{total:?}");
    assert!(total.conflated > 100, "{total:?}");
    assert!(total.repeats > 10, "{total:?}");
    assert!(total.kills > 10, "{total:?}");
}

#[test]
fn same_seed_is_the_same_world_to_the_byte() {
    for seed in 2000..2040 {
        assert_eq!(check(seed, 1), check(seed, 1), "seed {seed}");
    }
    assert_ne!(check(2000, 1).hash, check(2001, 1).hash);
}

#[test]
fn slow_reader_is_left_with_no_old_position_whatever_the_rhythm() {
    // Every fortieth world, beginning with 7, is of that kind.
    for world in 0..40 {
        check(7 + 40 * world, 1);
    }
}
