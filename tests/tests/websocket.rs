//! What viewers send, frame by frame: the golden frames under `data/websocket`, each split over
//! reads in every way, and random streams against a naive model.
//!
//! A golden line says which events the bytes make and, when they fail, with which close code and
//! behind how many bytes that must be known.

#[path = "websocket/model.rs"]
mod model;

use std::cell::RefCell;
use std::collections::BTreeMap;

use engine::limits::{MESSAGE_BYTES_MAX, READER_HEAP_BYTES_MAX};
use engine::websocket::{Incoming, Input, Reader};
use model::{Event, Stream, masked_frame};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::Value;

/// What a reader made of a stream, and where it failed.
#[derive(Debug, PartialEq)]
struct Reading {
    events: Vec<Event>,
    failure: Option<(u16, usize)>,
}

/// Feeds the stream in pieces that end at `cuts`, as a shard does: one buffer, polled until empty.
fn read(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Reading {
    let mut reader = Reader::default();
    let mut reading = Reading { events: Vec::new(), failure: None };
    let mut from = 0;
    for to in cuts.into_iter().chain([bytes.len()]) {
        let mut buffer = bytes[from..to].to_vec();
        let mut input = Input::new(&mut buffer);
        while let Some(step) = reader.poll(&mut input) {
            assert!(reading.failure.is_none(), "nothing follows a failure");
            match step {
                Ok(incoming) => reading.events.push(event(incoming)),
                Err(failure) => reading.failure = Some((failure.close_code().number(), to)),
            }
            assert!(reader.heap_bytes() <= READER_HEAP_BYTES_MAX);
        }
        if reader.is_finished() {
            assert_eq!(reader.heap_bytes(), 0, "a finished reader owns nothing");
        }
        from = to;
    }
    let has_closed = matches!(reading.events.last(), Some(Event::Close(..)));
    assert_eq!(reader.is_finished(), has_closed || reading.failure.is_some());
    reading
}

fn event(incoming: Incoming<'_>) -> Event {
    match incoming {
        Incoming::Text(text) => Event::Text(text.to_owned()),
        Incoming::Ping(payload) => Event::Ping(payload.to_vec()),
        Incoming::Pong(payload) => Event::Pong(payload.to_vec()),
        Incoming::Close { code, reason } => {
            Event::Close(code.map(|code| code.number()), reason.to_owned())
        }
    }
}

/// Checks every golden line of one row under every split in two, byte by byte, and whole.
fn check_row(row: &str) {
    let lines = include_str!("../data/websocket/frames.jsonl");
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut count = 0;
    for line in lines.filter(|line| line["row"] == row) {
        let name = line["name"].as_str().expect("a name");
        let bytes = from_hex(&line["bytes"]);
        let events: Vec<Event> =
            line["events"].as_array().expect("a list").iter().map(golden).collect();
        let failure = line.get("failure").map(|failure| {
            let number = |field: &str| failure[field].as_u64().expect("a number");
            let code = u16::try_from(number("code")).expect("a code");
            (code, usize::try_from(number("after_bytes")).expect("a length"))
        });
        // Split at every byte a failure is known as soon as its byte is there.
        assert_eq!(read(&bytes, 1..bytes.len()), Reading { events, failure }, "{name}");
        let whole = read(&bytes, []);
        let step = bytes.len() / 500 + 1;
        for cut in (1..bytes.len()).step_by(step) {
            let split = read(&bytes, [cut]);
            assert_eq!(split.events, whole.events, "{name}, cut at {cut}");
            assert_eq!(code(&split), code(&whole), "{name}, cut at {cut}");
        }
        assert_eq!(code(&whole), failure.map(|(code, _)| code), "{name}");
        count += 1;
    }
    assert!(count > 0, "the golden file has row {row}");
}

fn code(reading: &Reading) -> Option<u16> {
    reading.failure.map(|(code, _)| code)
}

fn golden(line: &Value) -> Event {
    let (kind, value) = line.as_object().and_then(|object| object.iter().next()).expect("a kind");
    match kind.as_str() {
        "text" => Event::Text(value.as_str().expect("a text").to_owned()),
        "ping" => Event::Ping(from_hex(value)),
        "pong" => Event::Pong(from_hex(value)),
        _ => {
            let number = line["close"].as_u64().map(|code| u16::try_from(code).expect("a code"));
            Event::Close(number, line["reason"].as_str().expect("a reason").to_owned())
        }
    }
}

fn from_hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().expect("hexadecimal");
    let bytes = (0..digits.len()).step_by(2);
    bytes.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal")).collect()
}

#[test]
fn d2_1_frames_of_the_conformance_suite_are_read() {
    check_row("d2.1");
}

#[test]
fn d2_2_unmasked_frame_fails() {
    check_row("d2.2");
}

#[test]
fn d2_3_reserved_bits_fail() {
    check_row("d2.3");
}

#[test]
fn d2_4_reserved_opcodes_fail() {
    check_row("d2.4");
}

#[test]
fn d2_5_fragmented_control_frame_fails() {
    check_row("d2.5");
}

#[test]
fn d2_6_control_frame_over_125_bytes_fails() {
    check_row("d2.6");
}

#[test]
fn d2_7_length_in_more_bytes_than_needed_fails() {
    check_row("d2.7");
}

#[test]
fn d2_8_giant_lengths_fail_without_being_allocated() {
    check_row("d2.8");
}

#[test]
fn d2_9_continuations_out_of_place_fail() {
    check_row("d2.9");
}

