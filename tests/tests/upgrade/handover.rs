//! What a shard gets: the socket with its options, and every byte behind the head.

use std::io::Write as _;

use engine::id::{EventId, ViewerId};
use pitwall::live::mailbox::{ORDER_MAIL_MAX, Order};
use rustix::net::sockopt;
use tests::client::{Client, masked};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::entrance::{COOKIE, Entrance, request};

#[test]
fn d3_14_a_head_may_come_byte_by_byte() {
    let entrance = Entrance::new();
    let mut stream = entrance.connect();
    for byte in request("").as_bytes() {
        stream.write_all(&[*byte]).unwrap();
    }
    let newcomer = entrance.any_newcomer();
    assert!(newcomer.unread.is_empty());
    assert_eq!(&*newcomer.session.user_id, tests::platform::uuid(1).as_str());
    assert_eq!(entrance.outcomes("accepted"), 1);
}

#[test]
fn d3_13_frames_right_behind_the_head_reach_the_shard() {
    let entrance = Entrance::new();
    let frames = [masked(0x81, b"{}"), masked(0x89, b"ping")].concat();
    let bytes = [request("").as_bytes(), &frames].concat();
    let client = Client::with_request(entrance.connect(), &bytes).unwrap();
    assert_eq!(entrance.any_newcomer().unread, frames);
    drop(client);
}

#[test]
fn t9_d3_13_a_second_request_behind_the_head_is_never_read_as_one() {
    let entrance = Entrance::new();
    let bytes = [request(""), request("Origin: https://evil.test\r\n")].concat();
    let client = Client::with_request(entrance.connect(), bytes.as_bytes()).unwrap();
    let newcomer = entrance.any_newcomer();
    // The shard takes it for frames, which it is not: `G` sets a reserved bit.
    assert!(newcomer.unread.starts_with(b"GET /ws-live"));
    assert_eq!(entrance.outcomes("accepted"), 1);
    assert_eq!(entrance.outcomes("forbidden_origin"), 0);
    drop(client);
}

#[test]
fn a_newcomers_socket_is_small_and_prompt_and_never_blocks() {
    let entrance = Entrance::new();
    let _client = entrance.upgrade();
    let newcomer = entrance.any_newcomer();
    let socket = &newcomer.socket;
    assert!(sockopt::tcp_nodelay(socket).unwrap());
    // The kernel doubles what it is told.
    let in_flight = entrance.context.config.live.in_flight_bytes_max;
    assert_eq!(sockopt::socket_send_buffer_size(socket).unwrap(), 2 * in_flight);
    assert!(sockopt::socket_recv_buffer_size(socket).unwrap() <= 64 * 1024);
    assert_eq!(sockopt::tcp_user_timeout(socket).unwrap(), 90_000);
    let read = std::io::Read::read(&mut &newcomer.socket, &mut [0]);
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn newcomers_go_where_the_fewest_viewers_are() {
    let entrance = Entrance::new();
    let elsewhere = [entrance.shards[0].place(), entrance.shards[0].place()];
    let mut clients = Vec::new();
    let placed = [1, 1].map(|shard| {
        clients.push(entrance.upgrade());
        entrance.newcomer(shard)
    });
    assert_eq!(entrance.shards[1].load(), 2, "who is placed is counted");
    drop(elsewhere);
    clients.push(entrance.upgrade());
    entrance.newcomer(0);
    drop(placed);
    assert_eq!(entrance.shards[1].load(), 0, "and not any more when it is gone");
}

#[test]
fn a_full_mailbox_closes_1013_and_gives_the_places_back() {
    let entrance = Entrance::new();
    let _elsewhere = entrance.shards[1].place();
    let viewer = ViewerId { index: 0, generation: 0 };
    let event = EventId::parse(tests::scene::EVENT.as_bytes()).unwrap();
    for _ in 0..ORDER_MAIL_MAX {
        entrance.shards[0].order(Order::Revoke(viewer, event)).unwrap();
    }
    let (code, reason) = entrance.upgrade().closed();
    assert_eq!((code, reason.is_empty()), (1013, false));
    assert_eq!(entrance.shards[0].load(), 0);
    entrance.until_metric("processor_live_half_open", 0);
    assert_eq!(entrance.metric("processor_live_users"), 0);
}

#[test]
fn another_projects_client_takes_our_answer() {
    let entrance = Entrance::new();
    let mut request = format!("ws://{}/ws-live", entrance.address).into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("Cookie", COOKIE.parse().unwrap());
    headers.insert("Sec-WebSocket-Protocol", "other, trm.live.v1".parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_stream, answer) =
        runtime.block_on(tokio_tungstenite::connect_async(request)).expect("a correct answer");
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "trm.live.v1");
    assert!(!answer.headers().contains_key("sec-websocket-extensions"));
    entrance.any_newcomer();
}
