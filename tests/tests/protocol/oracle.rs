//! The rules for a message of a viewer, on top of another JSON reader and without any care for
//! memory or speed.

use engine::limits::{MESSAGE_DEPTH_MAX, REQUEST_ID_BYTES_MAX, TOPIC_BYTES_MAX};
use engine::protocol::RequestKind;
use serde_json::{Deserializer, Value, from_str};

/// What a message means.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// What it asks, if it is accepted.
    pub(crate) kind: Option<RequestKind>,
    /// The topic that is echoed.
    pub(crate) topic: Option<String>,
    /// The id that is echoed.
    pub(crate) id: Option<String>,
    /// Refused for nothing but its topic.
    pub(crate) is_unknown_topic: bool,
    /// Malformed or too deep: nothing is echoed.
    pub(crate) is_unreadable: bool,
    /// The other reader stopped at a number that is well-formed and means nothing to us.
    pub(crate) is_number_out_of_range: bool,
}

/// Judges a message.
pub(crate) fn judge(message: &str) -> Expected {
    let value = match from_str::<Value>(message) {
        Ok(value) if depth(message) <= MESSAGE_DEPTH_MAX => value,
        Ok(_) => return Expected { is_unreadable: true, ..Expected::default() },
        Err(error) => {
            let is_number_out_of_range = error.to_string().contains("number out of range");
            return Expected { is_unreadable: true, is_number_out_of_range, ..Expected::default() };
        }
    };
    if !value.is_object() {
        return Expected::default();
    }
    let members = members(message);
    let only = |name: &str| {
        let mut values = members.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        values.next().filter(|_| values.next().is_none())
    };
    let text = |name: &str, bytes_max: usize| {
        let text = only(name)?.as_str()?.to_owned();
        (text.len() <= bytes_max && !text.contains('\0')).then_some(text)
    };
    let topic = text("topic", TOPIC_BYTES_MAX);
    let id = text("id", REQUEST_ID_BYTES_MAX);
    let kind = match only("type").and_then(Value::as_str) {
        Some("subscribe") => Some(RequestKind::Subscribe),
        Some("unsubscribe") => Some(RequestKind::Unsubscribe),
        _ => None,
    };
    let fields = 2 + usize::from(id.is_some());
    let is_right = members.len() == fields && kind.is_some() && topic.is_some();
    let is_known = topic.as_deref().is_some_and(is_event_topic);
    Expected {
        kind: kind.filter(|_| is_right && is_known),
        topic,
        id,
        is_unknown_topic: is_right && !is_known,
        ..Expected::default()
    }
}

/// `event:` and a uuid in lower case.
fn is_event_topic(topic: &str) -> bool {
    let Some(uuid) = topic.strip_prefix("event:") else { return false };
    let groups: Vec<&str> = uuid.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && groups.concat().chars().all(|digit| "0123456789abcdef".contains(digit))
}

/// The members of an object that is known to be well-formed, repeated ones too.
fn members(object: &str) -> Vec<(String, Value)> {
    let mut members = Vec::new();
    let mut rest = object.trim_start().strip_prefix('{').expect("an object").trim_start();
    while !rest.starts_with('}') {
        let (key, behind_key) = first_value(rest);
        let colon = behind_key.trim_start().strip_prefix(':').expect("a colon");
        let (value, behind_value) = first_value(colon);
        members.push((key.as_str().expect("a key").to_owned(), value));
        rest = behind_value.trim_start().trim_start_matches(',').trim_start();
    }
    members
}

fn first_value(text: &str) -> (Value, &str) {
    let mut values = Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next().expect("a value").expect("well-formed");
    (value, &text[values.byte_offset()..])
}

/// How deep a well-formed text is nested.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut is_text, mut is_escaped) = (false, false);
    for character in json.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_text = !is_text,
            '{' | '[' if !is_text => depth += 1,
            '}' | ']' if !is_text => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
