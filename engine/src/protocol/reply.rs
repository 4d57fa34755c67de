//! Replies, as finished WebSocket text frames; field order and every byte are those of v1.

use super::escape::write_escaped;
use super::refusal::{ErrorCode, Refusal};
use super::text::{RequestId, TOPIC_PREFIX, Topic};
use crate::id::EventId;
use crate::websocket::text_header;

/// Appends the private part of a `subscribed` frame: header and payload up to the value of
/// `snapshot`.
///
/// The frame is complete with `tail_bytes` more bytes, the entries in `[` and `]` and the closing
/// brace, which are the same for everyone who subscribes at that moment.
pub fn write_subscribed_prefix(
    out: &mut Vec<u8>,
    event: EventId,
    id: Option<&RequestId>,
    tail_bytes: usize,
) {
    write_frame(out, tail_bytes, |out| {
        out.extend_from_slice(br#"{"type":"subscribed""#);
        write_topic(out, &Topic::Event(event));
        write_id(out, id);
        out.extend_from_slice(br#","snapshot":"#);
    });
}

/// Appends an `unsubscribed` frame; without an id when no request asked for it.
pub fn write_unsubscribed(out: &mut Vec<u8>, event: EventId, id: Option<&RequestId>) {
    write_frame(out, 0, |out| {
        out.extend_from_slice(br#"{"type":"unsubscribed""#);
        write_topic(out, &Topic::Event(event));
        write_id(out, id);
        out.push(b'}');
    });
}

/// Appends an `error` frame. The message is one plain sentence, [`ErrorCode::sentence`] if there is
/// nothing more precise to say.
pub fn write_error(
    out: &mut Vec<u8>,
    code: ErrorCode,
    topic: Option<&Topic>,
    id: Option<&RequestId>,
    message: &str,
) {
    write_frame(out, 0, |out| {
        out.extend_from_slice(br#"{"type":"error","code":""#);
        out.extend_from_slice(code.text().as_bytes());
        out.push(b'"');
        if let Some(topic) = topic {
            write_topic(out, topic);
        }
        write_id(out, id);
        out.extend_from_slice(br#","message":""#);
        write_escaped(out, message);
        out.extend_from_slice(br#""}"#);
    });
}

/// Appends the `error` frame that answers a refused message.
pub fn write_refusal(out: &mut Vec<u8>, refusal: &Refusal) {
    let (topic, id) = (refusal.topic.as_ref(), refusal.id.as_ref());
    write_error(out, refusal.cause.code(), topic, id, refusal.cause.sentence());
}

/// Appends a payload and puts the header before it. Shifting a few hundred bytes is cheaper than to
/// work out beforehand how long the escaped echoes become.
fn write_frame(out: &mut Vec<u8>, tail_bytes: usize, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    payload(out);
    let header = text_header(out.len() - start + tail_bytes);
    out.extend_from_slice(header.as_bytes());
    out[start..].rotate_right(header.as_bytes().len());
}

fn write_topic(out: &mut Vec<u8>, topic: &Topic) {
    out.extend_from_slice(br#","topic":""#);
    match topic {
        Topic::Event(event) => {
            out.extend_from_slice(TOPIC_PREFIX.as_bytes());
            out.extend_from_slice(&event.text());
        }
        Topic::Unknown(text) => write_escaped(out, text.as_str()),
    }
    out.push(b'"');
}

fn write_id(out: &mut Vec<u8>, id: Option<&RequestId>) {
    if let Some(RequestId(text)) = id {
        out.extend_from_slice(br#","id":""#);
        write_escaped(out, text.as_str());
        out.push(b'"');
    }
}
