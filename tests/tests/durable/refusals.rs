//! Rows that the database refuses although they are positions: one is set aside, many are not.

use tests::entries::Fix;
use tests::platform::imei;

use crate::rig::{Rig, holds};

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
