//! Redis answers, and says no: lost groups and streams, full disks and memories, replicas, pauses.

use std::fs;
use std::time::{Duration, Instant};

use tests::entries::{Fix, STREAM};
use tests::live::Live;
use tests::platform::imei;
use tests::producer::{Mix, Producer};
use tests::proxy::Proxy;
use tests::redis::Redis;

use crate::rig::{GROUP, Rig, entry, holds, is_ready};

const RESETS: &str = "processor_consumer_stream_resets_total";

const RECONNECTS: &str = "processor_consumer_reconnects_total";

/// An entry that nobody can decode.
const UNDECODABLE: &str = "XADD telemetry:teltonika * payload {";

/// Lines of its log that tell an error.
fn errors(live: &Live) -> usize {
    live.log().lines().filter(|line| line.contains("\"level\":\"error\"")).count()
}

#[test]
fn f1_a_redis_killed_again_and_again_under_load_loses_nothing_that_it_has_taken() {
    const KEEPS_ALL: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut rig = Rig::new();
    rig.scene.restart_redis(&KEEPS_ALL);
    let live = rig.start();
    let producer = Producer::new(rig.scene.redis.port(), Mix::rough(1)).steady(1_000);
    for _ in 0..4 {
        // Long enough for the next failure to be a first one.
        let records = rig.metric(&live, "processor_consumer_records_total");
        rig.scene.until("it reads", || {
            rig.metric(&live, "processor_consumer_records_total") > records + 1_200
        });
        rig.scene.restart_redis(&KEEPS_ALL);
    }
    let verdict = rig.until_drained(&producer.stop());
    verdict.assert_drained();
    assert!(verdict.added > 2_000 && verdict.dead_lettered > 0, "{verdict}");
    assert_eq!(rig.metric(&live, RESETS), 0);
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
}

#[test]
fn f2_a_redis_that_has_forgotten_everything_is_read_from_its_beginning() {
    let mut rig = Rig::new();
    let live = rig.start();
    rig.publish(10, 10);
    rig.until_stored(100);
    let newest = rig.ask("XREVRANGE telemetry:teltonika + - COUNT 1");
    rig.scene.restart_redis(&["--appendonly", "no"]);
    // Before anybody can have made the group again.
    rig.publish_at_once(11, 100, ["", ""]);
    rig.until_stored(200);
    assert_eq!(rig.metric(&live, RESETS), 1);
    let told = live.log();
    let told = told.lines().find(|line| line.contains("read from its beginning")).unwrap();
    assert!(told.contains(newest.lines().next().unwrap()), "{told}");
    assert_eq!((rig.letters(), errors(&live) <= 1), (0, true), "{}", live.log());
}

#[test]
fn f3_whatever_takes_the_stream_away_while_it_is_read_what_is_added_in_the_gap_is_stored() {
    let rig = Rig::new();
    let live = rig.start();
    rig.publish_at_once(1, 50, ["", ""]);
    rig.until_stored(50);
    let expire = format!("PEXPIRE {STREAM} 0");
    let (destroy, delete) = (format!("XGROUP DESTROY {STREAM} {GROUP}"), format!("DEL {STREAM}"));
    for (round, taken) in (1..).zip(["FLUSHALL", &delete, &expire, &destroy]) {
        let read_ms = rig.scene.now_ms();
        rig.scene.until("ids are new ones", || rig.scene.now_ms() > read_ms);
        if round % 2 == 0 {
            rig.publish_at_once(1 + round, 100, [taken, ""]);
        } else {
            rig.ask(taken);
            rig.publish_at_once(1 + round, 100, ["", ""]);
        }
        rig.until_stored(50 + 100 * i64::try_from(round).unwrap());
        rig.scene.until("it is counted", || rig.metric(&live, RESETS) == round);
    }
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
    assert_eq!((rig.letters(), errors(&live) <= 1), (0, true), "{}", live.log());
}

#[test]
fn f3_an_entry_that_waits_to_be_set_aside_does_not_keep_a_lost_group_from_being_made_again() {
    let rig = Rig::new();
    let live = rig.start();
    rig.publish_at_once(1, 0, [UNDECODABLE, "CONFIG SET maxmemory 1"]);
    rig.scene.until("it is told", || holds(&live, "reader", "OOM"));
    rig.ask(&format!("XGROUP DESTROY {STREAM} {GROUP}"));
    rig.ask("CONFIG SET maxmemory 0");
    rig.publish_at_once(2, 10, ["", ""]);
    rig.until_stored(10);
    assert_eq!((rig.letters(), rig.metric(&live, RESETS)), (1, 1));
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
}

