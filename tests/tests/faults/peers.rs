//! Broken and hostile peers: silent, deaf, half gone, out of protocol. They cost only themselves.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use tests::client::{Client, masked};
use tests::live::Live;
use tests::proxy::Proxy;
use tests::scene::{EVENT, Scene, metric, metric_sum};

use tests::child::Pitwall;

/// A viewer and somebody beside it, who must be served whatever the first one does.
fn both(scene: &Scene, live: &Live) -> (Client, Client) {
    (scene.known_viewer(live), scene.known_viewer(live))
}

fn is_served(viewer: &mut Client) {
    viewer.subscribe(EVENT, "still here");
    assert_eq!(viewer.reply("subscribed")["id"], "still here");
}

#[test]
fn f64_a_viewer_that_vanishes_without_a_word_is_cut_and_its_files_are_closed() {
    let scene = Scene::new();
    let process = Pitwall::start(&scene, &[("LIVE_WS_PING_INTERVAL_MS", "1000")]);
    process.warm_up(&scene);
    let files = process.open_files();
    let proxy = Proxy::to(process.live.port());
    let address = (std::net::Ipv4Addr::LOCALHOST, proxy.port()).into();
    // One after the other, so that one connection to Directus is enough for all of them.
    let known = |user| {
        let mut viewer = scene.viewer_at(address, user);
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
        viewer
    };
    let vanished: Vec<Client> = (1..=10).map(known).collect();
    // Its proxy keeps the connection, but nothing passes any more.
    proxy.hold();
    let silent = "processor_live_viewer_inputs_total{what=\"silent\"}";
    scene.wait_for_metric(process.admin, silent, 10);
    scene.until("nothing is left", || {
        metric_sum(process.admin, "processor_live_viewers") == Some(0.0)
            && metric_sum(process.admin, "processor_live_users") == Some(0.0)
    });
    // That one, and a session of the database that began late.
    process.closes_files(&scene, files + 2);
    drop(vanished);
}

#[test]
fn f66_a_reset_a_half_close_and_an_ignored_close_leave_no_file_open() {
    let scene = Scene::new();
    let process = Pitwall::start(&scene, &[]);
    process.warm_up(&scene);
    let is_empty = || metric_sum(process.admin, "processor_live_viewers") == Some(0.0);
    let files = process.open_files();
    let subscribed = |user| {
        let mut viewer = scene.viewer_at(process.live, user);
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
        viewer
    };
    for user in 1..=10 {
        // In the middle of a frame.
        let mut reset = subscribed(user);
        reset.send_bytes(&masked(0x81, &[b' '; 1_000])[..500]);
        let linger = Some(Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(reset.stream(), linger).unwrap();
        drop(reset);
    }
    let mut half_closed: Vec<Client> = (11..=20).map(subscribed).collect();
    for viewer in &mut half_closed {
        viewer.stream().shutdown(Shutdown::Write).unwrap();
    }
    let mut ignoring: Vec<Client> = (21..=30).map(subscribed).collect();
    for viewer in &mut ignoring {
        viewer.send(2, b"binary");
        let heard = viewer.hear().unwrap();
        assert_eq!((heard.opcode, &heard.payload[..2]), (8, &1003_u16.to_be_bytes()[..]));
    }
    let began = Instant::now();
    scene.until("nobody is left", is_empty);
    process.closes_files(&scene, files + 2);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop((half_closed, ignoring));
}

#[test]
fn t10_who_never_ends_its_head_is_cut_in_time_and_others_get_in() {
    let scene = Scene::new();
    let mut config = scene.config();
    config.live.limits.head_timeout_ms = 500;
    let live = scene.start_with(config);
    let began = Instant::now();
    let mut slow: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(live.address).unwrap();
            // Half of them say nothing at all.
            let bytes: &[u8] = if number % 2 == 0 { b"" } else { b"GET /ws-live HTTP/1.1\r\nHo" };
            stream.write_all(bytes).unwrap();
            stream
        })
        .collect();
    is_served(&mut scene.viewer(&live));
    for stream in &mut slow {
        let mut answer = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    scene.until("they are forgotten", || {
        metric(live.admin, "processor_live_half_open") == Some(0.0)
    });
}

