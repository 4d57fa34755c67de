//! What is stored, once, and how soon.

use std::time::{Duration, Instant};

use tests::entries::{Fix, STREAM, iso};
use tests::platform::imei;
use tests::scene::DEVICE;

use crate::rig::{LETTERS, Rig};

#[test]
fn every_fix_is_stored_once_and_acknowledged() {
    let mut rig = Rig::new();
    let live = rig.start();
    rig.publish(50, 100);
    rig.until_stored(5_000);
    assert_eq!(rig.letters(), 0);
    let inserted = "processor_position_writes_total{status=\"inserted\"}";
    assert_eq!(rig.metric(&live, inserted), 5_000);
    assert_eq!(rig.metric(&live, "processor_consumer_records_total"), 5_000);
    rig.scene.until("all is counted", || rig.metric(&live, "processor_acks_total") == 5_000);
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
    assert_eq!(rig.metric(&live, "processor_acks_missing_total"), 0);
}

#[test]
fn what_was_added_before_the_group_existed_is_stored_too() {
    let mut rig = Rig::new();
    rig.publish(5, 100);
    let _live = rig.start();
    rig.until_stored(500);
}

#[test]
fn a_row_holds_what_its_entry_says() {
    let rig = Rig::new();
    let _live = rig.start();
    let ts_ms = rig.scene.now_ms();
    let payload = format!(
        r#"{{"device_id":"{DEVICE}","timestamp":"{}","latitude":41.3275,"longitude":-19.8187,
        "altitude":-12,"angle":214,"speed":63,"satellites":11,"priority":2,"attributes":{{"239":1,
        "16":{{"__bigint":"18446744073709551615"}},"385":{{"__buffer_b64":"q83v"}}}}}}"#,
        iso(ts_ms)
    );
    let (time, fields) = (iso(ts_ms), ["codec", "8E", "payload", &payload]);
    let command = ["XADD", STREAM, "*", "ts", &time, "device_id", DEVICE];
    let entry = rig.scene.redis_says(&[&command[..], &fields[..]].concat());
    assert!(entry.contains('-'), "{entry}");
    rig.until_stored(1);
    let row = format!(
        "SELECT count(*) FROM positions WHERE device_id = '{DEVICE}'
            AND ts = 'epoch'::timestamptz + {ts_ms} * interval '1 ms'
            AND latitude = 41.3275 AND longitude = -19.8187 AND altitude = -12 AND angle = 214
            AND speed = 63 AND satellites = 11 AND priority = 2 AND codec = '8E' AND NOT faulty
            AND ingested_at > now() - interval '1 minute'
            AND attributes = '{{\"239\": 1, \"16\": \"18446744073709551615\", \"385\": \"q83v\"}}'"
    );
    assert_eq!(rig.number(&row), 1);
}

#[test]
fn d1_a_second_record_of_a_device_and_time_is_a_duplicate_and_the_first_stands() {
    let mut rig = Rig::new();
    let live = rig.start();
    let first = Fix::new(DEVICE, rig.scene.now_ms());
    let second = Fix { speed: 99, ..first.clone() };
    rig.scene.publish_all(&[first, second.clone()]);
    rig.until_stored(1);
    rig.scene.publish_all(&[second]);
    rig.until_acknowledged();
    assert_eq!(rig.number("SELECT count(*) FROM positions WHERE speed = 63"), 1);
    let duplicate = "processor_position_writes_total{status=\"duplicate\"}";
    rig.scene.until("both are counted", || rig.metric(&live, duplicate) == 2);
    assert_eq!(rig.letters(), 0);
}

#[test]
fn f70_late_fixes_are_stored_in_whatever_order_they_come() {
    let mut rig = Rig::new();
    let _live = rig.start();
    let now_ms = rig.scene.now_ms();
    let times =
        (0..500).map(|at| now_ms - at * 1_000).chain((500..1_000).map(|at| now_ms - at * 997));
    let fixes: Vec<Fix> = times.map(|ts_ms| Fix::new(DEVICE, ts_ms)).collect();
    for part in fixes.chunks(100) {
        rig.scene.publish_all(part);
    }
    rig.until_stored(1_000);
}

#[test]
fn at_a_low_rate_a_position_is_committed_within_200_ms() {
    let mut rig = Rig::new();
    let _live = rig.start();
    // The first row of a device makes the session and the plan.
    rig.publish(1, 1);
    rig.until_stored(1);
    let mut times = Vec::new();
    for at in 1..=20 {
        let began = Instant::now();
        rig.publish(1, 1);
        rig.scene.until("it is stored", || rig.stored() == 1 + at);
        times.push(began.elapsed());
    }
    times.sort();
    assert!(times[10] < Duration::from_millis(200), "{times:?}");
}

#[test]
fn at_a_high_rate_batches_reach_their_size() {
    let mut rig = Rig::new();
    let mut config = rig.config();
    config.write.batch_rows_max = 500;
    for _ in 0..20 {
        rig.publish(1_000, 1);
    }
    let live = rig.start_with(config);
    rig.scene
        .until("all is read", || rig.metric(&live, "processor_consumer_records_total") == 20_000);
    rig.until_acknowledged();
    let full = "processor_writer_batches_total{rows=\"1000\"}";
    assert!(rig.metric(&live, full) >= 30, "{}", rig.scene.page(&live, "/metrics"));
}

#[test]
fn two_instances_share_the_work_and_nothing_is_stored_twice() {
    let mut rig = Rig::new();
    let named =
        |name: &str| pitwall::config::Config { instance_id: name.to_owned(), ..rig.config() };
    let (one, other) = (rig.start_with(named("one")), rig.start_with(named("other")));
    for _ in 0..50 {
        rig.publish(200, 1);
    }
    rig.until_acknowledged();
    let read = |live| rig.metric(live, "processor_consumer_records_total");
    rig.scene.until("all is counted", || read(&one) + read(&other) == 10_000);
    assert!(read(&one) > 0 && read(&other) > 0, "{} and {}", read(&one), read(&other));
    let same = "SELECT count(*) - count(DISTINCT (device_id, ts)) FROM positions";
    assert_eq!(rig.number(same), 0);
    assert_eq!(rig.scene.redis_says(&["XLEN", LETTERS]), "0");
}

#[test]
fn d1_an_entry_that_cannot_be_decoded_is_set_aside_and_the_others_are_stored() {
    let mut rig = Rig::new();
    let live = rig.start();
    rig.publish(3, 1);
    let device = imei(1);
    let bad = ["XADD", STREAM, "*", "ts", "x", "device_id", &device, "codec", "8", "payload", "{"];
    let entry = rig.scene.redis_says(&bad);
    rig.publish(3, 1);
    rig.until_acknowledged();
    rig.scene.until("it is set aside", || rig.letters() == 1);
    let letter = rig.letters_text();
    for part in [&*entry, "decode", "raw:payload", "The payload ends before its JSON does."] {
        assert!(letter.contains(part), "{part} in {letter}");
    }
    assert_eq!(rig.metric(&live, "processor_consumer_decode_errors_total"), 1);
    assert_eq!(rig.metric(&live, "processor_dead_letters_total{why=\"decode\"}"), 1);
}