#[test]
fn d2_10_flood_of_tiny_fragments_ends_at_the_seventeenth() {
    check_row("d2.10");
    let mut flood = masked_frame(0x01, b"", [1, 2, 3, 4]);
    for _ in 1..10_000 {
        flood.extend(masked_frame(0x00, b"", [1, 2, 3, 4]));
    }
    assert_eq!(code(&read(&flood, [])), Some(1008));
}

#[test]
fn d2_11_header_may_be_split_at_every_byte() {
    check_row("d2.11");
}

#[test]
fn d2_12_pings_and_unasked_pongs_are_handed_out() {
    check_row("d2.12");
}

#[test]
fn d2_13_only_allowed_closes_are_accepted_and_nothing_follows_one() {
    check_row("d2.13");
}

#[test]
fn d2_14_binary_message_fails() {
    check_row("d2.14");
}

#[test]
fn d2_19_three_requests_of_one_segment_come_in_order() {
    check_row("d2.19");
}

#[test]
fn d2_25_bytes_of_other_protocols_fail_at_their_first_byte() {
    check_row("d2.25");
}

#[test]
fn d2_26_message_of_4096_bytes_is_the_longest() {
    check_row("d2.26");
}

#[test]
fn d2_27_character_may_be_split_between_fragments() {
    check_row("d2.27");
}

#[test]
fn d2_28_masking_key_may_be_zero() {
    check_row("d2.28");
}

#[test]
fn whole_message_is_handed_out_from_the_read_buffer() {
    let mut bytes = masked_frame(0x81, b"hello", [9, 8, 7, 6]);
    let place = bytes.as_ptr_range();
    let mut reader = Reader::default();
    let mut input = Input::new(&mut bytes);
    let Some(Ok(Incoming::Text(text))) = reader.poll(&mut input) else { panic!("a text") };
    assert_eq!(text, "hello");
    assert!(place.contains(&text.as_ptr()));
    assert_eq!(reader.heap_bytes(), 0);
}

#[test]
fn buffer_of_a_split_message_is_bounded_and_freed_with_it() {
    let bytes = masked_frame(0x81, &[b'a'; MESSAGE_BYTES_MAX], [9, 8, 7, 6]);
    let mut reader = Reader::default();
    let mut messages = 0;
    for piece in bytes.chunks(100) {
        let mut piece = piece.to_vec();
        let mut input = Input::new(&mut piece);
        while let Some(step) = reader.poll(&mut input) {
            assert_eq!(step, Ok(Incoming::Text(&"a".repeat(MESSAGE_BYTES_MAX))));
            assert!(reader.heap_bytes() <= READER_HEAP_BYTES_MAX);
            messages += 1;
        }
        assert_eq!(reader.heap_bytes() > 0, messages == 0);
        assert!(reader.heap_bytes() <= READER_HEAP_BYTES_MAX);
    }
    assert_eq!(messages, 1);
}

/// The same streams in every run.
fn config(seed: u64) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(seed);
    ProptestConfig {
        cases: 20_000,
        rng_seed,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[test]
fn every_stream_reads_as_the_model_says_however_it_is_split() {
    let seen = RefCell::new(BTreeMap::new());
    let cuts = proptest::collection::vec(any::<prop::sample::Index>(), 0..12);
    TestRunner::new(config(1))
        .run(&(model::stream(), cuts, any::<bool>()), |(Stream(bytes), cuts, bytewise)| {
            let expected = model::read(&bytes);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            if bytewise {
                cuts = (1..bytes.len()).collect();
            }
            cuts.sort_unstable();
            let reading = read(&bytes, cuts);
            prop_assert_eq!(&reading.events, &expected.events);
            prop_assert_eq!(code(&reading), expected.failure.map(|(code, _)| code));
            if bytewise {
                prop_assert_eq!(reading.failure, expected.failure);
            }
            count(&mut seen.borrow_mut(), &reading);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("seed 1: {error}"));
    let seen = seen.into_inner();
    for outcome in ["text", "ping", "pong", "close", "1002", "1003", "1007", "1008", "1009"] {
        let times = seen.get(outcome).copied().unwrap_or(0);
        assert!(times >= 100, "{outcome} came {times} times: {seen:?}");
    }
}

fn count(seen: &mut BTreeMap<String, u32>, reading: &Reading) {
    let kinds = reading.events.iter().map(|event| match event {
        Event::Text(_) => "text".to_owned(),
        Event::Ping(_) => "ping".to_owned(),
        Event::Pong(_) => "pong".to_owned(),
        Event::Close(..) => "close".to_owned(),
    });
    for kind in kinds.chain(code(reading).map(|code| code.to_string())) {
        *seen.entry(kind).or_default() += 1;
    }
}

#[test]
fn text_in_pieces_is_utf8_exactly_when_it_is_as_a_whole() {
    let text = model::nearly_utf8(0..40);
    TestRunner::new(config(2))
        .run(&(text, any::<[u8; 4]>()), |(text, mask)| {
            let bytes = masked_frame(0x81, &text, mask);
            let reading = read(&bytes, 1..bytes.len());
            let failed_at = (1..=text.len()).find(|&end| {
                std::str::from_utf8(&text[..end])
                    .is_err_and(|error| error.error_len().is_some() || end == text.len())
            });
            let header_bytes = bytes.len() - text.len();
            prop_assert_eq!(reading.failure, failed_at.map(|at| (1007, header_bytes + at)));
            prop_assert_eq!(reading.events.len(), usize::from(failed_at.is_none()));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("seed 2: {error}"));
}
