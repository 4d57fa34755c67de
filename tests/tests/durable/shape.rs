//! What the table can do to rows that are well: swallow them, have no place for them, take them for
//! others; and the shapes that it may have.

use tests::entries::{Fix, iso};
use tests::platform::imei;
use tests::producer::Mix;

use crate::holding::check;
use crate::rig::{Rig, at_once, holds, is_ready, report};

const SHORT: &str = "processor_writer_short_writes_total";
const CONFLICTS: &str = "processor_writer_retries_total{why=\"conflict\"}";

/// Lets a trigger of this name do this for each row that is inserted.
fn trigger(name: &str, body: &str) -> String {
    format!(
        "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
        CREATE TRIGGER {name} BEFORE INSERT ON positions FOR EACH ROW EXECUTE FUNCTION {name}()"
    )
}

#[test]
fn f46_what_swallows_rows_is_found_out_and_nothing_is_acknowledged_until_it_is_gone() {
    let swallow = trigger("swallow", "RETURN NULL;");
    let swallows_all = || check(&swallow, "swallows it", "DROP TRIGGER swallow ON positions");
    at_once(&[&swallows_all, &swallows_some, &swallows_by_a_rule]);
}

/// A trigger that lets most rows pass.
fn swallows_some() {
    let mut rig = Rig::new();
    let live = rig.start();
    rig.publish(10, 1);
    rig.until_stored(10);
    let odd = "IF NEW.device_id LIKE '%3' THEN RETURN NULL; END IF; RETURN NEW;";
    rig.execute(&trigger("swallow", odd));
    // The first ten devices have been written: their rows are copied. The others are looked for.
    for devices in [1..=10, 11..=20] {
        let before = rig.metric(&live, SHORT);
        let now_ms = rig.scene.now_ms();
        let fixes: Vec<Fix> = devices.map(|device| Fix::new(&imei(device), now_ms)).collect();
        rig.scene.publish_all(&fixes);
        rig.scene.until("it is found out", || rig.metric(&live, SHORT) > before);
        rig.scene.until("it holds", || holds(&live, "writer", "swallows it"));
        assert!(rig.pending() > 0, "not acknowledged");
        rig.execute("ALTER TABLE positions DISABLE TRIGGER swallow");
        rig.until_acknowledged();
        rig.execute("ALTER TABLE positions ENABLE TRIGGER swallow");
    }
    rig.until_stored(30);
    assert_eq!(rig.letters(), 0);
}

#[test]
fn f46_rows_that_only_go_missing_in_company_are_stored_one_by_one() {
    let mut rig = Rig::new();
    let live = rig.start();
    rig.publish(10, 1);
    rig.until_stored(10);
    rig.execute(&trigger(
        "swallow",
        "IF current_setting('swallow.at', true) = statement_timestamp()::text THEN RETURN NULL; END IF;
        PERFORM set_config('swallow.at', statement_timestamp()::text, false); RETURN NEW;",
    ));
    rig.publish(10, 3);
    rig.until_stored(40);
    assert!(rig.metric(&live, SHORT) > 0);
    assert!(is_ready(live.admin), "nobody has to do anything");
    assert_eq!(rig.letters(), 0);
}

/// A rule concerns what is inserted and not what is copied.
fn swallows_by_a_rule() {
    let mut rig = Rig::new();
    let live = rig.start();
    rig.publish(10, 1);
    rig.until_stored(10);
    rig.execute("CREATE RULE swallow AS ON INSERT TO positions DO INSTEAD NOTHING");
    rig.publish(10, 1);
    rig.until_stored(20);
    rig.publish(20, 1);
    rig.scene.until("it holds", || holds(&live, "writer", "swallows it"));
    assert!(rig.pending() > 0, "not acknowledged");
    rig.execute("DROP RULE swallow ON positions");
    rig.until_stored(40);
    assert_eq!(rig.letters(), 0);
}

#[test]
fn f40_a_primary_key_does_what_the_unique_index_does() {
    let mut rig = Rig::new();
    rig.execute("ALTER TABLE positions ADD PRIMARY KEY USING INDEX positions_device_ts");
    stores_everything_once(&mut rig);
}

/// Makes the table one that PostgreSQL divides by time, with a part for the last day only.
fn partition(rig: &Rig) {
    rig.execute(
        "CREATE TABLE parted (LIKE positions INCLUDING DEFAULTS) PARTITION BY RANGE (ts);
        DROP TABLE positions;
        ALTER TABLE parted RENAME TO positions;
        CREATE UNIQUE INDEX positions_device_ts ON positions (device_id, ts);
        DO $$ DECLARE at timestamptz := now(); BEGIN
            EXECUTE format('CREATE TABLE old PARTITION OF positions FOR VALUES FROM (%L) TO (%L)',
                at - interval '1 day', at - interval '10 minutes');
            EXECUTE format('CREATE TABLE new PARTITION OF positions FOR VALUES FROM (%L) TO (%L)',
                at - interval '10 minutes', at + interval '1 day');
        END $$",
    );
}

