//! Those who should not be there, and those who do not behave.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::office::{Answer, CANARY, Office};

#[test]
fn t34_nothing_but_the_pages_is_there() {
    let office = Office::open();
    for path in ["/", "/ws-live", "/ws-live?x", "/metrics/", "//metrics", "/METRICS", "/.env"] {
        let answer = office.get(path);
        assert_eq!(answer.status, 404, "{path}");
        for page in ["/healthz", "/readyz", "/statusz", "/metrics", "/debug/flamegraph"] {
            assert!(answer.body.contains(page), "{}", answer.body);
        }
    }
}

#[test]
fn t34_profiles_are_not_for_who_comes_through_a_proxy() {
    let office = Office::open();
    let ask = |header: &str| {
        office.ask(&format!(
            "GET /debug/flamegraph?seconds=0 HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n"
        ))
    };
    // 400 is from behind the door: the seconds are wrong.
    assert_eq!(ask("Accept: */*").status, 400);
    let forwarded = ask("X-Forwarded-For: 203.0.113.7");
    assert_eq!(forwarded.status, 403);
    assert!(forwarded.body.contains("ADMIN_TOKEN"), "{forwarded:?}");
    let both = format!("X-Forwarded-For: 203.0.113.7\r\nAuthorization: Bearer {CANARY}");
    assert_eq!(ask(&both).status, 400);
    assert_eq!(ask("Via: 1.1 proxy\r\nAuthorization: Bearer canary").status, 403);
    assert_eq!(office.ask("GET /debug/x HTTP/1.1\r\nHost: evil.example\r\n\r\n").status, 403);
    assert_eq!(office.get("/debug/x").status, 404);
}

#[test]
fn t10_who_says_nothing_or_speaks_slowly_is_cut_and_others_are_served() {
    let office = Office::open();
    let silent: Vec<_> = (0..60).map(|_| office.connect()).collect();
    let mut slow = office.connect();
    slow.write_all(b"GET /healthz HT").unwrap();
    assert_eq!(office.get("/healthz").status, 200);
    // More than are served at once: those behind them wait until they are cut, without a word.
    let more: Vec<_> = (0..60).map(|_| office.connect()).collect();
    assert_eq!(office.get("/healthz").status, 200);
    for mut stream in silent.into_iter().chain([slow]) {
        assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0);
    }
    drop(more);
}

#[test]
fn a_request_in_pieces_is_answered_and_half_of_one_is_not() {
    let office = Office::open();
    let mut stream = office.connect();
    for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(Answer::read(stream).status, 200);
    let mut stream = office.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0);
}

#[test]
fn what_is_no_request_is_refused_in_words() {
    let office = Office::open();
    let long = format!("GET /healthz HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    for (request, status) in [
        ("POST /healthz HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", 405),
        ("HEAD /healthz HTTP/1.1\r\n\r\n", 405),
        ("\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET http://elsewhere/healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (&long, 431),
    ] {
        let answer = office.ask(request);
        assert_eq!(answer.status, status, "{request:?}");
        assert_eq!(answer.head.contains("Allow: GET"), status == 405, "{answer:?}");
        assert!(answer.body.ends_with(".\n"), "{answer:?}");
    }
}
