//! Users who want more than their share, or what is not theirs.

use tests::client::Client;
use tests::platform::uuid;
use tests::scene::{EVENT, EVENT_OTHER, Scene, metric_sum};

#[test]
fn t11_who_connects_and_never_subscribes_counts_like_everybody_else() {
    let scene = Scene::new();
    let live = scene.start();
    let mut idle: Vec<Client> = (0..20).map(|_| scene.known_viewer(&live)).collect();
    assert_eq!(scene.viewer(&live).closed().0, 1013, "the user's places are taken");
    scene.until("they are counted", || {
        metric_sum(live.admin, "processor_live_viewers") == Some(20.0)
    });
    let mut other = scene.viewer_at(live.address, 2);
    other.subscribe(EVENT, "");
    other.reply("subscribed");
    for viewer in &mut idle {
        viewer.subscribe(EVENT, "at last");
        viewer.reply("subscribed");
    }
}

#[test]
fn t16_event_ids_cannot_be_guessed_by_asking() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    let mut words = Vec::new();
    // One that exists, and one that does not.
    for event in [EVENT_OTHER, &uuid(4_711)] {
        viewer.subscribe(event, "");
        let mut reply = viewer.reply("error");
        assert_eq!(reply["code"], "forbidden");
        reply.as_object_mut().unwrap().remove("topic");
        words.push(reply);
    }
    assert_eq!(words[0], words[1], "word for word the same");
    // Whoever goes on is slowed down, and then sent away.
    let asked = scene.authority.count("/items/events");
    for number in 0..200 {
        viewer.subscribe(&uuid(5_000 + number), "");
    }
    assert_eq!(viewer.closed().0, 1008);
    let asked = scene.authority.count("/items/events") - asked;
    assert!(asked <= 25, "{asked} of 200 were looked up");
}

#[test]
fn t17_a_flood_of_subscribes_is_limited_and_then_closed_and_others_are_served() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut beside = scene.viewer_at(live.address, 2);
    beside.subscribe(EVENT, "");
    beside.reply("subscribed");
    let mut flood = scene.viewer(&live);
    for _ in 0..20 {
        flood.subscribe(EVENT, "again");
    }
    for _ in 0..20 {
        assert_eq!(flood.reply("subscribed")["id"], "again");
    }
    for _ in 0..25 {
        flood.subscribe(EVENT, "too many");
    }
    let (mut served, mut limited) = (0, 0);
    let code = loop {
        let heard = flood.hear().expect("a close before the end");
        if heard.opcode == 8 {
            break u16::from_be_bytes([heard.payload[0], heard.payload[1]]);
        }
        let reply: serde_json::Value = serde_json::from_slice(&heard.payload).unwrap();
        served += u32::from(reply["type"] == "subscribed");
        limited += u32::from(reply["code"] == "rate-limited");
    };
    assert_eq!(code, 1008);
    assert!(served <= 10 && limited >= 9, "{served} served, {limited} limited");
    assert_eq!(scene.authority.count("/items/events"), 2, "one look-up for each user");
    let fix = scene.publish_next();
    assert_eq!(beside.message()["ts"], fix.ts_ms);
}

#[test]
fn t22_one_users_tabs_do_not_take_another_users_places() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.live.limits.viewers_per_user_max = 3;
    config.live.limits.viewers_per_address_max = 5;
    let live = scene.start_with(config);
    let _tabs: Vec<Client> = (0..3).map(|_| scene.known_viewer(&live)).collect();
    let (code, reason) = scene.viewer(&live).closed();
    assert!(code == 1013 && reason.contains("of this user"), "{code} {reason}");
    let mut others: Vec<Client> = Vec::new();
    for user in [2, 3] {
        let mut other = scene.viewer_at(live.address, user);
        other.unsubscribe(EVENT, "");
        other.reply("unsubscribed");
        others.push(other);
    }
    let (code, reason) = scene.viewer_at(live.address, 4).closed();
    assert!(code == 1013 && reason.contains("from this address"), "{code} {reason}");
}
