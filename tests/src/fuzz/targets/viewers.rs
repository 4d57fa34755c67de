//! Targets: what viewers say, as WebSocket frames and as messages of v1.

use std::mem::discriminant;

use engine::limits::READER_HEAP_BYTES_MAX;
use engine::protocol::{Request, RequestKind, parse_request, write_refusal, write_unsubscribed};
use engine::websocket::{Failure, Incoming, Input, Reader};
use serde_json::{Value, json};

use crate::fuzz::feature::feature;

const SUBSCRIBE: &str =
    r#"{"type":"subscribe","topic":"event:6f1b1e8a-3c52-4e0e-9a41-0d7f5c1b2a3d","id":"1"}"#;
const UNSUBSCRIBE: &str = r#" {"id":"\u00e9\n", "topic":"event:6f1b1e8a-3c52-4e0e-9a41-0d7f5c1b2a3d","type":"unsubscribe"}"#;
const REFUSED: &str = r#"{"type":"subscribe","topic":"event:all","id":"x","more":[{"a":1.5e3}]}"#;

/// Headers with a mask of zeros, so that the words behind them stay words.
pub(super) const WEBSOCKET_DICTIONARY: &[&[u8]] = &[
    b"\x81\x82\0\0\0\0",
    b"\x01\x83\0\0\0\0",
    b"\x00\x80\0\0\0\0",
    b"\x80\x84\0\0\0\0",
    b"\x88\x82\0\0\0\0\x03\xE8",
    b"\x88\x80\0\0\0\0",
    b"\x89\x81\0\0\0\0",
    b"\x8A\x80\0\0\0\0",
    b"\x82\x80\0\0\0\0",
    b"\x81\xFE\x00\x7E\0\0\0\0",
    b"\x81\xFE\x10\x00\0\0\0\0",
    b"\x81\xFF\0\0\0\0\0\0\x10\x01\0\0\0\0",
    b"\xF0\x9F\x98\x80",
    b"\xED\xA0\x80",
];

pub(super) const PROTOCOL_DICTIONARY: &[&[u8]] = &[
    b"\"type\":",
    b"\"topic\":",
    b"\"id\":",
    b"\"subscribe\"",
    b"\"unsubscribe\"",
    b"\"event:",
    b"null",
    b"{\"",
    b"},",
    b"[[[[[[[[[",
    b"\\u0000",
    b"\\ud83d\\ude00",
    b"\\ud83d",
    b"\\\"",
    b"1e5",
    b"-0",
    b"\xEF\xBB\xBF",
    b"\xF0\x9F\x98\x80",
];

/// The first byte says into how large pieces the rest is cut.
pub(super) fn websocket_seeds() -> Vec<Vec<u8>> {
    let short = u8::try_from(SUBSCRIBE.len()).expect("under 126");
    let whole = [&[0, 0x81, 0x80 | short, 0, 0, 0, 0], SUBSCRIBE.as_bytes()].concat();
    let split = b"\x02\x01\x83\0\0\0\0{\"a\x89\x81\0\0\0\0p\x80\x83\0\0\0\0\":1".to_vec();
    let closing = b"\x01\x81\x84\x01\x02\x03\x04abcd\x88\x84\0\0\0\0\x03\xE9by".to_vec();
    vec![whole, split, closing]
}

pub(super) fn protocol_seeds() -> Vec<Vec<u8>> {
    [SUBSCRIBE, UNSUBSCRIBE, REFUSED].map(|text| text.as_bytes().to_vec()).to_vec()
}

/// What a viewer says does not depend on where the network cuts it, and stays within its bound.
pub(super) fn websocket(input: &[u8]) -> u64 {
    let Some((&first, bytes)) = input.split_first() else { return 0 };
    let whole = said(bytes, bytes.len().max(1));
    let in_pieces = said(bytes, usize::from(first) + 1);
    assert_eq!(whole, in_pieces, "the split makes a difference");
    let kinds = |said: &Said| match said {
        Said::Failure(failure) => (4, Some(*failure as u8)),
        Said::Close(code, _) => (3, Some(u8::from(code.is_some()))),
        Said::Text(_) => (0, None),
        Said::Ping(_) => (1, None),
        Said::Pong(_) => (2, None),
    };
    let tail = &whole[whole.len().saturating_sub(3)..];
    feature(tail.iter().map(kinds).collect::<Vec<_>>())
}

/// [`Incoming`] with its own bytes.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Text(String),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Failure(Failure),
}

fn said(bytes: &[u8], piece_bytes: usize) -> Vec<Said> {
    let mut reader = Reader::default();
    let mut said = Vec::new();
    for piece in bytes.chunks(piece_bytes) {
        let mut piece = piece.to_vec();
        let mut input = Input::new(&mut piece);
        while let Some(step) = reader.poll(&mut input) {
            said.push(match step {
                Ok(Incoming::Text(text)) => Said::Text(text.to_owned()),
                Ok(Incoming::Ping(payload)) => Said::Ping(payload.to_vec()),
                Ok(Incoming::Pong(payload)) => Said::Pong(payload.to_vec()),
                Ok(Incoming::Close { code, reason }) => {
                    Said::Close(code.map(|code| code.number()), reason.to_owned())
                }
                Err(failure) => Said::Failure(failure),
            });
        }
        assert!(reader.heap_bytes() <= READER_HEAP_BYTES_MAX, "{} bytes", reader.heap_bytes());
    }
    said
}

/// What is accepted is JSON and means the same when written plainly; what is refused is answered in
/// JSON.
pub(super) fn protocol(input: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    match parse_request(text) {
        Ok(request) => {
            assert!(serde_json::from_str::<Value>(text).is_ok(), "accepted, but not JSON");
            assert_eq!(parse_request(&written(&request)), Ok(request), "it means another thing");
            let mut reply = Vec::new();
            write_unsubscribed(&mut reply, request.event, request.id.as_ref());
            let echoed = request.id.as_ref().map_or(Value::Null, |id| json!(id.0.as_str()));
            assert_eq!(payload_of(&reply)["id"], echoed, "the id is not echoed");
            feature((discriminant(&request.kind), request.id.is_some()))
        }
        Err(refusal) => {
            let mut reply = Vec::new();
            write_refusal(&mut reply, &refusal);
            assert_eq!(payload_of(&reply)["type"], "error");
            let known = (refusal.topic.is_some(), refusal.id.is_some());
            feature((discriminant(&refusal.cause), known))
        }
    }
}

/// The request as the plainest client would write it.
fn written(request: &Request) -> String {
    let kind = match request.kind {
        RequestKind::Subscribe => "subscribe",
        RequestKind::Unsubscribe => "unsubscribe",
    };
    let mut message = json!({ "type": kind, "topic": format!("event:{}", request.event) });
    if let Some(id) = &request.id {
        message["id"] = json!(id.0.as_str());
    }
    message.to_string()
}

/// The JSON of one finished text frame.
fn payload_of(frame: &[u8]) -> Value {
    let header_bytes = if frame[1] < 126 { 2 } else { 4 };
    serde_json::from_slice(&frame[header_bytes..]).expect("a reply is JSON")
}
