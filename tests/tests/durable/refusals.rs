//! Rows that the database refuses although they are positions: one is set aside, many are not.

use tests::entries::Fix;
use tests::platform::imei;

use crate::rig::{LETTERS, Rig, holds, is_ready, report};

const RULE: &str = "ALTER TABLE positions ADD CONSTRAINT slow CHECK (speed < 200)";

#[test]
fn f49_one_refused_row_of_a_thousand_is_set_aside_alone() {
    let mut rig = Rig::new();
    rig.execute(RULE);
    let now_ms = rig.scene.now_ms();
    let mut fixes: Vec<Fix> = (0..1_000).map(|at| Fix::new(&imei(1), now_ms + at)).collect();
    fixes[617].speed = 300;
    rig.scene.publish_all(&fixes);
    let live = rig.start();
    rig.until_stored(999);
    assert_eq!(rig.letters(), 1);
    let letter = rig.letters_text();
    for part in ["23514", "slow", "raw:payload", "\"speed\":300", "processor-1"] {
        assert!(letter.contains(part), "{part} in {letter}");
    }
    assert_eq!(rig.metric(&live, "processor_position_writes_total{status=\"failed\"}"), 1);
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
    let tries = "processor_position_write_duration_seconds_count{path=\"staged\"}";
    assert!(rig.metric(&live, tries) <= 21, "{}", rig.metric(&live, tries));
}

#[test]
fn f49_refused_rows_at_whatever_places_are_set_aside_and_the_others_are_stored() {
    let mut rig = Rig::new();
    rig.execute(RULE);
    let mut config = rig.config();
    config.write.storm_percent = 100;
    let live = rig.start_with(config);
    let (mut stored, mut letters) = (0, 0);
    let mut newest_ms = rig.scene.now_ms();
    let places: [&[usize]; 5] =
        [&[0], &[99], &[0, 99], &[49, 50, 51], &(0..100).step_by(2).collect::<Vec<_>>()];
    for (device, places) in (1..).zip(places) {
        // The second time the device is known, and its rows are copied.
        for _ in 0..2 {
            newest_ms += 100;
            let new = |at| Fix::new(&imei(device), newest_ms - at);
            let mut fixes: Vec<Fix> = (0..100).rev().map(new).collect();
            places.iter().for_each(|&place| fixes[place].speed = 300);
            rig.scene.publish_all(&fixes);
            letters += places.len();
            stored += 100 - i64::try_from(places.len()).unwrap();
            rig.until_stored(stored);
            assert_eq!(rig.letters(), letters, "{places:?}");
        }
    }
    assert_eq!(rig.letters_text().matches("\"speed\":300").count(), letters);
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
}

#[test]
fn f50_with_as_many_letters_as_may_be_the_writer_holds_until_there_is_room() {
    let mut rig = Rig::new();
    rig.execute(RULE);
    let mut config = rig.config();
    config.write.dead_letters_max = 2;
    let live = rig.start_with(config);
    let now_ms = rig.scene.now_ms();
    let fast = |at: i64| Fix { speed: 300, ..Fix::new(&imei(1), now_ms + at) };
    rig.scene.publish_all(&(0..3).map(fast).collect::<Vec<Fix>>());
    rig.scene.until("it holds", || holds(&live, "writer", "DEAD_LETTERS_MAX"));
    let said = report(&live, "writer");
    assert!(said["remedy"].as_str().unwrap().contains("pitwall dlq list"), "{said}");
    rig.scene.until("one is left", || (rig.letters(), rig.pending()) == (2, 1));
    assert_eq!(rig.scene.redis_says(&["DEL", LETTERS]), "1");
    rig.until_acknowledged();
    assert_eq!(rig.letters(), 1);
    rig.scene.until("it is well", || is_ready(live.admin));
}

#[test]
fn f51_a_refused_row_that_redis_has_no_memory_for_stays_pending_until_it_has() {
    let mut rig = Rig::new();
    rig.execute(RULE);
    let live = rig.start();
    rig.publish(10, 1);
    rig.until_stored(10);
    let gate = rig.session();
    gate.execute("BEGIN; LOCK TABLE positions IN ACCESS EXCLUSIVE MODE");
    let now_ms = rig.scene.now_ms();
    let mut fixes: Vec<Fix> = (0..10).map(|at| Fix::new(&imei(1), now_ms + at)).collect();
    fixes[4].speed = 300;
    rig.scene.publish_all(&fixes);
    rig.scene.until("all are read", || rig.pending() == 10);
    assert_eq!(rig.scene.redis_says(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    gate.execute("COMMIT");
    let words = "A record is refused and cannot be set aside.";
    rig.scene.until("it holds", || holds(&live, "writer", words));
    let said = report(&live, "writer");
    assert!(said["reason"].as_str().unwrap().contains("OOM"), "{said}");
    // The first one may have been a batch of its own.
    let pending = rig.pending();
    assert!((9..=10).contains(&pending) && rig.letters() == 0, "{pending} are pending");
    assert_eq!(rig.scene.redis_says(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    rig.until_stored(19);
    assert_eq!(rig.letters(), 1);
    rig.scene.until("it is well", || is_ready(live.admin));
}

#[test]
fn f50_a_storm_of_refused_rows_is_held_and_stored_when_the_rule_is_gone() {
    let mut rig = Rig::new();
    rig.execute(RULE);
    let live = rig.start();
    let now_ms = rig.scene.now_ms();
    let fast = |at: i64| Fix { speed: 300, ..Fix::new(&imei(1), now_ms + at) };
    let fixes: Vec<Fix> = (0..1_000).map(fast).collect();
    rig.scene.publish_all(&fixes);
    rig.scene.until("it holds", || holds(&live, "writer", "slow"));
    let letters = rig.letters();
    assert!(letters <= 10, "{letters} were set aside");
    rig.execute("ALTER TABLE positions DROP CONSTRAINT slow");
    let rest = 1_000 - i64::try_from(letters).unwrap();
    rig.until_stored(rest);
}

#[test]
fn a_row_that_is_refused_only_when_its_copy_is_committed_is_set_aside_alone() {
    let mut rig = Rig::new();
    rig.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.speed > 200 THEN RAISE 'too fast' USING ERRCODE = '23514'; END IF;
             RETURN NULL;
         END $$;
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON positions
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    let _live = rig.start();
    rig.publish(1, 1);
    rig.until_stored(1);
    // All of them are newer than what was stored, so they go by COPY.
    let now_ms = rig.scene.now_ms();
    let mut fixes: Vec<Fix> = (1..=100).map(|at| Fix::new(&imei(1), now_ms + at)).collect();
    fixes[42].speed = 300;
    rig.scene.publish_all(&fixes);
    rig.until_stored(100);
    assert_eq!(rig.letters(), 1);
    assert!(rig.letters_text().contains("too fast"), "{}", rig.letters_text());
}
