//! Requests and replies of v1: the golden pairs under `data/protocol`, and random messages judged by
//! another JSON reader.
//!
//! A golden line has the request as a viewer sends it and the reply to the byte. A request that is
//! accepted is answered as if its event had no device.

use std::cell::RefCell;
use std::collections::BTreeMap;

use engine::id::EventId;
use engine::protocol::{
    Cause, ErrorCode, Refusal, Request, RequestId, RequestKind, ShortText, Topic, parse_request,
    write_error, write_refusal, write_subscribed_prefix, write_unsubscribed,
};
use engine::websocket::text_header;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::Value;

#[path = "protocol/oracle.rs"]
mod oracle;

const TOPIC: &str = "event:6f1b1e8a-3c52-4e0e-9a41-0d7f5c1b2a3d";

/// The reply to one message, without the frame's header, which is checked.
fn reply(message: &str) -> String {
    let mut out = Vec::new();
    match parse_request(message) {
        Ok(Request { kind: RequestKind::Subscribe, event, id }) => {
            write_subscribed_prefix(&mut out, event, id.as_ref(), b"[]}".len());
            out.extend_from_slice(b"[]}");
        }
        Ok(Request { kind: RequestKind::Unsubscribe, event, id }) => {
            write_unsubscribed(&mut out, event, id.as_ref());
        }
        Err(refusal) => write_refusal(&mut out, &refusal),
    }
    payload(&out)
}

/// The payload of a frame that is alone in `frame`.
fn payload(frame: &[u8]) -> String {
    let header_bytes = if frame[1] == 126 { 4 } else { 2 };
    let (header, payload) = frame.split_at(header_bytes);
    assert_eq!(header, text_header(payload.len()).as_bytes());
    String::from_utf8(payload.to_vec()).expect("UTF-8")
}

/// Checks every golden line of one row.
fn check_row(row: &str) {
    let lines = include_str!("../data/protocol/requests.jsonl");
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut count = 0;
    for line in lines.filter(|line| line["row"] == row) {
        let text = |field: &str| line[field].as_str().expect("a text").to_owned();
        assert_eq!(reply(&text("request")), text("reply"), "{}", text("name"));
        count += 1;
    }
    assert!(count > 0, "the golden file has row {row}");
}

#[test]
fn requests_of_v1_are_accepted_and_their_id_echoed() {
    check_row("v1");
}

#[test]
fn d2_15_well_formed_nonsense_is_refused() {
    check_row("d2.15");
}

#[test]
fn d2_16_unknown_field_is_refused() {
    check_row("d2.16");
}

#[test]
fn d2_17_repeated_field_is_refused_and_not_echoed() {
    check_row("d2.17");
}

#[test]
fn d2_18_what_is_not_json_is_refused() {
    check_row("d2.18");
}

#[test]
fn d2_23_ping_as_json_is_refused() {
    check_row("d2.23");
}

#[test]
fn d2_24_types_of_the_server_are_refused() {
    check_row("d2.24");
}

