//! While it is asked who somebody is, and after the answer.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use pitwall::config::Reject;
use tests::client::{Client, masked};
use tests::scene::Mood;

use super::entrance::{COOKIE, Entrance, request};

/// Far below what Directus is waited for.
const SOON: Duration = Duration::from_secs(2);

fn asked(entrance: &Entrance) {
    entrance.until("Directus is asked", || entrance.authority.count("/users/me") > 0);
}

#[test]
fn without_a_cookie_the_connection_is_closed_4401_and_nobody_is_asked() {
    let entrance = Entrance::new();
    for headers in [&[][..], &[("Cookie", "")], &[("Cookie", " ")]] {
        let mut client = Client::connect(entrance.address, headers).unwrap();
        assert_eq!(client.closed(), (4401, "unauthorized".to_owned()), "{headers:?}");
    }
    assert_eq!(entrance.authority.count("/"), 0);
}

#[test]
fn the_close_frame_is_not_lost_when_the_peer_has_sent_more_than_is_read() {
    let entrance = Entrance::new();
    let frames = masked(0x81, &[b'x'; 100]).repeat(300);
    for _ in 0..20 {
        let bytes = [request("").replace(COOKIE, "nobody=1").as_bytes(), &frames].concat();
        let mut client = Client::with_request(entrance.connect(), &bytes).unwrap();
        assert_eq!(client.closed().0, 4401);
    }
}

#[test]
fn who_goes_away_while_it_is_asked_frees_the_places_at_once() {
    for reject in [Reject::Close, Reject::Http] {
        for sends_early in [false, true] {
            let entrance = Entrance::with(|config| config.live.access.reject = reject);
            entrance.authority.knowledge().mood = Mood::Mute;
            let mut stream: TcpStream = entrance.connect();
            stream.write_all(request("").as_bytes()).unwrap();
            asked(&entrance);
            if sends_early {
                stream.write_all(&masked(0x81, b"{}")).unwrap();
            }
            assert_eq!(entrance.metric("processor_live_half_open"), 1);
            drop(stream);
            let words = format!("{reject:?}, early frames: {sends_early}");
            let is_free = || entrance.metric("processor_live_half_open") == 0;
            entrance.until_within(SOON, &words, is_free);
            assert_eq!(entrance.outcomes("lost"), 1, "{words}");
            assert_eq!(entrance.metric("processor_live_addresses"), 0, "{words}");
        }
    }
}

#[test]
fn frames_that_come_while_it_is_asked_wait_in_the_kernel() {
    let entrance = Entrance::new();
    entrance.authority.knowledge().mood = Mood::Mute;
    let mut client = entrance.upgrade();
    asked(&entrance);
    client.send_bytes(&masked(0x81, b"{}"));
    client.send_bytes(&masked(0x81, b"[]"));
    assert_eq!(entrance.metric("processor_live_half_open"), 1, "it is still asked");
    assert_eq!(entrance.newcomers(), 0);
}

#[test]
fn attempts_are_counted_by_what_directus_says() {
    let entrance = Entrance::with(|config| config.live.limits.viewers_per_user_max = 1);
    let _client = entrance.upgrade();
    let _kept = entrance.any_newcomer();
    // Known, but over a limit.
    assert_eq!(entrance.upgrade().closed().0, 1013);
    assert_eq!(entrance.upgrade_as("nobody=1").closed().0, 4401);
    entrance.authority.knowledge().mood = Mood::Cuts;
    assert_eq!(entrance.upgrade_as("nobody=2").closed().0, 1013);
    for (result, expected) in [("success", 2), ("unauthorized", 1), ("error", 1)] {
        let name = format!("processor_live_auth_attempts_total{{result=\"{result}\"}}");
        assert_eq!(entrance.metric(&name), expected, "{result}");
    }
    for (result, expected) in
        [("accepted", 1), ("too_many", 1), ("unauthorized", 1), ("unavailable", 1)]
    {
        assert_eq!(entrance.outcomes(result), expected, "{result}");
    }
}
