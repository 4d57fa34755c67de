//! Strangers at the door: forged lines, random cookies, the wrong port.

use std::net::{Ipv4Addr, TcpStream};

use pitwall::config::Network;
use serde_json::Value;
use tests::client::{Client, page};
use tests::scene::{EVENT, Mood, Scene};

#[test]
fn t5_nothing_that_strangers_send_forges_or_floods_the_log() {
    let scene = Scene::new();
    let live = scene.start();
    let cookie = Scene::cookie(1);
    let long = "o".repeat(8_000);
    let forged = "http://x\",\"level\":\"error\",\"msg\":\"forged \u{1b}[2J\u{9b}31m";
    for origin in [forged, "\u{202e}http://x", &*long] {
        let headers = [("Cookie", &*cookie), ("Origin", origin), ("User-Agent", origin)];
        let (status, _) = Client::connect(live.address, &headers).unwrap_err();
        assert!([400, 403].contains(&status), "{status}");
    }
    // The line breaks of a forger end the header, and what follows is none.
    let broken =
        "GET /ws-live HTTP/1.1\r\nHost: live.test\r\nOrigin: x\r\n{\"msg\":\"forged\"}\r\n\r\n";
    let stream = TcpStream::connect(live.address).unwrap();
    assert_eq!(Client::with_request(stream, broken.as_bytes()).unwrap_err().0, 400);
    let mut viewer = scene.viewer(&live);
    let topic = "event:\n{\"msg\":\"forged\"}";
    viewer.say(&serde_json::json!({"type": "subscribe", "topic": topic}).to_string());
    assert_eq!(viewer.message()["type"], "error");
    let log = live.log();
    assert!(log.contains("an origin is not allowed"), "the test has reached the log: {log}");
    for line in log.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert_ne!(value["msg"], "forged");
        assert_eq!(value["service"], "pitwall");
        assert!(line.len() < 2_000 && !line.chars().any(char::is_control), "{line}");
    }
}

#[test]
fn t3_viewers_who_reach_the_proxy_without_tls_are_warned_of_once() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.live.access.trusted_proxies =
        vec![Network { address: Ipv4Addr::LOCALHOST.into(), prefix_bits: 32 }];
    config.live.access.allow_missing_origin = Some(true);
    let live = scene.start_with(config);
    let warnings = || live.log().matches("a proxy passes on connections without TLS").count();
    for scheme in ["https", "wss"] {
        let mut viewer = scene.viewer_with(&live, &[("X-Forwarded-Proto", scheme)]);
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
    }
    assert_eq!(warnings(), 0, "{}", live.log());
    for scheme in ["http", "ws"] {
        let mut viewer = scene.viewer_with(&live, &[("X-Forwarded-Proto", scheme)]);
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
        assert_eq!(warnings(), 1, "{}", live.log());
    }
}

#[test]
fn t12_random_cookies_make_no_more_calls_than_allowed_and_keep_nobody_out_for_long() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.live.limits.calls_max = 4;
    config.live.limits.queue_ms_max = 500;
    config.directus.auth_timeout_ms = 1_000;
    config.live.limits.half_open_per_address_max = 50;
    let live = scene.start_with(config);
    scene.authority.knowledge().mood = Mood::Mute;
    let mut crowd = Vec::new();
    for number in 0..100 {
        let cookie = format!("directus_session_token=random{number}");
        // Those beyond the limit of the address are shed without an answer.
        crowd.extend(Client::connect(live.address, &[("Cookie", &cookie)]).ok());
    }
    for mut viewer in crowd {
        // The first ones wait for Directus, the others for their turn.
        assert_eq!(viewer.closed().0, 1013, "a failure is no logout");
    }
    let calls = scene.identity_calls();
    assert!(calls <= 40, "{calls} calls for 100 cookies");
    scene.until("all are forgotten", || {
        scene.metric(&live, "processor_live_half_open") == Some(0.0)
    });
    scene.authority.knowledge().mood = Mood::Well;
    let mut viewer = scene.viewer(&live);
    viewer.subscribe(EVENT, "");
    viewer.reply("subscribed");
}

#[test]
fn t34_the_two_ports_show_nothing_of_each_other() {
    let scene = Scene::new();
    let live = scene.start();
    for path in ["/metrics", "/readyz", "/healthz", "/statusz", "/debug/flamegraph?seconds=1"] {
        let answer = page(live.address, path);
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(!answer.contains("processor_"), "{path}: {answer}");
    }
    let headers = [("Cookie", &*Scene::cookie(1))];
    let (status, head) = Client::connect(live.admin, &headers).unwrap_err();
    assert_eq!(status, 404, "{head}");
    assert_eq!(scene.identity_calls(), 0, "nobody was asked");
}
