//! 1.7 Always fresh, not always delivered.

use std::collections::HashMap;
use std::time::Duration;

use tests::client::Client;
use tests::entries::Fix;
use tests::platform::imei;
use tests::scene::{EVENT, Scene};

/// Devices of the crowd, enough that a round outgrows what the kernel holds for one viewer.
const DEVICES: u64 = 300;

#[test]
fn f61_a_viewer_that_stops_reading_gets_the_newest_of_each_device_when_it_goes_on() {
    let mut scene = Scene::with_devices(DEVICES);
    let live = scene.start();
    let mut slow = scene.viewer_with_small_window(&live);
    let mut healthy = scene.viewer(&live);
    for viewer in [&mut slow, &mut healthy] {
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
    }
    let began_ms = scene.now_ms();
    let rounds = 60_i64;
    let mut received = 0;
    for round in 0..rounds {
        let fixes: Vec<Fix> =
            (1..=DEVICES).map(|device| Fix::new(&imei(device), began_ms + round)).collect();
        scene.publish_all(&fixes);
        for _ in 0..DEVICES {
            assert_eq!(healthy.message()["type"], "position");
            received += 1;
        }
    }
    assert_eq!(
        received,
        u64::try_from(rounds).unwrap() * DEVICES,
        "a healthy viewer gets every position"
    );
    let newest_ms = began_ms + rounds - 1;
    let (count, newest) = read_until_all_are(&mut slow, newest_ms);
    assert!(newest.values().all(|&ts_ms| ts_ms == newest_ms));
    let due = received;
    assert!(count < due / 2, "{count} of {due} frames: it was conflated");
    // Replies are never dropped.
    slow.subscribe(EVENT, "after");
    assert_eq!(slow.reply("subscribed")["id"], "after");
}

/// Reads positions until every device is at this time; how many there were, and the last of each.
fn read_until_all_are(viewer: &mut Client, newest_ms: i64) -> (u64, HashMap<String, i64>) {
    let mut newest: HashMap<String, i64> = HashMap::new();
    let mut count = 0;
    while newest.values().filter(|&&ts_ms| ts_ms == newest_ms).count() as u64 != DEVICES {
        let message = viewer.message();
        let (device, ts_ms) =
            (message["deviceId"].as_str().unwrap(), message["ts"].as_i64().unwrap());
        let before = newest.insert(device.to_owned(), ts_ms).unwrap_or(0);
        assert!(ts_ms > before, "{device} went back from {before} to {ts_ms}");
        count += 1;
    }
    (count, newest)
}

#[test]
fn f63_replies_are_never_dropped_and_keep_their_order_under_a_flood() {
    let mut scene = Scene::with_devices(DEVICES);
    let mut config = scene.config();
    config.live.limits.message_rate = engine::time::Rate { per_second: 1_000, burst: 1_000 };
    config.live.limits.subscribe_rate = engine::time::Rate { per_second: 1_000, burst: 1_000 };
    let live = scene.start_with(config);
    let mut slow = scene.viewer_with_small_window(&live);
    slow.subscribe(EVENT, "first");
    slow.reply("subscribed");
    let began_ms = scene.now_ms();
    for round in 0..20 {
        let fixes: Vec<Fix> =
            (1..=DEVICES).map(|device| Fix::new(&imei(device), began_ms + round)).collect();
        scene.publish_all(&fixes);
        slow.unsubscribe(EVENT, &format!("u{round}"));
        slow.subscribe(EVENT, &format!("s{round}"));
    }
    for round in 0..20 {
        assert_eq!(slow.reply("unsubscribed")["id"], format!("u{round}"));
        assert_eq!(slow.reply("subscribed")["id"], format!("s{round}"));
    }
    slow.hear_within(Duration::from_millis(1)).ok();
}
