//! Places: taken at the door, counted until the socket is closed, given back to the next.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use pitwall::config::{Network, Reject};
use tests::client::Client;
use tests::scene::{Mood, connect_from};

use super::entrance::{COOKIE, Entrance, is_cut, patient, request};

/// Connections of a flood: more than an address may have, fewer than a test may open files.
const FLOOD: usize = 300;

#[test]
fn t10_t12_an_address_that_opens_and_says_nothing_shuts_out_only_itself() {
    let entrance = Entrance::with(|config| {
        config.live.limits.half_open_per_address_max = 100;
    });
    let flood: Vec<TcpStream> = (0..FLOOD).map(|_| entrance.connect()).collect();
    entrance.until("those over the limit are shed", || entrance.outcomes("shed") == 200);
    let from_elsewhere = connect_from(Ipv4Addr::new(127, 0, 0, 2), entrance.address);
    let _other = Client::over(from_elsewhere, &[("Cookie", COOKIE)]).unwrap();
    entrance.any_newcomer();
    assert_eq!(entrance.metric("processor_live_half_open"), 100);
    drop(flood);
    entrance.until_metric("processor_live_half_open", 0);
    let _next = entrance.upgrade();
    entrance.any_newcomer();
    // The newcomers were dropped, and with them their places.
    entrance.until_metric("processor_live_addresses", 0);
}

#[test]
fn t12_beyond_all_half_open_places_connections_are_closed_at_once() {
    let entrance = Entrance::with(|config| config.live.limits.half_open_max = 2);
    let waiting = [entrance.connect(), entrance.connect()];
    entrance.until_metric("processor_live_half_open", 2);
    assert!(is_cut(&mut entrance.connect()));
    drop(waiting);
    entrance.until_metric("processor_live_half_open", 0);
    let _next = entrance.upgrade();
    entrance.any_newcomer();
}

#[test]
fn t12_who_was_refused_counts_until_the_connection_is_closed() {
    let entrance = Entrance::with(|config| config.live.limits.half_open_max = 1);
    let mut refused = entrance.connect();
    refused.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut status = [0; 12];
    refused.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 404");
    assert!(is_cut(&mut entrance.connect()), "the refused one is still there");
    drop(refused);
    entrance.until_metric("processor_live_half_open", 0);
}

#[test]
fn t22_a_crowd_from_one_address_gets_every_place_there_is_and_the_rest_1013() {
    let entrance = Entrance::with(|config| config.live.limits.viewers_per_address_max = 3);
    // All of them are at the door before it is known who anybody is.
    entrance.authority.knowledge().mood = Mood::Mute;
    let mut crowd: Vec<Client> = (0..8).map(|_| entrance.upgrade()).collect();
    for client in &mut crowd[3..] {
        let (code, reason) = client.closed();
        assert_eq!(code, 1013);
        assert!(reason.contains("address"), "{reason}");
    }
    let elsewhere = connect_from(Ipv4Addr::new(127, 0, 0, 2), entrance.address);
    let _other = Client::over(elsewhere, &[("Cookie", "other=1")]).unwrap();
    assert_eq!(entrance.outcomes("too_many"), 5);
}

#[test]
fn t22_the_process_has_so_many_places_and_tells_the_rest_1013() {
    let entrance = Entrance::with(|config| config.live.limits.viewers_max = 2);
    let _clients = [entrance.upgrade(), entrance.upgrade()];
    let kept = [entrance.any_newcomer(), entrance.any_newcomer()];
    assert_eq!(entrance.upgrade().closed().0, 1013);
    drop(kept);
    let _next = entrance.upgrade();
    entrance.any_newcomer();
}

#[test]
fn t22_a_user_has_so_many_places_whatever_the_addresses() {
    let entrance = Entrance::with(|config| config.live.limits.viewers_per_user_max = 2);
    let _clients = [entrance.upgrade(), entrance.upgrade()];
    let mut kept = vec![entrance.any_newcomer(), entrance.any_newcomer()];
    let elsewhere = connect_from(Ipv4Addr::new(127, 0, 0, 3), entrance.address);
    let (code, reason) = Client::over(elsewhere, &[("Cookie", COOKIE)]).unwrap().closed();
    assert_eq!(code, 1013);
    assert!(reason.contains("user"), "{reason}");
    kept.pop();
    let _next = entrance.upgrade();
    entrance.any_newcomer();
}

#[test]
fn over_a_limit_is_an_http_answer_where_that_is_set() {
    let entrance = Entrance::with(|config| {
        config.live.access.reject = Reject::Http;
        config.live.limits.viewers_per_address_max = 1;
    });
    let _client = entrance.upgrade();
    let _kept = entrance.any_newcomer();
    assert_eq!(entrance.status(request("")), 429);
}

#[test]
fn t35_clients_behind_a_trusted_proxy_are_counted_by_their_own_address() {
    let entrance = Entrance::with(|config| {
        let network = Network { address: "127.0.0.1".parse().unwrap(), prefix_bits: 32 };
        config.live.access.trusted_proxies = vec![network];
        config.live.limits.viewers_per_address_max = 1;
        config.live.limits.half_open_per_address_max = 1;
    });
    let upgrade = |hops: &str, stream: TcpStream| {
        let origin = "Origin: http://live.test\r\n";
        let bytes = request(&format!("{origin}X-Forwarded-For: {hops}\r\n"));
        Client::with_request(patient(stream), bytes.as_bytes()).unwrap()
    };
    let first = upgrade("192.0.2.1", entrance.connect());
    let second = upgrade("192.0.2.2", entrance.connect());
    let kept = [entrance.any_newcomer(), entrance.any_newcomer()];
    // What the client writes before the proxy's own word is not believed.
    assert_eq!(upgrade("192.0.2.3, 192.0.2.1", entrance.connect()).closed().0, 1013);
    // Nor is anybody else.
    let stranger = || connect_from(Ipv4Addr::new(127, 0, 0, 2), entrance.address);
    let third = upgrade("192.0.2.4", stranger());
    let kept_too = entrance.any_newcomer();
    assert_eq!(upgrade("192.0.2.5", stranger()).closed().0, 1013);
    drop((first, second, third, kept, kept_too));
}