#[test]
fn f3_a_refused_row_that_waits_to_be_set_aside_does_not_either() {
    let mut rig = Rig::new();
    rig.execute("ALTER TABLE positions ADD CONSTRAINT slow CHECK (speed < 200)");
    let mut config = rig.config();
    config.write.batch_rows_max = 10;
    let live = rig.start_with(config);
    let ts_ms = rig.scene.now_ms();
    rig.hide_table(true);
    rig.scene.publish(&Fix { speed: 300, ..Fix::new(&imei(1), ts_ms + 1_000) });
    rig.publish_at_once(1, 50, ["", "CONFIG SET maxmemory 1"]);
    rig.hide_table(false);
    rig.scene.until("it is told", || holds(&live, "writer", "OOM"));
    rig.scene
        .until("there is no room", || rig.metric(&live, "processor_writer_in_flight_rows") == 11);
    rig.ask(&format!("XGROUP DESTROY {STREAM} {GROUP}"));
    rig.ask("CONFIG SET maxmemory 0");
    rig.until_stored(50);
    assert_eq!((rig.letters(), rig.metric(&live, RESETS)), (1, 1));
}

#[test]
fn f5_without_memory_it_goes_on_reading_and_acknowledging() {
    let rig = Rig::new();
    let live = rig.start();
    rig.publish_at_once(1, 2_000, ["", "CONFIG SET maxmemory 1"]);
    rig.until_stored(2_000);
    assert!(rig.ask(UNDECODABLE).starts_with("-OOM"));
    rig.scene.until("all is counted", || rig.metric(&live, "processor_acks_total") == 2_000);
}

#[test]
fn f51_a_dead_letter_that_redis_has_no_memory_for_leaves_its_entry_pending() {
    let rig = Rig::new();
    let live = rig.start();
    rig.publish_at_once(1, 0, [UNDECODABLE, "CONFIG SET maxmemory 1"]);
    rig.scene.until("it is told", || holds(&live, "reader", "OOM"));
    assert_eq!((rig.pending(), rig.letters()), (1, 0));
    assert!(!is_ready(live.admin));
    rig.ask("CONFIG SET maxmemory 0");
    rig.publish_at_once(2, 10, ["", ""]);
    rig.until_stored(10);
    rig.scene.until("it is set aside", || rig.letters() == 1 && is_ready(live.admin));
}

#[test]
fn f5_a_lost_group_is_asked_for_with_pauses_while_there_is_no_memory_for_it() {
    let rig = Rig::new();
    let live = rig.start();
    rig.ask("CONFIG SET maxmemory 1");
    let (began, before) = (Instant::now(), rig.metric(&live, RECONNECTS));
    rig.ask(&format!("XGROUP DESTROY {STREAM} {GROUP}"));
    rig.scene.until("it is tried", || rig.metric(&live, RECONNECTS) >= before + 4);
    assert!(began.elapsed() > Duration::from_millis(100), "four tries in {:?}", began.elapsed());
    assert!(holds(&live, "reader", "OOM"), "{}", live.log());
    rig.ask("CONFIG SET maxmemory 0");
    rig.publish_at_once(1, 100, ["", ""]);
    rig.until_stored(100);
    assert_eq!((rig.metric(&live, RESETS), errors(&live)), (1, 1), "{}", live.log());
}

#[test]
fn f6_on_a_full_disk_what_was_read_is_stored_and_acknowledged_when_there_is_room() {
    let rig = Rig::new();
    let live = rig.start();
    // A folder where the dump should be: saving fails as it does on a full disk.
    fs::create_dir(rig.scene.redis.directory().path().join("dump.rdb")).unwrap();
    let save = |when: &str| rig.scene.redis_says(&["CONFIG", "SET", "save", when]);
    let stop_writes = |word: &str| format!("CONFIG SET stop-writes-on-bgsave-error {word}");
    rig.ask(&stop_writes("no"));
    save("3600 1");
    rig.ask("BGSAVE");
    rig.scene.until("saving has failed", || {
        rig.ask("INFO persistence").contains("rdb_last_bgsave_status:err")
    });
    rig.publish_at_once(1, 100, ["", &stop_writes("yes")]);
    rig.scene.until("it holds", || holds(&live, "reader", "MISCONF"));
    rig.scene.until("what was read is stored", || rig.stored() == 100);
    assert_eq!((rig.pending(), rig.letters()), (100, 0));
    rig.ask(&stop_writes("no"));
    rig.publish_at_once(2, 100, ["", ""]);
    rig.until_stored(200);
    rig.scene.until("it is well", || is_ready(live.admin));
    check_nothing_was_taken_twice(&rig, &live);
    // A server that is told to save does not end before it has.
    save("");
}

