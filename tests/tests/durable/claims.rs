//! Instances that die, sleep, or have the name of another: what they had in flight is stored by
//! whoever lives, once.

use pitwall::config::Config;
use pitwall::error::Stop;
use tests::child::Pitwall;
use tests::entries::STREAM;
use tests::live::Live;
use tests::producer::{Mix, Producer};
use tests::scene::metric;

use crate::rig::{GROUP, Rig, holds};

const CLAIMS: &str = "processor_consumer_claims_total";

const RECORDS: &str = "processor_consumer_records_total";

const MISSING: &str = "processor_acks_missing_total";

const DUPLICATE: &str = "processor_position_writes_total{status=\"duplicate\"}";

/// After so long what a silent consumer has is another's.
const THRESHOLD_MS: u64 = 1_200;

/// A process of its own that only stores.
fn one(rig: &Rig) -> Pitwall {
    let settings = [("ROLES", "durable"), ("INSTANCE_ID", "one"), ("WRITE_BATCH_SIZE", "100")];
    Pitwall::start(&rig.scene, &settings)
}

/// Another instance, in this process, which does not wait long for a silent one.
fn other(rig: &Rig) -> Live {
    let mut config = Config { instance_id: "other".to_owned(), ..rig.config() };
    config.write.claim_threshold_ms = THRESHOLD_MS;
    rig.start_with(config)
}

/// Lets the process read until it can hold no more, with the table away.
fn fill(rig: &Rig, process: &Pitwall) -> Producer {
    rig.hide_table(true);
    let mut producer = Producer::new(rig.scene.redis.port(), Mix::plain(21));
    producer.burst(2_000);
    let of = |name| metric(process.admin, name);
    let mut before = None;
    rig.scene.until("its batches are full", || {
        let reads = of("processor_consumer_reads_total{result=\"entries\"}");
        let is_still = before == reads;
        before = reads;
        is_still
            && of("processor_writer_lanes{state=\"holding\"}") == Some(2.0)
            && of("processor_writer_in_flight_rows").is_some_and(|rows| rows >= 50.0)
    });
    producer
}

/// Entries that are pending for a consumer.
fn pending_of(rig: &Rig, consumer: &str) -> u64 {
    let pending = rig.ask(&format!("XPENDING {STREAM} {GROUP} - + 10000 {consumer}"));
    pending.lines().filter(|line| *line == consumer).count() as u64
}

#[test]
fn f21_what_a_killed_instance_had_in_flight_is_claimed_and_stored_once() {
    let rig = Rig::new();
    let mut one = one(&rig);
    let producer = fill(&rig, &one);
    one.kill();
    let left = pending_of(&rig, "one");
    rig.hide_table(false);
    let other = other(&rig);
    rig.until_drained(&producer).assert_drained();
    rig.scene.until("it is counted", || rig.metric(&other, CLAIMS) == left);
    assert!(left >= 50, "{left}");
    assert_eq!((rig.metric(&other, DUPLICATE), rig.metric(&other, MISSING)), (0, 0));
    assert_eq!(rig.letters(), 0);
}

#[test]
fn f22_a_slow_instance_that_wakes_after_its_entries_were_claimed_stores_nothing_twice() {
    let rig = Rig::new();
    let one = one(&rig);
    let producer = fill(&rig, &one);
    one.signal("STOP");
    let left = pending_of(&rig, "one");
    rig.hide_table(false);
    let other = other(&rig);
    rig.until_drained(&producer).assert_drained();
    assert_eq!(rig.metric(&other, CLAIMS), left);
    one.signal("CONT");
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let left = Some(left as f64);
    rig.scene.until("it acknowledges in vain", || metric(one.admin, MISSING) == left);
    assert_eq!(metric(one.admin, DUPLICATE), left);
    rig.judge(&producer).assert_drained();
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!((rig.number(deadlocks), rig.letters()), (0, 0));
}

#[test]
fn f81_a_process_that_stands_still_past_the_threshold_under_load_stores_nothing_twice() {
    let rig = Rig::new();
    let (one, other) = (one(&rig), other(&rig));
    let producer = Producer::new(rig.scene.redis.port(), Mix::rough(81)).steady(2_000);
    for _ in 0..2 {
        let records = metric(one.admin, RECORDS);
        rig.scene.until("it reads", || metric(one.admin, RECORDS) > records);
        one.signal("STOP");
        let taken = rig.metric(&other, RECORDS);
        // A quarter of the threshold may pass before the next look.
        rig.scene.until("all it had is taken over", || {
            pending_of(&rig, "one") == 0 && rig.metric(&other, RECORDS) > taken + 1_000
        });
        one.signal("CONT");
    }
    rig.until_drained(&producer.stop()).assert_drained();
    assert_eq!(metric(one.admin, "processor_writer_residual"), Some(0.0));
    assert_eq!(rig.metric(&other, "processor_writer_residual"), 0);
}

#[test]
fn f22_what_is_in_flight_for_long_is_not_claimed_from_oneself() {
    let rig = Rig::new();
    let mut config = rig.config();
    (config.write.batch_rows_max, config.write.claim_threshold_ms) = (100, 300);
    let live = rig.start_with(config);
    rig.hide_table(true);
    rig.publish_at_once(1, 300, ["", ""]);
    rig.scene.until("it holds", || holds(&live, "writer", "schema"));
    let resting = format!("XPENDING {STREAM} {GROUP} IDLE 600 - + 10000");
    rig.scene.until("it has rested", || rig.ask(&resting).matches("processor-1").count() == 200);
    rig.hide_table(false);
    rig.until_stored(300);
    for name in [CLAIMS, DUPLICATE, MISSING, "processor_consumer_redelivered_total"] {
        assert_eq!(rig.metric(&live, name), 0, "{name}");
    }
}

#[test]
fn m8_what_was_given_to_us_over_a_wire_that_was_cut_is_found_when_it_has_rested() {
    let rig = Rig::new();
    let mut config = rig.config();
    config.write.claim_threshold_ms = 800;
    let live = rig.start_with(config);
    rig.publish_at_once(1, 10, ["", ""]);
    rig.until_stored(10);
    // As if an answer had gone over a connection that we have left.
    let read = format!("XREADGROUP GROUP {GROUP} processor-1 STREAMS {STREAM} >");
    rig.publish_at_once(2, 100, ["", &read]);
    rig.until_stored(110);
    assert_eq!(rig.metric(&live, "processor_consumer_redelivered_total"), 100);
    assert_eq!(rig.metric(&live, DUPLICATE), 0);
}

#[test]
fn f23_a_second_process_of_one_name_reads_nothing_and_stops() {
    let rig = Rig::new();
    let first = rig.start();
    let mut second = Live::start(rig.config());
    let mut producer = Producer::new(rig.scene.redis.port(), Mix::plain(23));
    producer.burst(1_000);
    match second.wait() {
        Err(Stop::Config(words)) => assert!(words.contains("INSTANCE_ID"), "{words}"),
        other => panic!("it must stop, not {other:?}"),
    }
    rig.until_drained(&producer).assert_drained();
    assert_eq!(rig.metric(&first, RECORDS), 1_000);
}