#[test]
fn f47_a_partitioned_table_takes_rows_into_all_of_its_parts_once() {
    let mut rig = Rig::new();
    partition(&rig);
    stores_everything_once(&mut rig);
    assert!(
        rig.number("SELECT count(*) FROM old") > 0 && rig.number("SELECT count(*) FROM new") > 0
    );
}

/// Produces new, late, repeated and broken fixes around ten minutes ago, at first few at a time, and
/// expects everything in its place.
fn stores_everything_once(rig: &mut Rig) {
    let _live = rig.start();
    let start_ms = rig.scene.now_ms() - 600_000;
    let mut producer = rig.producer(Mix { start_ms, late: 300, ..Mix::rough(40) });
    for count in [1, 10, 100, 5_000] {
        producer.burst(count);
        rig.until_drained(&producer).assert_drained();
    }
}

/// No index, partition or setting can make room for such a fix: nobody knows whether anybody ever
/// will. It is refused like any other, and everything around it is stored.
#[test]
fn f47_a_fix_that_no_part_of_the_table_has_room_for_is_set_aside_and_the_others_are_stored() {
    let mut rig = Rig::new();
    partition(&rig);
    let live = rig.start();
    let now_ms = rig.scene.now_ms();
    let month_ms = 30 * 86_400_000;
    let mut fixes: Vec<Fix> =
        (0..200).map(|at| Fix::new(&imei(at % 5), now_ms + 10 * at.cast_signed())).collect();
    (fixes[0].ts_ms, fixes[99].ts_ms, fixes[199].ts_ms) =
        (now_ms - month_ms, now_ms - 2 * month_ms, now_ms - 3 * month_ms);
    rig.scene.publish_all(&fixes);
    rig.until_stored(197);
    assert_eq!(rig.letters(), 3);
    let letters = rig.letters_text();
    for part in ["\n23514\n", "no partition of relation \"positions\" found", "raw:payload"] {
        assert_eq!(letters.matches(part).count(), 3, "{part} in {letters}");
    }
    assert!(is_ready(live.admin));
}

#[test]
fn f47_when_every_fix_has_no_room_it_is_the_table_and_the_writer_holds() {
    let mut rig = Rig::new();
    partition(&rig);
    let live = rig.start();
    rig.publish(10, 10);
    rig.until_stored(100);
    rig.execute("ALTER TABLE positions DETACH PARTITION new");
    rig.publish(100, 1);
    rig.scene.until("it holds", || holds(&live, "writer", "no partition"));
    let letters = rig.letters();
    assert!(letters <= 10, "{letters} were set aside");
    rig.execute("ALTER TABLE positions ATTACH PARTITION new DEFAULT");
    rig.until_acknowledged();
    assert_eq!(rig.stored() + i64::try_from(letters).unwrap(), 200);
}

#[test]
fn another_unique_index_that_refuses_rows_is_named_and_waited_for() {
    let mut rig = Rig::new();
    let live = rig.start();
    rig.publish(10, 10);
    rig.until_stored(100);
    let from = iso(rig.scene.now_ms());
    rig.execute(&format!("CREATE UNIQUE INDEX one_each ON positions (speed) WHERE ts > '{from}'"));
    rig.publish(10, 1);
    rig.scene.until("it holds", || holds(&live, "writer", "conflict: PostgreSQL says 23505"));
    let reason = report(&live, "writer")["reason"].to_string();
    assert!(reason.contains("one_each"), "{reason}");
    rig.scene.until("all are read", || rig.unread() == 0);
    assert_eq!((rig.stored(), rig.letters()), (101, 0));
    assert!(rig.pending() >= 9, "all but the first may wait, {} do", rig.pending());
    rig.execute("DROP INDEX one_each");
    rig.until_stored(110);
    rig.scene.until("it is well", || is_ready(live.admin));
}

#[test]
fn a_conflict_that_passes_is_tried_again_and_one_that_needs_company_is_met_row_by_row() {
    let mut rig = Rig::new();
    let live = rig.start();
    rig.publish(10, 1);
    rig.until_stored(10);
    rig.execute("CREATE SEQUENCE strikes");
    rig.execute(&trigger(
        "strike",
        "IF nextval('strikes') <= 2 THEN RAISE 'the same key' USING ERRCODE = '23505'; END IF; RETURN NEW;",
    ));
    rig.publish(10, 3);
    rig.until_stored(40);
    assert_eq!(rig.metric(&live, CONFLICTS), 2);
    rig.execute(
        "DROP TRIGGER strike ON positions;
        CREATE FUNCTION crowd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) FROM these) > 1 THEN
                RAISE 'the same key' USING ERRCODE = '23505';
            END IF;
            RETURN NULL; END $$;
        CREATE TRIGGER crowd AFTER INSERT ON positions REFERENCING NEW TABLE AS these
            FOR EACH STATEMENT EXECUTE FUNCTION crowd()",
    );
    rig.publish(10, 3);
    rig.until_stored(70);
    assert!(rig.metric(&live, CONFLICTS) > 2);
    assert!(is_ready(live.admin));
    assert_eq!(rig.letters(), 0);
}
