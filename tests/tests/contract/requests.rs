//! 1.3 What clients say, and 1.4 which error and close codes answer it.

use serde_json::json;
use tests::scene::{EVENT, EVENT_EMPTY, Scene};

#[test]
fn several_topics_on_one_connection_are_allowed() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    viewer.subscribe(EVENT, "a");
    viewer.subscribe(EVENT_EMPTY, "b");
    for (id, event) in [("a", EVENT), ("b", EVENT_EMPTY)] {
        let reply = viewer.reply("subscribed");
        assert_eq!((&reply["id"], &reply["topic"]), (&json!(id), &json!(format!("event:{event}"))));
    }
}

#[test]
fn subscribing_twice_gives_a_fresh_snapshot_and_one_registration() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    viewer.subscribe(EVENT, "1");
    viewer.subscribe(EVENT, "2");
    assert_eq!(viewer.reply("subscribed")["id"], "1");
    assert_eq!(viewer.reply("subscribed")["id"], "2");
    let first = scene.publish_next();
    assert_eq!(viewer.message()["ts"], first.ts_ms);
    viewer.subscribe(EVENT, "3");
    let third = viewer.message();
    assert_eq!(third["type"], "subscribed", "the position came once, not twice");
    assert_eq!(third["snapshot"][0]["ts"], first.ts_ms);
}

#[test]
fn unknown_fields_types_and_malformed_json_get_protocol_violation_and_the_connection_stays() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    for text in [
        "",
        "null",
        "[]",
        "42",
        "{}",
        "{\"type\":1}",
        "{\"type\":\"Subscribe\",\"topic\":\"event:x\"}",
        "{\"type\":\"position\"}",
        "{\"type\":\"subscribe\"}",
        "not json",
        "{\"type\":\"subscribe\",\"topic\":\"event:x\",\"more\":1}",
    ] {
        viewer.say(text);
        let reply = viewer.message();
        assert_eq!(
            (&reply["type"], &reply["code"]),
            (&json!("error"), &json!("protocol-violation")),
            "{text}"
        );
        assert!(reply["message"].as_str().unwrap().ends_with('.'), "one plain sentence: {reply}");
        // Not ten in a row.
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
    }
}

#[test]
fn ten_violations_in_a_row_close_1008() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    for _ in 0..10 {
        viewer.say("{}");
    }
    assert_eq!(viewer.closed().0, 1008);
}

#[test]
fn a_topic_that_is_not_an_event_and_a_uuid_is_unknown() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    for topic in [
        "event:",
        "event:*",
        "event:not-a-uuid",
        "race:00000000-0000-4000-8000-000000000001",
        " event:00000000-0000-4000-8000-000000000001",
        "event:{00000000-0000-4000-8000-000000000001}",
        "event:00000000-0000-4000-8000-000000000001/../x",
    ] {
        viewer.say(&json!({"type": "subscribe", "topic": topic, "id": "x"}).to_string());
        let reply = viewer.message();
        assert_eq!(reply["code"], "unknown-topic", "{topic}: {reply}");
        assert_eq!((&reply["topic"], &reply["id"]), (&json!(topic), &json!("x")));
    }
}

#[test]
fn id_is_echoed_exactly_when_the_request_had_one() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    let odd = "\u{1F3C1} \"quoted\" \\ \u{7}";
    for id in ["", "x", odd] {
        viewer.subscribe(EVENT, id);
        let subscribed = viewer.reply("subscribed");
        viewer.unsubscribe(EVENT, id);
        let unsubscribed = viewer.reply("unsubscribed");
        for reply in [subscribed, unsubscribed] {
            let expected = (!id.is_empty()).then(|| json!(id));
            assert_eq!(reply.get("id"), expected.as_ref(), "{reply}");
        }
    }
}

#[test]
fn after_unsubscribed_no_frame_of_that_topic_follows() {
    let mut scene = Scene::new();
    let live = scene.start();
    let (mut leaver, mut stayer) = (scene.viewer(&live), scene.viewer(&live));
    for viewer in [&mut leaver, &mut stayer] {
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
    }
    leaver.unsubscribe(EVENT, "bye");
    leaver.reply("unsubscribed");
    let fix = scene.publish_next();
    assert_eq!(stayer.message()["ts"], fix.ts_ms);
    leaver.subscribe(EVENT_EMPTY, "fence");
    assert_eq!(leaver.message()["id"], "fence", "nothing came in between");
}
