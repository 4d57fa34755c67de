//! The database is away, or not as it must be: nothing is acknowledged, nothing is set aside, the
//! reason is shown, and writing goes on by itself.

use crate::rig::{Rig, at_once, holds, is_ready, report};

/// Breaks the table, publishes, expects a hold for this reason, mends it, and expects every row.
pub(crate) fn check(breaking: &str, reason: &str, mending: &str) {
    let mut rig = Rig::new();
    let live = rig.start();
    rig.publish(10, 10);
    rig.until_stored(100);
    rig.execute(breaking);
    rig.publish(10, 1);
    rig.scene.until(&format!("{breaking}: it holds: {reason}"), || holds(&live, "writer", reason));
    let said = report(&live, "writer");
    assert!(!is_ready(live.admin), "{said}");
    assert!(said["effect"].as_str().unwrap().contains("None is lost"), "{said}");
    rig.scene.until("nothing is acknowledged", || rig.pending() == 10);
    assert_eq!(rig.letters(), 0, "nothing is set aside");
    rig.execute(mending);
    rig.scene.until("it writes again", || is_ready(live.admin));
    rig.until_acknowledged();
    assert_eq!(rig.letters(), 0);
    assert_eq!(rig.number("SELECT count(DISTINCT (device_id, ts)) FROM positions"), rig.stored());
}

#[test]
fn f37_table_dropped_holds_and_resumes() {
    check(
        "ALTER TABLE positions RENAME TO away",
        "positions",
        "ALTER TABLE away RENAME TO positions",
    );
}

#[test]
fn f38_a_changed_column_holds_and_resumes() {
    at_once(&[
        &|| {
            check(
                "ALTER TABLE positions RENAME COLUMN speed TO velocity",
                "speed",
                "ALTER TABLE positions RENAME COLUMN velocity TO speed",
            );
        },
        &|| {
            check(
                "ALTER TABLE positions ALTER COLUMN speed TYPE text",
                "speed",
                "ALTER TABLE positions ALTER COLUMN speed TYPE real USING speed::real",
            );
        },
        &|| {
            check(
                "ALTER TABLE positions ADD COLUMN weather text NOT NULL DEFAULT 'dry';
                ALTER TABLE positions ALTER COLUMN weather DROP DEFAULT",
                "weather",
                "ALTER TABLE positions DROP COLUMN weather",
            );
        },
    ]);
}

#[test]
fn f39_a_dropped_unique_index_is_noticed_while_nothing_comes_and_holds_and_resumes() {
    let mut rig = Rig::new();
    let mut config = rig.config();
    config.write.lane_count = 1;
    let live = rig.start_with(config);
    rig.publish(10, 10);
    rig.until_stored(100);
    rig.execute("DROP INDEX positions_device_ts");
    rig.scene.until("it holds", || holds(&live, "writer", "index"));
    rig.publish(10, 10);
    rig.scene.until("nothing is acknowledged", || rig.pending() == 100);
    let retries = "processor_writer_retries_total{why=\"schema\"}";
    rig.scene.until("it has tried", || rig.metric(&live, retries) > 0);
    let is_error = |line: &&str| line.contains("\"level\":\"error\"");
    assert_eq!(live.log().lines().filter(is_error).count(), 1, "it is told once");
    rig.execute("CREATE UNIQUE INDEX positions_device_ts ON positions (device_id, ts)");
    rig.until_stored(200);
    assert_eq!(rig.letters(), 0);
}

#[test]
fn f29_a_database_that_is_away_holds_and_what_came_meanwhile_is_stored() {
    let mut rig = Rig::own();
    let live = rig.start();
    rig.publish(10, 10);
    rig.until_stored(100);
    rig.scene.stop_postgres();
    rig.publish(10, 1);
    rig.scene.until("it holds", || holds(&live, "writer", "transient"));
    assert_eq!((rig.pending(), rig.letters()), (10, 0));
    rig.scene.start_postgres();
    rig.until_stored(110);
    rig.scene.until("it is well", || is_ready(live.admin));
}

#[test]
fn f29_an_outage_stops_reading_when_the_batches_are_full() {
    let mut rig = Rig::own();
    let mut config = rig.config();
    (config.write.batch_rows_max, config.write.lane_count) = (100, 2);
    let live = rig.start_with(config);
    rig.publish(10, 10);
    rig.until_stored(100);
    rig.scene.stop_postgres();
    rig.publish(100, 20);
    rig.scene.until("it holds", || holds(&live, "writer", "transient"));
    let in_flight = || rig.metric(&live, "processor_writer_in_flight_rows");
    rig.scene.until("a batch is as full as it gets", || in_flight() >= 75);
    assert!(rig.pending() <= 400, "{} of at most 400 are pending", rig.pending());
    rig.scene.start_postgres();
    rig.until_stored(2_100);
}
