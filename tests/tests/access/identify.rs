//! Who holds a cookie: the answer table, single flight, reuse, and the bounds of all that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pitwall::live::access::Identity;
use pitwall::live::session::Cookie;
use pitwall::status::State;
use tests::directus::{Kind, Mode};

use crate::world::{World, known};

const COOKIE: &str = "theme=dark; directus_session_token=aaa.bbb.ccc; x=\"y z\"; ü=é";
const USER: &str = "6f1b1e8a-3c52-4e0e-9a41-0d7f5c1b2a3d";

/// What the mode of the stub makes of a cookie that is good otherwise.
async fn check(modes: &[Mode], expected: fn(&Identity) -> bool) {
    let world = World::start("postgres://nobody@127.0.0.1:1/none", |config| {
        config.directus.auth_timeout_ms = 300;
    });
    for (number, mode) in modes.iter().enumerate() {
        let cookie = format!("session={number}");
        world.directus.log_in(&cookie, USER);
        world.directus.set(mode);
        let identity = world.identify(&cookie).await;
        assert!(expected(&identity), "{mode:?} means {identity:?}");
        assert!(!format!("{identity:?}").contains(&cookie), "a cookie can be printed");
    }
}

#[tokio::test]
async fn without_a_cookie_nobody_is_asked() {
    let world = World::without_database();
    for cookie in [None, Some(Cookie::new(b"")), Some(Cookie::new(b"  "))] {
        assert!(matches!(world.access.identify(cookie).await, Identity::Unauthorized));
    }
    assert_eq!(world.directus.call_count(Kind::Identity), 0);
}

#[tokio::test]
async fn t6_directus_gets_the_whole_cookie_and_nothing_else() {
    let world = World::without_database();
    world.directus.log_in(COOKIE, USER);
    let session = known(world.identify(COOKIE).await);
    assert_eq!(&*session.user_id, USER);
    assert_eq!(session.role.as_deref(), Some("00000000-0000-4000-8000-00000000000a"));
    assert_eq!(session.cookie, Some(Cookie::new(COOKIE.as_bytes())));
    // The stub compares every byte, the headers t8 forbids among them; it has seen one request.
    assert_eq!(world.directus.call_count(Kind::Identity), 1);
}

#[tokio::test]
async fn t7_a_cookie_that_would_forge_a_header_is_never_sent() {
    let world = World::without_database();
    for cookie in ["a=1\r\nX-Forged: 1", "a=1\n", "a=\0", "a=\r", "a=1\r\n\r\nGET /", "a=\x7f"] {
        let identity = world.identify(cookie).await;
        assert!(matches!(identity, Identity::Unavailable), "{cookie:?} means {identity:?}");
    }
    assert_eq!(world.directus.call_count(Kind::Identity), 0);
}

#[tokio::test]
async fn f52_a_broken_directus_is_unavailable_and_never_a_logout() {
    let statuses = [204, 301, 400, 404, 408, 418, 425, 429, 500, 502, 503, 504];
    let mut modes: Vec<Mode> = statuses.into_iter().map(Mode::Status).collect();
    modes.extend([
        Mode::Redirects,
        Mode::Body("<!doctype html><title>Sign in</title>".to_owned()),
        Mode::Body("not JSON".to_owned()),
        Mode::Babbles,
        Mode::CutsHead,
        Mode::CutsBody,
        Mode::Drips,
        Mode::Holds,
        Mode::Refuses,
    ]);
    check(&modes, |identity| matches!(identity, Identity::Unavailable)).await;
}

