//! The end: nobody new, and a word for those who are half way in.

use std::io::Write as _;
use std::net::TcpStream;

use pitwall::config::Reject;
use tests::scene::Mood;

use super::entrance::{Entrance, request, rest};

#[test]
fn f77_who_is_half_way_in_is_told_that_the_process_leaves() {
    let mut entrance = Entrance::new();
    entrance.authority.knowledge().mood = Mood::Mute;
    let mut silent = entrance.connect();
    let mut asked = entrance.upgrade();
    entrance.until("Directus is asked", || entrance.authority.count("/users/me") > 0);
    entrance.until_metric("processor_live_half_open", 2);
    entrance.shutdown.begin();
    assert_eq!(asked.closed(), (1012, "restart".to_owned()));
    assert!(rest(&mut silent).starts_with("HTTP/1.1 503 "));
    drop((silent, asked));
    entrance.ended();
    assert_eq!(entrance.outcomes("leaving"), 2);
    assert!(TcpStream::connect(entrance.address).is_err(), "nobody listens any more");
}

#[test]
fn f77_before_the_upgrade_it_is_told_by_an_http_answer_where_that_is_set() {
    let mut entrance = Entrance::with(|config| config.live.access.reject = Reject::Http);
    entrance.authority.knowledge().mood = Mood::Mute;
    let mut asked = entrance.connect();
    asked.write_all(request("").as_bytes()).unwrap();
    entrance.until("Directus is asked", || entrance.authority.count("/users/me") > 0);
    entrance.shutdown.begin();
    assert!(rest(&mut asked).starts_with("HTTP/1.1 503 "));
    drop(asked);
    entrance.ended();
}

#[test]
fn f77_a_peer_that_does_not_go_does_not_hold_up_the_end() {
    let mut entrance = Entrance::new();
    let silent = entrance.connect();
    entrance.until_metric("processor_live_half_open", 1);
    entrance.shutdown.begin();
    entrance.ended();
    drop(silent);
}
