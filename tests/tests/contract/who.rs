//! 1.2 Who may connect.

use std::time::{Duration, Instant};

use pitwall::config::Reject;
use tests::client::Client;
use tests::scene::{EVENT, Mood, Scene};

#[test]
fn t1_an_origin_that_is_not_allowed_is_403_before_any_call() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.live.access.allowed_origins = vec!["https://race.test".to_owned()];
    let live = scene.start_with(config);
    let cookie = Scene::cookie(1);
    for origin in ["https://evil.test", "https://race.test.evil", "http://race.test", "null", ""] {
        let headers = [("Cookie", cookie.as_str()), ("Origin", origin)];
        let (status, _) = Client::connect(live.address, &headers).unwrap_err();
        assert_eq!(status, 403, "{origin}");
    }
    assert_eq!(scene.identity_calls(), 0);
    let headers = [("Cookie", cookie.as_str()), ("Origin", "https://race.test")];
    let mut viewer = Client::connect(live.address, &headers).unwrap();
    viewer.subscribe(EVENT, "");
    viewer.reply("subscribed");
}

#[test]
fn without_allowed_origins_the_origin_must_be_the_host() {
    let scene = Scene::new();
    let live = scene.start();
    let cookie = Scene::cookie(1);
    for (origin, allowed) in
        [("http://live.test", true), ("http://other.test", false), ("http://live.test:81", false)]
    {
        let headers = [("Cookie", cookie.as_str()), ("Origin", origin)];
        assert_eq!(Client::connect(live.address, &headers).is_ok(), allowed, "{origin}");
    }
}

#[test]
fn t2_a_missing_origin_is_allowed_only_where_that_is_set() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.live.access.allow_missing_origin = Some(false);
    let live = scene.start_with(config);
    let (status, _) = Client::connect(live.address, &[("Cookie", &Scene::cookie(1))]).unwrap_err();
    assert_eq!(status, 403);
}

#[test]
fn the_entire_cookie_header_is_forwarded_verbatim_and_alone() {
    let scene = Scene::new();
    let live = scene.start();
    let cookie = "a=1; directus_session_token=\"odd, value\";b;;  c=%20";
    let user = tests::platform::uuid(1);
    scene.authority.knowledge().users.insert(cookie.to_owned(), user);
    let headers = [
        ("Cookie", cookie),
        ("Origin", "http://live.test"),
        ("Authorization", "Bearer secret"),
        ("X-Forwarded-For", "10.1.2.3"),
        ("Accept-Language", "de"),
    ];
    let mut viewer = Client::connect(live.address, &headers).unwrap();
    viewer.subscribe(EVENT, "");
    viewer.reply("error");
    let requests = scene.authority.knowledge().requests.clone();
    let port = scene.authority.port;
    let version = env!("CARGO_PKG_VERSION");
    for (request, path) in requests
        .iter()
        .zip(["/users/me".to_owned(), format!("/items/events/{EVENT}?fields=id,organization_id")])
    {
        let mut lines: Vec<String> = request.lines().map(str::to_owned).collect();
        let first = lines.remove(0);
        assert_eq!(first, format!("GET {path} HTTP/1.1"));
        lines.retain(|line| !line.is_empty());
        lines.sort();
        let expected = [
            "accept: application/json".to_owned(),
            format!("cookie: {cookie}"),
            format!("host: 127.0.0.1:{port}"),
            format!("user-agent: pitwall/{version}"),
        ];
        assert_eq!(lines, expected, "only what the contract names");
    }
    assert_eq!(requests.len(), 2);
}

#[test]
fn no_cookie_at_all_closes_4401_without_a_call() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = Client::connect(live.address, &[]).unwrap();
    assert_eq!(viewer.closed().0, 4401);
    assert_eq!(scene.identity_calls(), 0);
}

#[test]
fn f52_f53_each_answer_of_directus_closes_as_the_table_says() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.directus.auth_timeout_ms = 1_000;
    let live = scene.start_with(config);
    let html = "<html>hello</html>".to_owned();
    let huge = format!("{{\"data\":{{\"id\":\"{}\"}}}}", "x".repeat(70_000));
    let json = |text: &str| text.to_owned();
    for (number, (mood, expected)) in (0..).zip([
        (Mood::Always(401, json("{}")), 4401),
        (Mood::Always(403, json("{}")), 4401),
        (Mood::Always(200, json("{\"data\":null}")), 4401),
        (Mood::Always(200, json("{\"data\":{}}")), 1013),
        (Mood::Always(200, json("{\"data\":{\"id\":\"\"}}")), 1013),
        (Mood::Always(200, json("{\"data\":{\"id\":7}}")), 1013),
        (Mood::Always(200, json("[]")), 1013),
        (Mood::Always(200, html.clone()), 1013),
        (Mood::Always(200, huge), 1013),
        (Mood::Always(302, json("{}")), 1013),
        (Mood::Always(404, json("{}")), 1013),
        (Mood::Always(429, json("{}")), 1013),
        (Mood::Always(500, html.clone()), 1013),
        (Mood::Always(502, html.clone()), 1013),
        (Mood::Always(503, html), 1013),
        (Mood::Mute, 1013),
        (Mood::Cuts, 1013),
    ]) {
        let words = format!("{mood:?}").chars().take(60).collect::<String>();
        scene.authority.knowledge().mood = mood;
        // A cookie of its own each, since refusals are remembered for a moment.
        let cookie = format!("token={number}");
        let mut viewer = Client::connect(live.address, &[("Cookie", &cookie)]).unwrap();
        assert_eq!(viewer.closed().0, expected, "{words}");
    }
}

