//! The golden frames under `data/websocket` sent through sockets, and what must be heard for each:
//! messages and pings come back, a close is answered with its code, a broken rule is closed with the
//! code that the line names, and nothing follows a close.
//!
//! That each is known at the first byte that shows it is proved without sockets, beside the reader.

use std::net::{Shutdown, TcpStream};

use serde_json::Value;
use tests::client::{Client, Heard, masked};

use crate::echo::Echo;

const FRAMES: &str = include_str!("../../data/websocket/frames.jsonl");

const HEAD: &str = "GET /ws-live HTTP/1.1\r\nHost: echo.test\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// How the bytes reach the server.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// In one write, right behind the head.
    BehindHead,
    /// In one write.
    Whole,
    /// In two, for each of some cuts.
    Cut(usize),
    /// Each byte in a write of its own.
    Bytewise,
}

/// Checks every golden line of a row in every way.
fn check_row(row: &str) {
    let echo = Echo::start();
    let lines = FRAMES.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut count = 0;
    for line in lines.filter(|line| line["row"] == row) {
        let bytes = from_hex(&line["bytes"]);
        let expected = expected(&line);
        // A frame has its borders at the beginning; further on all bytes are alike.
        let cuts = (1..bytes.len().min(24)).map(Way::Cut);
        let ways = [Way::BehindHead, Way::Whole, Way::Bytewise].into_iter().chain(cuts);
        for way in ways {
            let heard = converse(&echo, &bytes, way);
            assert_eq!(heard, expected, "{}, {way:?}", line["name"]);
        }
        count += 1;
    }
    assert!(count > 0, "the golden file has row {row}");
}

/// What is heard until the server ends the connection; of a close only its code.
fn converse(echo: &Echo, bytes: &[u8], way: Way) -> Vec<Heard> {
    let stream = TcpStream::connect(echo.address).unwrap();
    let mut head = HEAD.as_bytes().to_vec();
    let pieces: Vec<&[u8]> = match way {
        Way::BehindHead => {
            head.extend(bytes);
            Vec::new()
        }
        Way::Whole => vec![bytes],
        Way::Cut(at) => vec![&bytes[..at], &bytes[at..]],
        Way::Bytewise => bytes.chunks(1).collect(),
    };
    let mut client = Client::with_request(stream, &head).unwrap();
    for piece in pieces {
        client.send_bytes(piece);
    }
    client.stream().shutdown(Shutdown::Write).unwrap();
    let mut all = Vec::new();
    while let Some(mut heard) = client.hear() {
        if heard.opcode == 8 {
            heard.payload.truncate(2);
        }
        all.push(heard);
    }
    all
}

/// What a golden line is answered with.
fn expected(line: &Value) -> Vec<Heard> {
    let close = |code: u64| u16::try_from(code).unwrap().to_be_bytes().to_vec();
    let mut all = Vec::new();
    for event in line["events"].as_array().unwrap() {
        let (kind, value) = event.as_object().unwrap().iter().next().unwrap();
        let (opcode, payload) = match kind.as_str() {
            "text" => (1, value.as_str().unwrap().as_bytes().to_vec()),
            "ping" => (10, from_hex(value)),
            "pong" => continue,
            _ => (8, event["close"].as_u64().map(close).unwrap_or_default()),
        };
        all.push(Heard { opcode, payload });
    }
    if let Some(failure) = line.get("failure") {
        all.push(Heard { opcode: 8, payload: close(failure["code"].as_u64().unwrap()) });
    }
    all
}

fn from_hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    let bytes = (0..digits.len()).step_by(2);
    bytes.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn d2_1_frames_of_the_conformance_suite_are_answered() {
    check_row("d2.1");
}

#[test]
fn t21_d2_2_unmasked_frames_are_closed_1002() {
    check_row("d2.2");
}

#[test]
fn t19_d2_3_reserved_bits_are_closed_1002() {
    check_row("d2.3");
}

#[test]
fn t21_d2_4_reserved_opcodes_are_closed_1002() {
    check_row("d2.4");
}

#[test]
fn d2_5_fragmented_control_frames_are_closed_1002() {
    check_row("d2.5");
}

#[test]
fn d2_6_long_control_frames_are_closed_1002() {
    check_row("d2.6");
}

#[test]
fn d2_7_lengths_in_more_bytes_than_they_need_are_closed_1002() {
    check_row("d2.7");
}

#[test]
fn d2_8_lengths_of_63_bits_and_more_are_closed() {
    check_row("d2.8");
}

#[test]
fn d2_9_fragments_out_of_order_are_closed_1002() {
    check_row("d2.9");
}

#[test]
fn t18_d2_10_floods_of_tiny_fragments_are_closed_1008() {
    check_row("d2.10");
}

#[test]
fn d2_11_a_header_may_be_split_at_every_byte() {
    check_row("d2.11");
}

#[test]
fn d2_12_pings_are_answered_and_pongs_are_not() {
    check_row("d2.12");
}

#[test]
fn d2_13_closes_are_answered_or_closed_by_what_they_say() {
    check_row("d2.13");
}

#[test]
fn d2_14_binary_messages_are_closed_1003() {
    check_row("d2.14");
}

#[test]
fn d2_19_several_messages_in_one_segment_come_back_in_order() {
    check_row("d2.19");
}

#[test]
fn d2_25_other_protocols_behind_the_upgrade_are_closed_1002() {
    check_row("d2.25");
}

#[test]
fn t18_d2_26_4_kib_come_back_and_one_byte_more_is_closed_1009() {
    check_row("d2.26");
}

#[test]
fn t21_d2_27_text_is_utf8_however_its_characters_are_cut() {
    check_row("d2.27");
}

#[test]
fn d2_28_the_mask_may_be_zero() {
    check_row("d2.28");
}

#[test]
fn every_row_of_the_golden_file_is_sent() {
    let source = include_str!("raw.rs");
    for line in FRAMES.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let call = format!("check_row({});", line["row"]);
        assert!(source.contains(&call), "{}", line["row"]);
    }
}

#[test]
fn a_close_is_the_last_word_whatever_follows_it() {
    let echo = Echo::start();
    let close = masked(0x88, &1000_u16.to_be_bytes());
    let bytes = [&close[..], &masked(0x81, b"late"), &close, &masked(0x89, b"late"), &[0xff; 99]];
    let heard = converse(&echo, &bytes.concat(), Way::Whole);
    assert_eq!(heard, [Heard { opcode: 8, payload: 1000_u16.to_be_bytes().to_vec() }]);
}