#[tokio::test]
async fn t33_a_hostile_directus_gets_no_memory_and_no_user() {
    let modes = [
        Mode::LongBody,
        Mode::EndlessBody,
        Mode::Compressed,
        Mode::LongHead,
        Mode::ManyHeaders,
        Mode::Body("[".repeat(60_000)),
        Mode::Body(r#"{"data":{"id":7}}"#.to_owned()),
        Mode::Body(r#"{"data":{"id":""}}"#.to_owned()),
        Mode::Body(r#"{"data":{}}"#.to_owned()),
        Mode::Body(format!(r#"{{"data":{{"id":"{}"}}}}"#, "u".repeat(10_000))),
    ];
    check(&modes, |identity| matches!(identity, Identity::Unavailable)).await;
}

#[tokio::test]
async fn f53_401_403_and_no_data_are_nobody() {
    let modes = [Mode::Status(401), Mode::Status(403), Mode::Body(r#"{"data":null}"#.to_owned())];
    check(&modes, |identity| matches!(identity, Identity::Unauthorized)).await;
}

#[tokio::test]
async fn t13_a_failure_is_not_remembered_and_a_logout_only_for_its_own_cookie() {
    let world = World::without_database();
    world.directus.log_in("good=1", USER);
    for mode in [Mode::Status(500), Mode::Refuses] {
        world.directus.set(&mode);
        assert!(matches!(world.identify("good=1").await, Identity::Unavailable));
    }
    world.directus.set(&Mode::Knows);
    assert!(matches!(world.identify("good=1 ").await, Identity::Unauthorized));
    known(world.identify("good=1").await);
}

#[tokio::test]
async fn t13_nobody_is_asked_again_within_two_seconds_but_then() {
    let world = World::without_database();
    assert!(matches!(world.identify("a=1").await, Identity::Unauthorized));
    let (began, mut looks) = (Instant::now(), tokio::time::interval(Duration::from_millis(20)));
    world.directus.log_in("a=1", USER);
    while !matches!(world.identify("a=1").await, Identity::Known(_)) {
        assert_eq!(world.directus.call_count(Kind::Identity), 1);
        looks.tick().await;
    }
    let took = began.elapsed();
    assert!((1_900..4_000).contains(&took.as_millis()), "it took {took:?}");
}

#[tokio::test]
async fn t24_a_logged_out_user_is_known_for_five_seconds_at_most() {
    let world = World::without_database();
    world.directus.log_in("a=1", USER);
    known(world.identify("a=1").await);
    let (began, mut looks) = (Instant::now(), tokio::time::interval(Duration::from_millis(20)));
    world.directus.log_out("a=1");
    while matches!(world.identify("a=1").await, Identity::Known(_)) {
        looks.tick().await;
    }
    let took = began.elapsed();
    assert!(took < Duration::from_millis(5_500), "it took {took:?}");
    assert_eq!(world.directus.call_count(Kind::Identity), 2);
}

#[tokio::test]
async fn f54_a_thousand_with_one_cookie_make_one_call() {
    let world = World::without_database();
    world.directus.log_in(COOKIE, USER);
    world.directus.set(&Mode::Holds);
    let ask = || {
        let access = world.access.clone();
        let cookie = Cookie::new(COOKIE.as_bytes());
        tokio::spawn(async move { access.identify(Some(cookie)).await })
    };
    let tasks: Vec<_> = (0..1_000).map(|_| ask()).collect();
    world.directus.called(1).await;
    // The first to ask leaves; the others get their answer.
    tasks[0].abort();
    world.directus.set(&Mode::Knows);
    let mut sessions = Vec::new();
    for task in tasks.into_iter().skip(1) {
        sessions.push(known(task.await.unwrap()));
    }
    assert!(sessions.iter().all(|session| Arc::ptr_eq(session, &sessions[0])));
    assert_eq!(world.directus.call_count(Kind::Identity), 1);
    assert_eq!(world.metric("processor_live_access_joined_total{kind=\"identity\"}"), 999);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f54_a_race_start_makes_a_call_for_each_cookie_and_32_at_once() {
    let world = World::without_database();
    for cookie in 0..800 {
        world.directus.log_in(&format!("session={cookie}"), USER);
    }
    let mut tasks = Vec::new();
    for connection in 0..5_000 {
        let access = world.access.clone();
        let cookie = Cookie::new(format!("session={}", connection % 800).as_bytes());
        tasks.push(tokio::spawn(async move { access.identify(Some(cookie)).await }));
    }
    for task in tasks {
        known(task.await.unwrap());
    }
    let calls = world.directus.call_count(Kind::Identity);
    assert!(calls <= 800, "{calls} calls");
    assert!(world.directus.in_flight_max() <= 32, "{} at once", world.directus.in_flight_max());
    assert!(world.directus.connection_count() <= 32);
}

#[tokio::test]
async fn t12_who_waits_too_long_for_a_turn_is_sent_away_without_a_call() {
    let world = World::start("postgres://nobody@127.0.0.1:1/none", |config| {
        config.live.limits.calls_max = 1;
        config.live.limits.queue_ms_max = 50;
    });
    world.directus.log_in("a=1", USER);
    world.directus.set(&Mode::Holds);
    let access = world.access.clone();
    let first = tokio::spawn(async move { access.identify(Some(Cookie::new(b"a=1"))).await });
    world.directus.called(1).await;
    assert!(matches!(world.identify("a=2").await, Identity::Unavailable));
    world.directus.set(&Mode::Knows);
    known(first.await.unwrap());
    assert_eq!(world.directus.call_count(Kind::Identity), 1);
    assert_eq!(world.metric("processor_live_directus_queue_timeouts_total"), 1);
}

#[tokio::test]
async fn t12_who_has_gone_before_its_turn_is_not_asked_about() {
    let world = World::start("postgres://nobody@127.0.0.1:1/none", |config| {
        config.live.limits.calls_max = 1;
    });
    world.directus.log_in("a=1", USER);
    world.directus.log_in("a=3", USER);
    world.directus.set(&Mode::Holds);
    let identify = |cookie: &'static [u8]| {
        let access = world.access.clone();
        tokio::spawn(async move { access.identify(Some(Cookie::new(cookie))).await })
    };
    let first = identify(b"a=1");
    world.directus.called(1).await;
    let second = identify(b"a=2");
    tokio::task::yield_now().await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    world.directus.set(&Mode::Knows);
    known(first.await.unwrap());
    known(world.identify("a=3").await);
    assert_eq!(world.directus.call_count(Kind::Identity), 2);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_nobody_their_answer() {
    let world = World::without_database();
    let cookies: Vec<String> = (0..20).map(|number| format!("a={number}")).collect();
    for cookie in &cookies {
        world.directus.log_in(cookie, USER);
    }
    for cookie in &cookies[..5] {
        known(world.identify(cookie).await);
    }
    assert_eq!(world.directus.connection_count(), 1);
    world.directus.set(&Mode::Forgets);
    for cookie in &cookies[5..15] {
        known(world.identify(cookie).await);
    }
    assert_eq!(world.metric("processor_live_directus_repeated_calls_total"), 10);
    world.directus.set(&Mode::Refuses);
    assert!(matches!(world.identify("a=x").await, Identity::Unavailable));
    world.directus.set(&Mode::Knows);
    for cookie in &cookies[15..] {
        known(world.identify(cookie).await);
    }
}

#[tokio::test]
async fn f52_what_is_wrong_with_directus_and_what_that_means_is_told() {
    let world = World::without_database();
    world.directus.log_in("a=1", USER);
    world.directus.set(&Mode::Status(503));
    world.identify("a=1").await;
    let report = world.component("directus", State::Impaired).await;
    assert!(report.reason.contains("broken or overloaded"), "{report:?}");
    assert!(report.effect.contains("who is connected is not touched"), "{report:?}");
    world.directus.set(&Mode::Knows);
    known(world.identify("a=1").await);
    world.component("directus", State::Working).await;
    assert!(world.context.status.is_ready(), "nobody is turned away because Directus is down");
}

#[tokio::test]
async fn t4_no_cookie_is_shown_anywhere() {
    let world = World::without_database();
    world.directus.log_in("good=canary-7f3a", USER);
    known(world.identify("good=canary-7f3a").await);
    world.identify("bad=canary-7f3a").await;
    world.directus.set(&Mode::Refuses);
    world.identify("down=canary-7f3a").await;
    world.identify("forged=canary-7f3a\r\n").await;
    world.component("directus", State::Impaired).await;
    let shown = world.everything_shown();
    assert!(shown.contains("directus"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
}