#[test]
fn role_and_names_may_be_absent() {
    let scene = Scene::new();
    let live = scene.start();
    let body = "{\"data\":{\"id\":\"u\"}}".to_owned();
    scene.authority.knowledge().mood = Mood::Always(200, body);
    let mut viewer = scene.viewer(&live);
    viewer.unsubscribe(EVENT, "x");
    viewer.reply("unsubscribed");
}

#[test]
fn f52_who_is_connected_is_untouched_while_directus_is_away() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.watching(&live);
    scene.authority.knowledge().mood = Mood::Cuts;
    let mut newcomer = Client::connect(live.address, &[("Cookie", "other=1")]).unwrap();
    assert_eq!(newcomer.closed().0, 1013);
    let fix = scene.publish_next();
    assert_eq!(viewer.message()["ts"], fix.ts_ms);
    scene.authority.knowledge().mood = Mood::Well;
    let cookie = Scene::cookie(3);
    let mut healed = Client::connect(live.address, &[("Cookie", &cookie)]).unwrap();
    healed.unsubscribe(EVENT, "");
    healed.reply("unsubscribed");
}

#[test]
fn messages_that_arrive_while_directus_is_asked_wait() {
    let scene = Scene::new();
    let live = scene.start();
    let cookie = Scene::cookie(1);
    let request = format!(
        "GET /ws-live HTTP/1.1\r\nHost: live.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Cookie: {cookie}\r\n\r\n"
    );
    let subscribe = format!(r#"{{"type":"subscribe","topic":"event:{EVENT}","id":"early"}}"#);
    let mut bytes = request.into_bytes();
    bytes.extend(tests::client::masked(0x81, subscribe.as_bytes()));
    let stream = std::net::TcpStream::connect(live.address).unwrap();
    let mut viewer = Client::with_request(stream, &bytes).unwrap();
    assert_eq!(viewer.reply("subscribed")["id"], "early");
}

#[test]
fn refusals_are_http_answers_where_that_is_set() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.live.access.reject = Reject::Http;
    let live = scene.start_with(config);
    let status = |cookie: &str| match Client::connect(live.address, &[("Cookie", cookie)]) {
        Ok(_) => 101,
        Err((status, _)) => status,
    };
    assert_eq!(status("nobody=1"), 401);
    assert_eq!(Client::connect(live.address, &[]).unwrap_err().0, 401);
    assert_eq!(status(&Scene::cookie(1)), 101);
    scene.authority.knowledge().mood = Mood::Cuts;
    assert_eq!(status("nobody=2"), 503);
}

#[test]
fn f54_simultaneous_upgrades_with_one_cookie_make_one_call() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewers: Vec<_> = (0..20).map(|_| scene.viewer(&live)).collect();
    for viewer in &mut viewers {
        viewer.unsubscribe(EVENT, "");
        viewer.reply("unsubscribed");
    }
    assert_eq!(scene.identity_calls(), 1);
}

#[test]
fn a_hanging_directus_is_given_up_in_time() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.directus.auth_timeout_ms = 500;
    let live = scene.start_with(config);
    scene.authority.knowledge().mood = Mood::Mute;
    let began = Instant::now();
    assert_eq!(scene.viewer(&live).closed().0, 1013);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn t4_no_cookie_appears_in_the_log_or_on_a_page() {
    let mut scene = Scene::new();
    let live = scene.start();
    let canary = "directus_session_token=canary7391";
    let mut refused = Client::connect(live.address, &[("Cookie", canary)]).unwrap();
    assert_eq!(refused.closed().0, 4401);
    scene.authority.knowledge().mood = Mood::Always(500, "canary7391".to_owned());
    let mut failed = Client::connect(live.address, &[("Cookie", &format!("{canary}b"))]).unwrap();
    assert_eq!(failed.closed().0, 1013);
    scene.publish_next();
    let mut everything = live.log();
    for path in ["/healthz", "/readyz", "/statusz", "/metrics"] {
        everything.push_str(&scene.page(&live, path));
    }
    assert!(everything.len() > 1_000 && !everything.contains("canary7391"), "{everything}");
}