#[test]
fn t18_a_giant_a_flood_and_tiny_fragments_end_only_who_sends_them() {
    let scene = Scene::new();
    let live = scene.start();
    let giant = {
        let mut bytes = vec![0x81, 0xff];
        bytes.extend((1_u64 << 40).to_be_bytes());
        bytes.extend([0; 4]);
        bytes
    };
    let fragments: Vec<u8> = std::iter::once(masked(0x01, b"{"))
        .chain((0..10_000).map(|_| masked(0x00, b"")))
        .flatten()
        .collect();
    let pings: Vec<u8> = (0..1_000).flat_map(|_| masked(0x89, b"x")).collect();
    let messages: Vec<u8> = (0..1_000).flat_map(|_| masked(0x81, b"{}")).collect();
    for (what, bytes, code) in [
        ("a giant", giant, 1009),
        ("fragments", fragments, 1008),
        ("pings", pings, 1008),
        ("messages", messages, 1008),
    ] {
        let (mut viewer, mut beside) = both(&scene, &live);
        // It may be cut before all of it is sent.
        viewer.stream().write_all(&bytes).ok();
        assert_eq!(close_code(&mut viewer), Some(code), "{what}");
        is_served(&mut beside);
    }
}

/// The code of the close that comes after whatever else; `None` when none does.
fn close_code(viewer: &mut Client) -> Option<u16> {
    loop {
        let heard = viewer.hear()?;
        if heard.opcode == 8 {
            return Some(u16::from_be_bytes([heard.payload[0], heard.payload[1]]));
        }
    }
}

#[test]
fn t19_compression_is_never_agreed_on_and_a_compressed_frame_closes_1002() {
    let scene = Scene::new();
    let live = scene.start();
    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")];
    let mut viewer = scene.viewer_with(&live, &offer);
    assert!(!viewer.head.to_ascii_lowercase().contains("extensions"), "{}", viewer.head);
    // A bomb of a few bytes, were it unpacked.
    viewer.send_bytes(&masked(0xc1, &[0xec, 0xc0, 0x01, 0x01, 0, 0, 0, 0x80, 0x90, 0xfe]));
    assert_eq!(viewer.closed().0, 1002);
}

#[test]
fn t20_hostile_json_is_a_violation_and_the_connection_stays() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    let keys: Vec<String> = (0..400).map(|key| format!("\"k{key}\":0")).collect();
    for text in [
        "[".repeat(4_000),
        "{\"a\":".repeat(800),
        format!("{{{}}}", keys.join(",")),
        format!("{{\"type\":\"subscribe\",\"topic\":{}}}", "9".repeat(3_000)),
        "{\"type\":\"subscribe\",\"topic\":\"a\",\"topic\":\"b\"}".to_owned(),
        "{\"type\":\"subscribe\",\"topic\":\"event:\\ud800\"}".to_owned(),
        "{\"type\":\"subscribe\",\"topic\":1e999999}".to_owned(),
        "\u{feff}{}".to_owned(),
        "{\"type\":\"subscribe\",}".to_owned(),
    ] {
        viewer.say(&text);
        let reply = viewer.message();
        assert_eq!(reply["code"], "protocol-violation", "{text}: {reply}");
        is_served(&mut viewer);
    }
}

#[test]
fn t21_invalid_utf8_unmasked_frames_and_reserved_opcodes_close_as_rfc_6455_says() {
    let scene = Scene::new();
    let live = scene.start();
    for (what, bytes, code) in [
        ("invalid UTF-8", masked(0x81, b"\xff\xfe"), 1007),
        ("an unmasked frame", b"\x81\x02{}".to_vec(), 1002),
        ("a reserved opcode", masked(0x83, b""), 1002),
        ("a reserved control opcode", masked(0x8b, b""), 1002),
        ("a fragmented control frame", masked(0x09, b""), 1002),
        ("a long control frame", masked(0x89, &[0; 126]), 1002),
        ("a stray continuation", masked(0x80, b"x"), 1002),
    ] {
        let (mut viewer, mut beside) = both(&scene, &live);
        viewer.send_bytes(&bytes);
        assert_eq!(viewer.closed().0, code, "{what}");
        is_served(&mut beside);
    }
}
