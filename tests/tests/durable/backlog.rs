//! More to store than usual: what devices have kept while Redis was away, and what a failover of
//! PostgreSQL has taken back.

use std::time::{Duration, Instant};

use pitwall::config::Roles;
use tests::entries::Fix;
use tests::platform::imei;

use crate::planes::Times;
use crate::postgres::is_bounded;
use crate::rig::Rig;

const RECORDS: &str = "processor_consumer_records_total";

#[test]
fn f28_ten_minutes_of_fixes_after_an_outage_are_stored_ten_times_as_fast_and_viewers_go_first() {
    const DEVICES: u64 = 100;
    const SECONDS: i64 = 600;
    let rig = &mut Rig::new();
    let mut config = rig.scene.config();
    config.roles = Roles::default();
    let live = rig.start_with(config.clone());
    let mut viewer = rig.scene.watching(&live);
    let records = rig.metric(&live, RECORDS);
    rig.scene.restart_redis(&["--appendonly", "no"]);
    let (began, now_ms) = (Instant::now(), rig.scene.now_ms());
    for second in 0..SECONDS {
        let ts_ms = now_ms - (SECONDS - second) * 1_000;
        // The first one is the device that is watched.
        let fixes: Vec<Fix> =
            (2..2 + DEVICES).map(|device| Fix::new(&imei(device), ts_ms)).collect();
        rig.scene.publish_all(&fixes);
    }
    let backlog = DEVICES * SECONDS.unsigned_abs();
    let during = Times::take(rig, &mut viewer, |rig| {
        is_bounded(rig, &live, &config);
        rig.metric(&live, RECORDS) < records + backlog
    });
    let all = i64::try_from(backlog).unwrap() + during.count();
    rig.scene.until_within(Duration::from_secs(60), "all is stored", || rig.stored() == all);
    let elapsed = began.elapsed();
    rig.until_stored(all);
    assert!(elapsed < Duration::from_secs(SECONDS.unsigned_abs() / 10), "it took {elapsed:?}");
    // Whoever stood behind the backlog would wait for its end.
    let slowest = during.of_hundred(99);
    assert!(slowest < Duration::from_secs(1), "{slowest:?} while a backlog was stored");
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
}

#[test]
fn f48_rows_that_a_failover_took_back_are_stored_again_when_the_group_is_set_back() {
    let mut rig = Rig::own();
    let live = rig.start();
    rig.publish(10, 10);
    rig.until_stored(100);
    let kept = rig.ask("XREVRANGE telemetry:teltonika + - COUNT 1");
    rig.scene.postgres().keep();
    rig.publish(10, 10);
    rig.scene.until("it has found the server again", || rig.stored() == 200);
    rig.until_stored(200);
    rig.scene.postgres().go_back();
    assert_eq!(rig.stored(), 100, "what was acknowledged is gone");
    // What an operator does: the group goes back to before the failover, by more than was lost.
    let before = kept.lines().next().unwrap();
    let (ms, _) = before.split_once('-').unwrap();
    let minute_before = ms.parse::<u64>().unwrap() - 60_000;
    rig.ask(&format!("XGROUP SETID telemetry:teltonika processor {minute_before}"));
    rig.until_stored(200);
    assert_eq!(rig.letters(), 0);
    rig.publish(10, 10);
    rig.until_stored(300);
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
    assert_eq!(rig.metric(&live, "processor_position_writes_total{status=\"duplicate\"}"), 100);
}
