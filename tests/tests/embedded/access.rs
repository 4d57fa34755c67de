//! Who comes in: everybody on this machine, or whoever knows the token.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpStream};

use tests::client::Client;
use tests::embedded::{Embedded, RACE};

const TOKEN: &str = "0123456789abcdef";

#[test]
fn with_a_token_only_who_knows_it_comes_in_and_it_is_said_nowhere() {
    let mut embedded = Embedded::start(&[("EMBEDDED_TOKEN", TOKEN)]);
    for headers in [&[][..], &[("Cookie", "pitwall_token=0123456789abcdeX")]] {
        let mut stranger = Client::connect(embedded.live, headers).unwrap();
        assert_eq!(stranger.closed().0, 4401, "{headers:?}");
    }
    let cookie = format!("theme=dark; pitwall_token={TOKEN}");
    let mut viewer = Client::connect(embedded.live, &[("Cookie", &cookie)]).unwrap();
    viewer.subscribe(RACE, "");
    viewer.reply("subscribed");
    assert!(embedded.end().success());
    assert!(!embedded.log().contains(TOKEN));
}

#[test]
fn beyond_this_machine_it_does_not_listen_without_a_token() {
    let mut embedded = Embedded::new(&[("LIVE_WS_HOST", "0.0.0.0")]);
    embedded.launch();
    assert_eq!(embedded.ended().code(), Some(78));
    let log = embedded.log();
    assert!(log.contains("LIVE_WS_HOST") && log.contains("set EMBEDDED_TOKEN"), "{log}");
    let with_token = [("LIVE_WS_HOST", "0.0.0.0"), ("EMBEDDED_TOKEN", TOKEN)];
    let embedded = Embedded::start(&with_token);
    assert_eq!(embedded.live.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert_eq!(Client::connect(embedded.live, &[]).unwrap().closed().0, 4401);
}

#[test]
fn a_page_of_another_origin_does_not_come_in() {
    let embedded = Embedded::start(&[]);
    let headers = [("Host", "localhost"), ("Origin", "https://elsewhere.test")];
    let refused = Client::connect(embedded.live, &headers);
    assert_eq!(refused.unwrap_err().0, 403);
}

#[test]
fn t36_a_name_that_was_made_to_lead_here_is_refused() {
    let embedded = Embedded::start(&[]);
    let ask = |path: &str, host: &str| {
        let mut stream = TcpStream::connect(embedded.live).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let port = embedded.live.port();
    for name in ["127.0.0.1", "localhost", "LOCALHOST", "127.8.8.8", "[::1]"] {
        let answer = ask("/page.json", &format!("{name}:{port}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
    }
    for name in ["race.test", "127.0.0.1.race.test", "localhost.race.test", "10.0.0.1", "[::2]"] {
        for path in ["/page.json", "/", "/ws-live"] {
            let answer = ask(path, &format!("{name}:{port}"));
            assert!(answer.starts_with("HTTP/1.1 403"), "{name}: {answer}");
            assert!(answer.contains("Use 127.0.0.1 or localhost"), "{answer}");
        }
    }
}
