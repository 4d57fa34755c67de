//! 1.6 Snapshot and stream.

use serde_json::Value;
use tests::entries::Fix;
use tests::platform::{add_position, imei, set_faulty};
use tests::scene::{DEVICE, DEVICE_SHARED, EVENT, EVENT_EMPTY, EVENT_OTHER, Scene};

/// What a snapshot shows of a device: its newest time.
fn shown(reply: &Value, device_id: &str) -> Option<i64> {
    let entries = reply["snapshot"].as_array().unwrap();
    let mut of_device = entries.iter().filter(|entry| entry["deviceId"] == device_id);
    let shown = of_device.next().map(|entry| entry["ts"].as_i64().unwrap());
    assert!(of_device.next().is_none(), "one entry a device");
    shown
}

#[test]
fn the_snapshot_has_the_newest_good_position_of_every_device_out_of_the_database() {
    let scene = Scene::new();
    let now_ms = scene.now_ms();
    scene.sql(async |client| {
        add_position(client, DEVICE, now_ms - 3_000, (41.0, 19.0)).await;
        add_position(client, DEVICE, now_ms - 2_000, (41.1, 19.1)).await;
        add_position(client, DEVICE, now_ms - 1_000, (41.2, 19.2)).await;
        set_faulty(client, DEVICE, now_ms - 1_000, true).await;
    });
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    scene.until("the slots are warm", || {
        viewer.subscribe(EVENT, "");
        shown(&viewer.reply("subscribed"), DEVICE) == Some(now_ms - 2_000)
    });
    viewer.subscribe(EVENT, "");
    let reply = viewer.reply("subscribed");
    assert_eq!(shown(&reply, DEVICE_SHARED), None, "devices without positions are left out");
}

#[test]
fn a_snapshot_of_which_nothing_is_known_is_empty() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    viewer.subscribe(EVENT_EMPTY, "");
    assert_eq!(viewer.reply("subscribed")["snapshot"], serde_json::json!([]));
}

#[test]
fn a_subscribe_works_while_postgresql_is_down() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.watching(&live);
    let fix = scene.publish_next();
    assert_eq!(viewer.message()["ts"], fix.ts_ms);
    scene.stop_postgres();
    let mut second = scene.viewer(&live);
    second.subscribe(EVENT, "");
    assert_eq!(shown(&second.reply("subscribed"), DEVICE), Some(fix.ts_ms));
    let next = scene.publish_next();
    assert_eq!(second.message()["ts"], next.ts_ms);
}

#[test]
fn a_flagged_position_falls_back_to_the_next_good_one() {
    let mut scene = Scene::new();
    let mut config = scene.config();
    config.live.refresh_ms = 1_000;
    let now_ms = scene.now_ms();
    scene.sql(async |client| {
        add_position(client, DEVICE, now_ms - 2_000, (41.1, 19.1)).await;
    });
    let live = scene.start_with(config);
    let _viewer = scene.watching(&live);
    scene.publish(&Fix::new(DEVICE, now_ms));
    scene.sql(async |client| {
        add_position(client, DEVICE, now_ms, (41.2, 19.2)).await;
        set_faulty(client, DEVICE, now_ms, true).await;
    });
    scene.until("the slot falls back", || {
        let mut newcomer = scene.viewer(&live);
        newcomer.subscribe(EVENT, "");
        shown(&newcomer.reply("subscribed"), DEVICE) == Some(now_ms - 2_000)
    });
}

#[test]
fn f70_time_never_goes_back_and_late_fixes_do_not_move_the_dot() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.watching(&live);
    let now_ms = scene.now_ms();
    for ts_ms in [now_ms - 10, now_ms - 20, now_ms - 5, now_ms - 5, now_ms - 30, now_ms] {
        scene.publish(&Fix::new(DEVICE, ts_ms));
    }
    for expected in [now_ms - 10, now_ms - 5, now_ms] {
        assert_eq!(viewer.message()["ts"], expected);
    }
}

#[test]
fn f71_a_fix_from_the_future_never_takes_a_slot() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.watching(&live);
    let now_ms = scene.now_ms();
    for ahead_ms in [61_500, 86_400_000, 50_000] {
        scene.publish(&Fix::new(DEVICE, now_ms + ahead_ms));
    }
    assert_eq!(viewer.message()["ts"], now_ms + 50_000, "within the tolerance of 60 s");
}

#[test]
fn f72_a_fix_without_satellites_at_zero_is_not_shown() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.watching(&live);
    let now_ms = scene.now_ms();
    let nowhere = Fix { latitude: 0.0, longitude: 0.0, satellites: 0, ..Fix::new(DEVICE, now_ms) };
    scene.publish(&nowhere);
    scene.publish(&Fix { ts_ms: now_ms + 1, satellites: 4, ..nowhere });
    assert_eq!(viewer.message()["ts"], now_ms + 1, "zero with satellites is a place at sea");
}

#[test]
fn t27_a_device_of_two_events_is_one_frame_for_each() {
    let mut scene = Scene::new();
    let live = scene.start();
    let (mut here, mut there) = (scene.viewer(&live), scene.viewer_of_other(&live));
    here.subscribe(EVENT, "");
    there.subscribe(EVENT_OTHER, "");
    for viewer in [&mut here, &mut there] {
        viewer.reply("subscribed");
    }
    let now_ms = scene.now_ms();
    scene.publish(&Fix::new(DEVICE_SHARED, now_ms));
    assert_eq!(here.message()["topic"], format!("event:{EVENT}"));
    assert_eq!(there.message()["topic"], format!("event:{EVENT_OTHER}"));
    scene.publish(&Fix::new(DEVICE, now_ms));
    assert_eq!(here.message()["deviceId"], DEVICE);
    there.hears_nothing_for(std::time::Duration::from_millis(300));
}

#[test]
fn a_device_in_no_event_is_counted_and_not_shown() {
    let mut scene = Scene::new();
    let live = scene.start();
    scene.publish(&Fix::new(&imei(77), scene.now_ms()));
    scene.until("the orphan is counted", || {
        scene.metric(&live, "processor_live_orphans_total") == Some(1.0)
    });
}
