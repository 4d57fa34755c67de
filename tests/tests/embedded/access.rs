//! Who comes in: everybody on this machine, or whoever knows the token.

use std::net::{IpAddr, Ipv4Addr};

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
    let refused = Client::connect(embedded.live, &[("Origin", "https://elsewhere.test")]);
    assert_eq!(refused.unwrap_err().0, 403);
}
