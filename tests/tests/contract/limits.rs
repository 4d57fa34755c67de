//! 1.8 Limits, each as used and allowed on `/statusz`.

use std::time::Duration;

use serde_json::json;
use tests::client::masked;
use tests::platform::uuid;
use tests::scene::{EVENT, Scene};

#[test]
fn a_message_of_4_kib_is_read_and_a_byte_more_closes_1009() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    let message = format!(r#"{{"type":"subscribe","topic":"event:{EVENT}"}}"#);
    viewer.say(&format!("{message:4096}"));
    viewer.reply("subscribed");
    viewer.say(&format!("{message:4097}"));
    assert_eq!(viewer.closed().0, 1009);
}

#[test]
fn a_message_of_sixteen_fragments_is_read_and_one_more_closes_1008() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    let message = format!(r#"{{"type":"subscribe","topic":"event:{EVENT}"}}"#);
    let fragments = |count: usize| {
        let mut bytes = masked(0x01, &message.as_bytes()[..1]);
        for at in 1..count - 1 {
            bytes.extend(masked(0x00, &message.as_bytes()[at..=at]));
        }
        bytes.extend(masked(0x80, &message.as_bytes()[count - 1..]));
        bytes
    };
    viewer.send_bytes(&fragments(16));
    viewer.reply("subscribed");
    viewer.send_bytes(&fragments(17));
    assert_eq!(viewer.closed().0, 1008);
}

#[test]
fn a_message_nested_deeper_than_eight_is_a_violation() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    viewer.say(&format!("{}{}", "[".repeat(2_000), "]".repeat(2_000)));
    assert_eq!(viewer.message()["code"], "protocol-violation");
}

#[test]
fn the_33rd_topic_of_a_connection_is_too_many() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.live.limits.subscribe_rate = engine::time::Rate { per_second: 100, burst: 100 };
    config.live.limits.message_rate = engine::time::Rate { per_second: 100, burst: 100 };
    let live = scene.start_with(config);
    let mut viewer = scene.viewer(&live);
    for number in 0..33 {
        let event = uuid(9_000 + number);
        scene.allow(&event);
        viewer.subscribe(&event, "");
        let reply = viewer.message();
        if number < 32 {
            assert_eq!(reply["type"], "subscribed", "{number}: {reply}");
        } else {
            assert_eq!(reply["code"], "too-many-topics", "{reply}");
        }
    }
    let first = uuid(9_000);
    viewer.unsubscribe(&first, "");
    viewer.reply("unsubscribed");
    viewer.subscribe(&uuid(9_032), "");
    viewer.reply("subscribed");
}

#[test]
fn more_than_twenty_subscribes_at_once_are_rate_limited() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    // Ten refusals in a row would be too many violations.
    for _ in 0..28 {
        viewer.subscribe(EVENT, "x");
    }
    let replies: Vec<_> = (0..28).map(|_| viewer.message()).collect();
    let served = replies.iter().filter(|reply| reply["type"] == "subscribed").count();
    assert!((20..26).contains(&served), "{served} of 28");
    let refused = replies.iter().filter(|reply| reply["code"] == "rate-limited").count();
    assert_eq!(served + refused, 28, "each request has its reply");
    assert!(replies.iter().all(|reply| reply["id"] == "x"));
}

#[test]
fn the_21st_connection_of_a_user_is_closed_1013_with_the_reason() {
    let scene = Scene::new();
    let live = scene.start();
    // Who is asked about last is the 21st, so the others must be known.
    let mut kept: Vec<_> = (0..20).map(|_| scene.known_viewer(&live)).collect();
    let (code, reason) = scene.viewer(&live).closed();
    assert_eq!(code, 1013, "{reason}");
    assert!(!reason.is_empty());
    drop(kept.pop());
    // The place is free as soon as the server has seen the end.
    scene.until("a viewer is let in again", || {
        let mut viewer = scene.viewer(&live);
        viewer.subscribe(EVENT, "");
        let heard = viewer.hear_within(Duration::from_secs(5));
        heard.is_ok_and(|heard| heard.is_some_and(|heard| heard.opcode == 1))
    });
}

#[test]
fn more_connections_than_an_address_may_have_are_refused() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.live.limits.viewers_per_address_max = 3;
    let live = scene.start_with(config);
    let kept: Vec<_> = (0..3).map(|_| scene.viewer(&live)).collect();
    assert!(scene.is_refused(&live), "the fourth from one address");
    drop(kept);
}

#[test]
fn topic_and_id_are_at_most_64_bytes() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    viewer.subscribe(EVENT, &"x".repeat(64));
    viewer.reply("subscribed");
    viewer.subscribe(EVENT, &"x".repeat(65));
    assert_eq!(viewer.message()["code"], "protocol-violation");
    viewer.say(&json!({"type": "subscribe", "topic": "x".repeat(65)}).to_string());
    assert_eq!(viewer.message()["type"], "error");
}

#[test]
fn every_limit_is_shown_as_used_and_allowed() {
    let scene = Scene::new();
    let live = scene.start();
    let status = scene.page(&live, "/statusz");
    for name in ["LIVE_VIEWERS_MAX", "LIVE_VIEWERS_PER_USER_MAX", "LIVE_VIEWERS_PER_ADDRESS_MAX"] {
        assert!(status.contains(name), "{name} is missing in {status}");
    }
}
