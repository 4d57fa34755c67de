//! 1.5 Authorization, once per subscribe, never per record.

use std::time::{Duration, Instant};

use pitwall::config::Authority;
use tests::client::Client;
use tests::entries::Fix;
use tests::platform::{remove_member, set_user_status, uuid};
use tests::scene::{DEVICE, EVENT, EVENT_OTHER, Mood, Scene};

/// What a subscribe to an event is answered with: its type, or its error's code.
fn answer(viewer: &mut Client, event: &str) -> String {
    viewer.subscribe(event, "");
    let reply = viewer.message();
    let kind = if reply["type"] == "error" { &reply["code"] } else { &reply["type"] };
    kind.as_str().unwrap().to_owned()
}

#[test]
fn directus_decides_allow_forbidden_not_found_or_error() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    assert_eq!(answer(&mut viewer, EVENT), "subscribed");
    assert_eq!(answer(&mut viewer, EVENT_OTHER), "forbidden");
    let missing = uuid(404);
    scene.authority.knowledge().missing.insert(missing.clone());
    assert_eq!(answer(&mut viewer, &missing), "not-found");
    for (number, mood) in (0..).zip([
        Mood::Always(401, "{}".to_owned()),
        Mood::Always(302, "{}".to_owned()),
        Mood::Always(500, "{}".to_owned()),
        Mood::Always(200, "<html>".to_owned()),
        Mood::Cuts,
    ]) {
        scene.authority.knowledge().mood = mood.clone();
        assert_eq!(answer(&mut viewer, &uuid(7_000 + number)), "error", "{mood:?}");
    }
}

#[test]
fn t15_a_member_is_allowed_and_strangers_learn_nothing_where_the_table_decides() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.live.access.authority = Authority::Membership;
    let live = scene.start_with(config);
    let mut viewer = scene.known_viewer(&live);
    // The table is asked, not Directus.
    scene.authority.knowledge().mood = Mood::Cuts;
    assert_eq!(answer(&mut viewer, EVENT), "subscribed");
    viewer.subscribe(EVENT_OTHER, "");
    let foreign = viewer.message();
    viewer.subscribe(&uuid(404), "");
    let missing = viewer.message();
    assert_eq!(foreign["code"], "forbidden");
    assert_eq!((&foreign["code"], &foreign["message"]), (&missing["code"], &missing["message"]));
}

#[test]
fn the_reply_comes_within_5_s_whatever_directus_does() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.known_viewer(&live);
    scene.authority.knowledge().mood = Mood::Mute;
    let began = Instant::now();
    assert_eq!(answer(&mut viewer, &uuid(8_000)), "error");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn t3_no_position_makes_a_call() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    assert_eq!(answer(&mut viewer, EVENT), "subscribed");
    let before = scene.authority.knowledge().requests.len();
    let began_ms = scene.now_ms();
    for at in 0..200 {
        scene.publish(&Fix::new(DEVICE, began_ms + at));
    }
    for _ in 0..200 {
        viewer.message();
    }
    assert_eq!(scene.authority.knowledge().requests.len(), before);
}

#[test]
fn f55_a_storm_of_subscribes_of_one_user_makes_one_call() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewers: Vec<_> = (0..20).map(|_| scene.viewer(&live)).collect();
    for viewer in &mut viewers {
        viewer.subscribe(EVENT, "");
    }
    for viewer in &mut viewers {
        viewer.reply("subscribed");
    }
    assert_eq!(scene.authority.count("/items/events/"), 1);
}

#[test]
fn f57_who_is_no_member_any_more_gets_forbidden_and_unsubscribed() {
    let mut scene = Scene::new();
    let mut config = scene.config();
    config.live.access.revalidate_ms = 500;
    let live = scene.start_with(config);
    let (mut leaver, mut stayer) = (scene.viewer(&live), scene.viewer_of_other(&live));
    assert_eq!(answer(&mut leaver, EVENT), "subscribed");
    assert_eq!(answer(&mut stayer, EVENT_OTHER), "subscribed");
    let calls = scene.authority.knowledge().requests.len();
    scene.wait_for_revalidation(&live);
    scene.sql(async |client| remove_member(client, &uuid(101), &uuid(1)).await);
    assert_eq!(leaver.reply("error")["code"], "forbidden");
    leaver.reply("unsubscribed");
    let fix = Fix::new(tests::scene::DEVICE_SHARED, scene.now_ms());
    scene.publish(&fix);
    assert_eq!(stayer.message()["ts"], fix.ts_ms, "the other organization's are not touched");
    leaver.hears_nothing_for(Duration::from_millis(300));
    let after = scene.authority.knowledge().requests.len();
    assert_eq!(calls, after, "asked in SQL, never by replaying the cookie");
}

#[test]
fn f58_an_inactive_user_is_closed_4401() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.live.access.revalidate_ms = 500;
    let live = scene.start_with(config);
    let mut viewer = scene.viewer(&live);
    assert_eq!(answer(&mut viewer, EVENT), "subscribed");
    scene.sql(async |client| set_user_status(client, &uuid(1), "suspended").await);
    assert_eq!(viewer.closed().0, 4401);
}

#[test]
fn f60_if_the_database_cannot_be_asked_subscriptions_are_kept() {
    let mut scene = Scene::new();
    let mut config = scene.config();
    config.live.access.revalidate_ms = 300;
    let live = scene.start_with(config);
    let mut viewer = scene.viewer(&live);
    assert_eq!(answer(&mut viewer, EVENT), "subscribed");
    scene.stop_postgres();
    viewer.hears_nothing_for(Duration::from_secs(2));
    let fix = scene.publish_next();
    assert_eq!(viewer.message()["ts"], fix.ts_ms);
}
