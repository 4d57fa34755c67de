//! Snapshots that race the stream: nothing older follows them, and nothing is missing behind them.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::Value;
use tests::client::Client;
use tests::scene::{EVENT, Scene, metric_sum};

/// Devices of the race.
const DEVICES: u64 = 20;

/// Viewers who subscribe again and again.
const VIEWERS: u64 = 6;

/// How often each of them does.
const SUBSCRIPTIONS: usize = 60;

/// Positions that each subscription is followed for.
const FOLLOWED: usize = 60;

#[test]
fn f68_whoever_subscribes_while_positions_stream_sees_each_next_one_after_its_snapshot() {
    let mut scene = Scene::with_devices(DEVICES);
    let mut config = scene.config();
    let often = engine::time::Rate { per_second: 1_000, burst: 10_000 };
    config.live.limits.message_rate = often;
    config.live.limits.subscribe_rate = often;
    let live = scene.start_with(config);
    let address = live.address;
    // Publishing goes no faster than this one reads.
    let mut pace = scene.viewer(&live);
    pace.subscribe(EVENT, "");
    pace.reply("subscribed");
    let began_ms = scene.now_ms();
    std::thread::scope(|scope| {
        let viewers: Vec<_> =
            (1..=VIEWERS).map(|user| scope.spawn(move || subscribe_often(address, user))).collect();
        let mut round = 0;
        while !viewers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            scene.publish_one_each(DEVICES, began_ms + round);
            for _ in 0..DEVICES {
                assert_eq!(pace.message()["ts"], began_ms + round);
            }
            round += 1;
        }
        let full: usize = viewers.into_iter().map(|viewer| viewer.join().unwrap()).sum();
        assert!(full > 0, "no snapshot had all devices");
    });
    scene.until("the conservation law is checked", || {
        metric_sum(live.admin, "processor_live_frames_residual") == Some(0.0)
    });
}

/// Subscribes, follows, unsubscribes, again and again; how many snapshots had all devices.
fn subscribe_often(address: SocketAddr, user: u64) -> usize {
    let mut viewer = Client::connect(address, &[("Cookie", &Scene::cookie(user))]).unwrap();
    let mut full = 0;
    for number in 0..SUBSCRIPTIONS {
        viewer.subscribe(EVENT, &number.to_string());
        let subscribed = viewer.message();
        assert_eq!(subscribed["type"], "subscribed", "nothing comes before it");
        let mut newest: HashMap<String, i64> = HashMap::new();
        for entry in subscribed["snapshot"].as_array().unwrap() {
            assert!(newest.insert(device_of(entry), ts_of(entry)).is_none(), "one a device");
        }
        full += usize::from(newest.len() as u64 == DEVICES);
        for _ in 0..FOLLOWED {
            is_next(&viewer.message(), &mut newest);
        }
        viewer.unsubscribe(EVENT, "");
        loop {
            let message = viewer.message();
            if message["type"] == "unsubscribed" {
                break;
            }
            is_next(&message, &mut newest);
        }
    }
    full
}

/// Asserts that a position is the one that follows what was seen of its device.
fn is_next(message: &Value, newest: &mut HashMap<String, i64>) {
    assert_eq!(message["type"], "position", "{message}");
    let ts_ms = ts_of(message);
    if let Some(before) = newest.insert(device_of(message), ts_ms) {
        assert_eq!(ts_ms, before + 1, "{message} follows {before}");
    }
}

fn device_of(entry: &Value) -> String {
    entry["deviceId"].as_str().unwrap().to_owned()
}

fn ts_of(entry: &Value) -> i64 {
    entry["ts"].as_i64().unwrap()
}
