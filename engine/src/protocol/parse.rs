//! One message of a viewer becomes a request, or a refusal that says why not.

use super::json::{Json, Value};
use super::refusal::{Cause, Refusal};
use super::text::{RequestId, ShortText, Topic};
use crate::id::EventId;

/// What a viewer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// Begin to receive the event: a snapshot, then every position.
    Subscribe,
    /// Receive it no more.
    Unsubscribe,
}

/// A message that broke no rule. It owns nothing, so that it can wait for its authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub kind: RequestKind,
    /// The event of its topic.
    pub event: EventId,
    /// To be echoed when present.
    pub id: Option<RequestId>,
}

/// Reads one message.
///
/// # Errors
/// Everything that is not exactly a request of v1. Only [`Cause::TopicUnknown`] is no violation.
#[expect(
    clippy::result_large_err,
    reason = "a refusal holds what it echoes inline, as a request does: nothing is allocated"
)]
pub fn parse_request(text: &str) -> Result<Request, Refusal> {
    let mut fields = Fields::default();
    match fields.read(text) {
        Ok(()) => fields.judge(),
        Err(cause) => Err(Refusal { cause, topic: None, id: None }),
    }
}

/// What was found in a message so far.
#[derive(Default)]
struct Fields {
    kind: Field<RequestKind>,
    topic: Field<Topic>,
    id: Field<RequestId>,
    first_fault: Option<Cause>,
}

/// One field of a message.
#[derive(Clone, Copy, Default)]
enum Field<T> {
    #[default]
    Absent,
    Valid(T),
    /// Present, and not to be used: invalid in itself, or there twice.
    Unusable,
}

impl<T: Copy> Field<T> {
    fn valid(self) -> Option<T> {
        match self {
            Self::Valid(value) => Some(value),
            Self::Absent | Self::Unusable => None,
        }
    }

    /// Takes what was found; says whether the field was there before.
    fn put(&mut self, value: Option<T>) -> bool {
        let is_repeated = !matches!(self, Self::Absent);
        *self = value.filter(|_| !is_repeated).map_or(Self::Unusable, Self::Valid);
        is_repeated
    }
}

impl Fields {
    /// Reads the whole message, past every fault but those of the JSON itself.
    fn read(&mut self, text: &str) -> Result<(), Cause> {
        let mut json = Json::new(text);
        if json.peek() == Some(b'{') {
            json.object(|json, key| {
                let value = json.value()?;
                self.put(key, &value);
                Ok(())
            })?;
        } else {
            json.value()?;
            self.fault(Cause::NotAnObject);
        }
        json.end()
    }

    fn put(&mut self, key: Option<ShortText>, value: &Value) {
        let text = match value {
            Value::Text(text) => *text,
            Value::Other => None,
        };
        let echo = text.filter(|text| !text.as_str().contains('\0'));
        let (is_valid, is_repeated) = match key.as_ref().map(ShortText::as_str) {
            Some("type") => {
                let kind = text.and_then(|text| parse_kind(text.as_str()));
                (kind.ok_or(Cause::TypeUnknown).map(drop), self.kind.put(kind))
            }
            Some("topic") => {
                (echo.ok_or(Cause::TopicInvalid).map(drop), self.topic.put(echo.map(Topic::parse)))
            }
            Some("id") => {
                (echo.ok_or(Cause::IdInvalid).map(drop), self.id.put(echo.map(RequestId)))
            }
            _ => (Err(Cause::FieldUnknown), false),
        };
        if is_repeated {
            self.fault(Cause::FieldRepeated);
        } else if let Err(cause) = is_valid {
            self.fault(cause);
        }
    }

    fn fault(&mut self, cause: Cause) {
        self.first_fault = self.first_fault.or(Some(cause));
    }

    #[expect(clippy::result_large_err, reason = "see `parse_request`")]
    fn judge(mut self) -> Result<Request, Refusal> {
        if matches!(self.kind, Field::Absent) {
            self.fault(Cause::TypeMissing);
        }
        if matches!(self.topic, Field::Absent) {
            self.fault(Cause::TopicMissing);
        }
        let (topic, id) = (self.topic.valid(), self.id.valid());
        let refuse = |cause| Err(Refusal { cause, topic, id });
        match (self.first_fault, self.kind.valid(), topic) {
            (None, Some(kind), Some(Topic::Event(event))) => Ok(Request { kind, event, id }),
            (None, ..) => refuse(Cause::TopicUnknown),
            (Some(cause), ..) => refuse(cause),
        }
    }
}

fn parse_kind(text: &str) -> Option<RequestKind> {
    match text {
        "subscribe" => Some(RequestKind::Subscribe),
        "unsubscribe" => Some(RequestKind::Unsubscribe),
        _ => None,
    }
}
