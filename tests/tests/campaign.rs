//! The whole campaign against the writer: kills, lost answers, and a cut at every byte.
#![expect(clippy::print_stdout, reason = "what was done, and what came out, is worth reading")]

use tests::campaign::{bytes, cuts, kills};

/// Also what is done: what the harness shows when the test fails.
fn say(line: &str) {
    println!("{line}");
}

#[test]
fn f76_two_hundred_kills_at_every_point_of_the_work_lose_nothing_and_store_nothing_twice() {
    let order = kills::Order {
        seed: 1,
        from: 0,
        cycles: 200,
        per_second: 600,
        at_once: 2,
        program: env!("CARGO_BIN_EXE_campaign").into(),
    };
    let outcome = kills::run(&order, &say).unwrap();
    say(&outcome.to_string());
    assert!(outcome.is_clean());
    assert!(outcome.kills() >= 200);
    assert_eq!(outcome.points.len(), kills::point_count(), "{:?}", outcome.points);
}

#[test]
fn f32_five_hundred_commits_without_an_answer_lose_nothing_and_store_nothing_twice() {
    let order = cuts::Order { seed: 1, cuts: 500, per_second: 600 };
    let outcome = cuts::run(order, &say).unwrap();
    say(&outcome.to_string());
    assert!(outcome.is_clean());
    assert!(outcome.cuts() >= 500);
    let least = [outcome.unheard, outcome.ambiguous, outcome.answered].into_iter().min();
    assert!(least.unwrap() >= 100, "every moment has its part");
}

#[test]
fn f33_a_cut_at_every_byte_of_a_small_batch_loses_nothing_and_stores_nothing_twice() {
    let outcome = bytes::run(1, &say).unwrap();
    say(&outcome.to_string());
    assert!(outcome.is_clean());
    for bytes in [outcome.copy, outcome.insert] {
        assert!(bytes[0] > 400 && bytes[1] > 40, "{bytes:?} are too few for three rows");
    }
}