#[test]
fn f8_after_a_failover_it_leaves_the_old_primary_and_goes_on_where_the_new_one_is() {
    let mut rig = Rig::new();
    let proxy = Proxy::to_redis(rig.scene.redis.port());
    let live = rig.start_with(rig.config_by(&proxy));
    rig.publish_at_once(1, 100, ["", ""]);
    rig.until_stored(100);
    rig.ask("CONFIG SET repl-diskless-sync-delay 0");
    let replica = Redis::start();
    let (old, new) = (rig.scene.redis.port(), replica.port());
    let mut connection = replica.connect();
    let mut say = |words: String| -> String {
        let mut words = words.split(' ');
        ::redis::cmd(words.next().unwrap())
            .arg(words.collect::<Vec<_>>())
            .query(&mut connection)
            .unwrap()
    };
    say(format!("REPLICAOF 127.0.0.1 {old}"));
    rig.scene.until("they are the same", || {
        say("INFO replication".to_owned()).contains("master_link_status:up")
    });
    say("REPLICAOF NO ONE".to_owned());
    rig.ask(&format!("REPLICAOF 127.0.0.1 {new}"));
    rig.scene.until("it is told", || holds(&live, "reader", "READONLY"));
    proxy.lead_to(new);
    rig.scene.redis = replica;
    rig.publish_at_once(2, 100, ["", ""]);
    rig.until_stored(200);
    assert_eq!((rig.metric(&live, RESETS), rig.letters()), (0, 0));
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
}

#[test]
fn f18_while_writes_are_paused_it_waits_and_what_it_was_given_unheard_is_stored() {
    let rig = Rig::new();
    let live = rig.start();
    rig.publish_at_once(1, 100, ["", "CLIENT PAUSE 60000 WRITE"]);
    rig.scene.until("it is told", || holds(&live, "reader", "did not"));
    rig.ask("CLIENT UNPAUSE");
    rig.publish_at_once(2, 100, ["", ""]);
    rig.until_stored(200);
    check_nothing_was_taken_twice(&rig, &live);
}

#[test]
fn f17_a_redis_that_stands_still_is_left_and_found_again() {
    let rig = Rig::new();
    let live = rig.start();
    rig.publish_at_once(1, 500, ["", ""]);
    rig.scene.redis.program().signal("STOP").unwrap();
    rig.scene.until("it is told", || holds(&live, "reader", "did not"));
    rig.scene.redis.program().signal("CONT").unwrap();
    rig.publish_at_once(2, 500, ["", ""]);
    rig.until_stored(1_000);
    check_nothing_was_taken_twice(&rig, &live);
}

/// What comes again while it is in flight is known, and not written a second time.
fn check_nothing_was_taken_twice(rig: &Rig, live: &Live) {
    let stored = rig.metric(live, "processor_position_writes_total{status=\"inserted\"}");
    assert_eq!(stored, u64::try_from(rig.stored()).unwrap());
    let of = |name| rig.metric(live, name);
    assert_eq!(of("processor_position_writes_total{status=\"duplicate\"}"), 0);
    assert_eq!(of("processor_writer_residual"), 0);
    assert_eq!(rig.letters(), 0);
}

#[test]
fn f26_ids_are_never_taken_for_times() {
    let rig = Rig::new();
    let live = rig.start();
    let now_ms = rig.scene.now_ms();
    let mut connection = rig.scene.redis.connect();
    // The smallest, some of this year, of 2286, and the largest there is.
    let ids = ["0-1", "1-1", "1-2", "1780733730000-0", "9999999999999-7", "18446744073709551615-0"];
    for (at, id) in (0..).zip(ids) {
        entry(id, &Fix::new(&imei(1), now_ms - at)).exec(&mut connection).unwrap();
    }
    let largest = "18446744073709551615-18446744073709551615";
    entry(largest, &Fix::new(&imei(2), now_ms)).exec(&mut connection).unwrap();
    rig.until_stored(7);
    let exhausted = entry("*", &Fix::new(&imei(3), now_ms)).exec(&mut connection);
    assert!(exhausted.is_err(), "nothing follows the largest id");
    rig.scene.until("all is counted", || rig.metric(&live, "processor_acks_total") == 7);
    assert!(is_ready(live.admin) && errors(&live) == 0, "{}", live.log());
}
