//! What is refused before anybody is asked, and how the refusal arrives.

use std::io::Write as _;
use std::net::Shutdown;

use pitwall::config::Network;

use super::entrance::{Entrance, is_cut, request, rest};

#[test]
fn every_refusal_is_one_sentence_and_the_last() {
    let entrance = Entrance::new();
    for (request, status, header) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404, ""),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 404, ""),
        ("POST /ws-live HTTP/1.1\r\nHost: a\r\n\r\n", 405, "\r\nAllow: GET\r\n"),
        ("GET /ws-live HTTP/1.1\r\nHost: a\r\n\r\n", 426, "\r\nSec-WebSocket-Version: 13\r\n"),
        ("GET /ws-live HTTP/1.1\r\nHost: a\r\n\r\n", 426, "\r\nUpgrade: websocket\r\n"),
        ("GET /ws-live HTTP/1.1\r\n\r\n", 400, ""),
        ("GET /ws-live HTTP/1.0\r\nHost: a\r\n\r\n", 505, ""),
        ("get /ws-live HTTP/1.1\r\n", 400, ""),
    ] {
        let answer = entrance.answer(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(answer.contains(header), "{request:?}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.trim_end().ends_with('.'), "{body:?} is a sentence");
    }
    assert_eq!(entrance.authority.count("/"), 0, "nobody was asked");
}

#[test]
fn d3_15_d3_16_other_protocols_are_refused_at_once() {
    let entrance = Entrance::new();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n",
    ] {
        assert_eq!(entrance.status(bytes), 400, "{bytes:?}");
    }
    assert_eq!(entrance.status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    assert_eq!(entrance.outcomes("timeout"), 0);
}

#[test]
fn the_answer_is_not_lost_when_the_peer_has_sent_more_than_is_read() {
    let entrance = Entrance::new();
    for _ in 0..20 {
        let mut stream = entrance.connect();
        let head = "POST /ws-live HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&[b'x'; 60_000]).unwrap();
        assert!(rest(&mut stream).starts_with("HTTP/1.1 405 "));
    }
}

#[test]
fn t10_d3_14_a_head_that_is_never_finished_is_given_up() {
    let entrance = Entrance::with(|config| config.live.limits.head_timeout_ms = 100);
    let mut silent = entrance.connect();
    let mut begun = entrance.connect();
    begun.write_all(&request("").as_bytes()[..100]).unwrap();
    for stream in [&mut silent, &mut begun] {
        assert!(rest(stream).starts_with("HTTP/1.1 408 "));
    }
    entrance.until_metric("processor_live_half_open", 0);
    assert_eq!(entrance.outcomes("timeout"), 2);
}

#[test]
fn who_goes_away_before_the_head_is_whole_is_lost_without_an_answer() {
    let entrance = Entrance::new();
    let mut stream = entrance.connect();
    stream.write_all(b"GET /ws-live").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(is_cut(&mut stream));
    entrance.until("it is counted", || entrance.outcomes("lost") == 1);
}

#[test]
fn t1_t36_no_foreign_origin_makes_a_call() {
    let entrance = Entrance::with(|config| {
        config.live.access.allowed_origins = vec!["https://race.test".to_owned()];
    });
    for lines in [
        "Origin: https://evil.test\r\n",
        // A name of the attacker's that leads here: page and host are the same, and not ours.
        "Origin: http://live.test\r\n",
        "Origin: null\r\n",
        "Origin:\r\n",
        "Origin: https://race.test\r\nOrigin: https://race.test\r\n",
    ] {
        assert_eq!(entrance.status(request(lines)), 403, "{lines:?}");
    }
    assert_eq!(entrance.authority.count("/"), 0);
    assert_eq!(entrance.outcomes("forbidden_origin"), 5);
}

#[test]
fn t5_t8_neither_queries_nor_cookies_are_logged_and_origins_are_escaped() {
    let entrance = Entrance::new();
    let query = request("").replace("/ws-live", "/ws-live?access_token=canary7391");
    assert_eq!(entrance.status(query), 400);
    let lines = format!("Cookie: a=canary7391\r\nOrigin: \u{9b}31m{}\r\n", "x".repeat(4_000));
    assert_eq!(entrance.status(request(&lines)), 403);
    assert_eq!(entrance.status(request("X: canary7391\r\nContent-Length: 0\r\n")), 400);
    let log = entrance.log();
    assert!(log.contains("an origin is not allowed") && !log.contains("canary7391"), "{log}");
    assert!(log.lines().all(|line| line.len() < 512), "{log}");
    assert!(log.chars().all(|character| character == '\n' || !character.is_control()), "{log}");
    assert_eq!(entrance.authority.count("/"), 0);
}

#[test]
fn t3_a_trusted_proxy_without_tls_is_told_of_once() {
    for (proto, expected) in [("http", 1), ("WS", 1), ("https", 0), ("wss", 0)] {
        let entrance = Entrance::with(|config| {
            let network = Network { address: "127.0.0.0".parse().unwrap(), prefix_bits: 8 };
            config.live.access.trusted_proxies = vec![network];
            config.live.access.allow_missing_origin = Some(true);
        });
        for _ in 0..3 {
            let forwarded = [("Cookie", "a=1"), ("X-Forwarded-Proto", proto)];
            let client = tests::client::Client::connect(entrance.address, &forwarded);
            assert_eq!(client.unwrap().closed().0, 4401);
        }
        let log = entrance.log();
        assert_eq!(log.matches("Cookies travel in clear").count(), expected, "{proto}: {log}");
    }
}

#[test]
fn t2_t35_who_comes_through_an_unknown_proxy_here_is_nobodys_loopback_and_it_is_told_once() {
    let entrance = Entrance::new();
    for _ in 0..3 {
        let lines = "Cookie: a=1\r\nX-Forwarded-For: 192.0.2.7\r\n";
        assert_eq!(entrance.status(request(lines)), 403);
    }
    assert_eq!(entrance.log().matches("LIVE_TRUSTED_PROXIES").count(), 1, "{}", entrance.log());
    assert_eq!(entrance.authority.count("/"), 0, "Directus is not asked");
}

#[test]
fn t35_behind_a_trusted_proxy_a_missing_origin_is_nobodys_loopback() {
    let entrance = Entrance::with(|config| {
        let network = Network { address: "127.0.0.0".parse().unwrap(), prefix_bits: 8 };
        config.live.access.trusted_proxies = vec![network];
    });
    assert_eq!(entrance.status(request("X-Forwarded-For: 192.0.2.7\r\n")), 403);
    let lines = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\
                 Origin: https://live.test\r\n";
    let client = tests::client::Client::with_request(entrance.connect(), request(lines).as_bytes());
    let _client = client.unwrap();
    entrance.any_newcomer();
}