#[test]
fn errors_have_only_what_is_known_and_the_fields_in_order() {
    let check = |code: ErrorCode, topic: Option<&Topic>, id: Option<&str>, expected: &str| {
        let id = id.map(|id| RequestId(ShortText::new(id).expect("short")));
        let mut out = Vec::new();
        write_error(&mut out, code, topic, id.as_ref(), code.sentence());
        assert_eq!(payload(&out), expected);
    };
    let event = EventId::parse(&TOPIC.as_bytes()[6..]).map(Topic::Event);
    check(
        ErrorCode::Forbidden,
        event.as_ref(),
        Some("7"),
        &format!(
            r#"{{"type":"error","code":"forbidden","topic":"{TOPIC}","id":"7","message":"You may not see this event."}}"#
        ),
    );
    let rest: [(ErrorCode, &str, &str); 4] = [
        (ErrorCode::NotFound, "not-found", "There is no such event."),
        (ErrorCode::Error, "error", "Access could not be checked. Try again."),
        (
            ErrorCode::TooManyTopics,
            "too-many-topics",
            "This connection has as many topics as it may have.",
        ),
        (ErrorCode::RateLimited, "rate-limited", "Too many requests. Slow down."),
    ];
    for (code, text, sentence) in rest {
        let expected = format!(r#"{{"type":"error","code":"{text}","message":"{sentence}"}}"#);
        check(code, None, None, &expected);
    }
}

#[test]
fn subscribed_prefix_counts_the_shared_tail() {
    let event = EventId::parse(&TOPIC.as_bytes()[6..]).expect("a uuid");
    let prefix = format!(r#"{{"type":"subscribed","topic":"{TOPIC}","snapshot":"#);
    for tail_bytes in [3, 40, 200, 65_535, 10_000_000] {
        let mut out = b"before".to_vec();
        write_subscribed_prefix(&mut out, event, None, tail_bytes);
        let header = text_header(prefix.len() + tail_bytes);
        assert_eq!(out, [b"before", header.as_bytes(), prefix.as_bytes()].concat());
    }
}

/// The same messages in every run.
fn runner(seed: u64) -> TestRunner {
    let rng_seed = RngSeed::Fixed(seed);
    let config = ProptestConfig {
        cases: 20_000,
        rng_seed,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
}

/// A JSON string with this text, some characters escaped.
fn quoted(text: &str, escape_every: usize) -> String {
    let mut quoted = "\"".to_owned();
    for (at, character) in text.chars().enumerate() {
        if (at + 1) % escape_every == 0 {
            for unit in character.encode_utf16(&mut [0; 2]) {
                quoted.push_str(&format!("\\u{unit:04X}"));
            }
        } else {
            let plain = serde_json::to_string(&character).expect("a character");
            quoted.push_str(&plain[1..plain.len() - 1]);
        }
    }
    quoted + "\""
}

/// One `"key":value`, right or wrong.
fn member() -> impl Strategy<Value = String> {
    let texts = prop_oneof![
        4 => select(vec!["subscribe", "unsubscribe"]).prop_map(str::to_owned),
        4 => Just(TOPIC.to_owned()),
        1 => Just(TOPIC.to_uppercase()),
        1 => select(vec!["", "position", "event:", "\0", "event:*"]).prop_map(str::to_owned),
        2 => ".{0,12}",
        1 => "[a-zé]{50,70}",
    ];
    let other = select(vec![
        "null",
        "true",
        "0",
        "-1.5e3",
        "[]",
        "{}",
        "[1,[2]]",
        r#"{"id":"x"}"#,
        r#""\ud800""#,
        "[[[[[[[]]]]]]]",
        "[[[[[[[[]]]]]]]]",
        "01",
        "nan",
        "[,]",
    ]);
    let value = prop_oneof![
        12 => (texts, 1_usize..40).prop_map(|(text, every)| quoted(&text, every)),
        1 => other.prop_map(str::to_owned),
    ];
    let key = prop_oneof![
        20 => select(vec!["type", "topic", "id"]).prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    (key, 3_usize..40, value).prop_map(|(key, every, value)| quoted(&key, every) + ":" + &value)
}

/// Messages: the right members, some others, in any order, with white space.
fn message() -> impl Strategy<Value = String> {
    let right = (
        select(vec![r#""type":"subscribe""#, r#""type":"unsubscribe""#]).prop_map(str::to_owned),
        prop_oneof![
            6 => Just(TOPIC.to_owned()),
            1 => ".{0,20}",
            1 => "event:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        ]
        .prop_map(|topic| format!("\"topic\":{}", quoted(&topic, 30))),
        prop::option::of((".{0,20}", 2_usize..20))
            .prop_map(|id| id.map(|(id, every)| format!("\"id\":{}", quoted(&id, every)))),
    );
    let right = right.prop_map(|(kind, topic, id)| [Some(kind), Some(topic), id]);
    let right = right.prop_map(|members| members.into_iter().flatten().collect::<Vec<_>>());
    let others = prop_oneof![3 => Just(Vec::new()), 1 => vec(member(), 1..3)];
    let all = prop_oneof![
        5 => (right, others).prop_map(|(right, others)| [right, others].concat()),
        1 => vec(member(), 0..5),
    ];
    let spaces = select(vec!["", "", " ", "\n\t", "\r\n"]);
    (all.prop_shuffle(), spaces).prop_map(|(members, space)| {
        let members = members.join(&format!("{space},{space}"));
        format!("{space}{{{space}{members}{space}}}{space}")
    })
}

/// Takes out, puts in or changes one character.
fn mutated(message: &str, at: Index, with: Option<char>, is_insertion: bool) -> String {
    let mut characters: Vec<char> = message.chars().collect();
    let at = at.index(characters.len());
    match with {
        Some(character) if is_insertion => characters.insert(at, character),
        Some(character) => characters[at] = character,
        None => drop(characters.remove(at)),
    }
    characters.into_iter().collect()
}

/// The engine and the oracle say the same; gives back what they said.
fn judge(message: &str) -> Result<&'static str, TestCaseError> {
    let parsed = parse_request(message);
    let (topic, id, cause) = match &parsed {
        Ok(request) => (Some(Topic::Event(request.event)), request.id, None),
        Err(Refusal { cause, topic, id }) => (*topic, *id, Some(*cause)),
    };
    let topic = topic.map(|topic| match topic {
        Topic::Event(event) => format!("event:{event}"),
        Topic::Unknown(text) => text.as_str().to_owned(),
    });
    let id = id.map(|RequestId(id)| id.as_str().to_owned());
    let expected = oracle::judge(message);
    prop_assert_eq!(parsed.map(|request| request.kind).ok(), expected.kind);
    prop_assert_eq!(
        cause.is_some_and(|cause| cause.code() == ErrorCode::UnknownTopic),
        expected.is_unknown_topic
    );
    // The oracle also refuses numbers beyond its range, whole message and all; the grammar does not.
    if !expected.is_number_out_of_range {
        prop_assert_eq!((&topic, &id), (&expected.topic, &expected.id));
        let is_unreadable = matches!(cause, Some(Cause::Malformed | Cause::TooDeep));
        prop_assert_eq!(is_unreadable, expected.is_unreadable);
    }
    let reply = reply(message);
    let value: Value = serde_json::from_str(&reply).expect("a reply is JSON");
    prop_assert_eq!(value.get("id").and_then(Value::as_str), id.as_deref());
    prop_assert_eq!(value.get("topic").and_then(Value::as_str), topic.as_deref());
    Ok(match cause {
        None => "accepted",
        Some(Cause::Malformed) => "malformed",
        Some(Cause::TooDeep) => "deep",
        Some(Cause::TopicUnknown) => "unknown topic",
        Some(_) => "violation",
    })
}

#[test]
fn every_message_is_judged_as_the_oracle_does() {
    let seen = RefCell::new(BTreeMap::new());
    let change = (
        any::<Index>(),
        prop::option::of(select(vec![
            '"', '\\', ',', ':', '{', '}', '[', ']', ' ', '0', 'e', 'u', '\0', '\u{feff}', 'é', '/',
        ])),
        any::<bool>(),
    );
    runner(3)
        .run(&(message(), vec(change, 0..2)), |(mut message, changes)| {
            for (at, with, is_insertion) in changes {
                message = mutated(&message, at, with, is_insertion);
            }
            let outcome = judge(&message)?;
            *seen.borrow_mut().entry(outcome).or_insert(0) += 1;
            Ok(())
        })
        .unwrap_or_else(|error| panic!("seed 3: {error}"));
    let seen: BTreeMap<&str, u32> = seen.into_inner();
    assert!(seen.len() == 5 && seen.values().all(|&times| times >= 20), "{seen:?}");
}

#[test]
fn replies_say_to_another_reader_what_was_written() {
    let short = || ".{0,16}".prop_filter_map("at most 64 bytes", |text| ShortText::new(&text));
    let case = (any::<u128>(), prop::option::of(short()), prop::option::of(short()), ".*");
    runner(4)
        .run(&case, |(event, topic, id, message)| {
            let event = EventId(event);
            let id = id.map(RequestId);
            let check = |write: &dyn Fn(&mut Vec<u8>), expected: Value| {
                let mut out = Vec::new();
                write(&mut out);
                let read: Value = serde_json::from_str(&payload(&out)).expect("JSON");
                prop_assert_eq!(read, expected);
                Ok(())
            };
            let with_known = |mut value: Value, topic: Option<&str>| {
                let fields = [("topic", topic), ("id", id.as_ref().map(|id| id.0.as_str()))];
                for (name, text) in fields {
                    if let Some(text) = text {
                        value[name] = text.into();
                    }
                }
                value
            };
            let event_topic = format!("event:{event}");
            check(
                &|out| write_unsubscribed(out, event, id.as_ref()),
                with_known(serde_json::json!({"type": "unsubscribed"}), Some(&event_topic)),
            )?;
            check(
                &|out| {
                    write_subscribed_prefix(out, event, id.as_ref(), 10);
                    out.extend_from_slice(b"[1,2,3,4]}");
                },
                with_known(
                    serde_json::json!({"type": "subscribed", "snapshot": [1, 2, 3, 4]}),
                    Some(&event_topic),
                ),
            )?;
            let unknown = topic.map(Topic::Unknown);
            check(
                &|out| {
                    let code = ErrorCode::UnknownTopic;
                    write_error(out, code, unknown.as_ref(), id.as_ref(), &message);
                },
                with_known(
                    serde_json::json!({"type": "error", "code": "unknown-topic", "message": message}),
                    topic.as_ref().map(ShortText::as_str),
                ),
            )
        })
        .unwrap_or_else(|error| panic!("seed 4: {error}"));
}
