//! 1.1 Endpoint and transport.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::client::Client;
use tests::entries::Fix;
use tests::scene::{DEVICE, EVENT, Scene};

#[test]
fn the_path_is_ws_live_and_any_other_on_that_listener_is_404() {
    let scene = Scene::new();
    let live = scene.start();
    for path in ["/", "/ws", "/ws-live/", "/healthz", "/metrics", "/readyz"] {
        let stream = TcpStream::connect(live.address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: live.test\r\n\r\n");
        let (status, _) = Client::with_request(stream, request.as_bytes()).unwrap_err();
        assert_eq!(status, 404, "{path}");
    }
    drop(scene.viewer(&live));
}

#[test]
fn a_binary_frame_from_a_client_closes_1003() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    viewer.send(2, b"{}");
    assert_eq!(viewer.closed().0, 1003);
}

#[test]
fn trm_live_v1_is_accepted_and_echoed_when_offered_and_other_offers_are_ignored() {
    let scene = Scene::new();
    let live = scene.start();
    for (offer, echoed) in [
        ("trm.live.v1", true),
        ("other, trm.live.v1", true),
        ("trm.live.v2", false),
        ("mqtt", false),
    ] {
        let viewer = scene.viewer_with(&live, &[("Sec-WebSocket-Protocol", offer)]);
        let head = viewer.head.to_ascii_lowercase();
        assert_eq!(
            head.contains("sec-websocket-protocol: trm.live.v1\r\n"),
            echoed,
            "{offer}: {head}"
        );
        assert_eq!(head.contains("sec-websocket-protocol"), echoed, "{offer}: {head}");
    }
    assert!(!scene.viewer(&live).head.to_ascii_lowercase().contains("sec-websocket-protocol"));
}

#[test]
fn viewers_are_pinged_and_a_peer_whose_pong_is_missing_is_cut() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.live.ping_interval_ms = 5_000;
    let live = scene.start_with(config);
    let (mut heard, mut mute) = (scene.viewer(&live), scene.viewer(&live));
    for _ in 0..2 {
        let ping = heard.hear_within(Duration::from_secs(11)).unwrap().unwrap();
        assert_eq!(ping.opcode, 9);
        heard.send(10, &ping.payload);
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while mute.hear_within(deadline - Instant::now()).unwrap().is_some() {}
    heard.subscribe(EVENT, "still here");
    assert_eq!(heard.reply("subscribed")["id"], "still here");
}

#[test]
fn a_subscribed_connection_that_was_silent_for_45_s_gets_the_newest_position_again() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.watching(&live);
    scene.publish(&Fix::new(DEVICE, scene.now_ms()));
    let first = viewer.message();
    let began = Instant::now();
    let repeated = loop {
        let heard = viewer.hear_within(Duration::from_secs(55)).unwrap().unwrap();
        match heard.opcode {
            1 => break heard,
            _ => viewer.send(10, &heard.payload),
        }
    };
    let seconds = began.elapsed().as_secs();
    assert!((44..56).contains(&seconds), "{seconds} s");
    let repeated: serde_json::Value = serde_json::from_slice(&repeated.payload).unwrap();
    assert_eq!(repeated, first, "unchanged, with the same ts");
}
