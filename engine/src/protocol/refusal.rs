//! Why a message is refused, and the error codes of v1.

use std::error::Error;
use std::fmt;

use super::text::{RequestId, Topic};

/// The `code` of an `error` message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The topic is not `event:<uuid>`.
    UnknownTopic,
    /// The user may not see the event.
    Forbidden,
    /// The authority itself says that there is no such event.
    NotFound,
    /// Authorization could not be decided; the client may retry.
    Error,
    /// The message is malformed, or has a type or field that v1 does not have.
    ProtocolViolation,
    /// The connection has as many topics as it may have.
    TooManyTopics,
    /// The connection asks too often.
    RateLimited,
}

impl ErrorCode {
    /// The code on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::UnknownTopic => "unknown-topic",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::Error => "error",
            Self::ProtocolViolation => "protocol-violation",
            Self::TooManyTopics => "too-many-topics",
            Self::RateLimited => "rate-limited",
        }
    }

    /// The `message` when there is nothing more precise to say.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::UnknownTopic => "The topic is not event:<uuid>.",
            Self::Forbidden => "You may not see this event.",
            Self::NotFound => "There is no such event.",
            Self::Error => "Access could not be checked. Try again.",
            Self::ProtocolViolation => "The message is not one of v1.",
            Self::TooManyTopics => "This connection has as many topics as it may have.",
            Self::RateLimited => "Too many requests. Slow down.",
        }
    }
}

/// What is wrong with a message; the first fault when there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Not JSON by RFC 8259, or a string in it is no text (a lone surrogate).
    Malformed,
    /// Nested deeper than [`crate::limits::MESSAGE_DEPTH_MAX`].
    TooDeep,
    /// JSON, but no object.
    NotAnObject,
    /// A field that v1 does not have.
    FieldUnknown,
    /// A field stands there twice.
    FieldRepeated,
    /// There is no `type`.
    TypeMissing,
    /// The `type` is none that a client may send.
    TypeUnknown,
    /// There is no `topic`.
    TopicMissing,
    /// The `topic` is no string, too long, or has a NUL.
    TopicInvalid,
    /// The `id` is no string, too long, or has a NUL.
    IdInvalid,
    /// The `topic` is not `event:<uuid>`. The only cause that is no violation.
    TopicUnknown,
}

impl Cause {
    /// The code to answer with.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::TopicUnknown => ErrorCode::UnknownTopic,
            Self::Malformed
            | Self::TooDeep
            | Self::NotAnObject
            | Self::FieldUnknown
            | Self::FieldRepeated
            | Self::TypeMissing
            | Self::TypeUnknown
            | Self::TopicMissing
            | Self::TopicInvalid
            | Self::IdInvalid => ErrorCode::ProtocolViolation,
        }
    }

    /// One plain sentence for the client's developer.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Malformed => "The message is not well-formed JSON.",
            Self::TooDeep => "The message is nested too deeply.",
            Self::NotAnObject => "The message is not a JSON object.",
            Self::FieldUnknown => "The message has a field that v1 does not have.",
            Self::FieldRepeated => "The message has the same field twice.",
            Self::TypeMissing => "The message has no type.",
            Self::TypeUnknown => "The type is neither subscribe nor unsubscribe.",
            Self::TopicMissing => "The message has no topic.",
            Self::TopicInvalid => "The topic is not a text of at most 64 bytes.",
            Self::IdInvalid => "The id is not a text of at most 64 bytes.",
            Self::TopicUnknown => ErrorCode::UnknownTopic.sentence(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.sentence())
    }
}

/// A message that was refused, with what is needed to say so to its sender.
///
/// Topic and id are known when the message is well-formed JSON and has exactly one of that name
/// which is valid in itself, wherever the fault stands. Of a malformed message nothing is echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub cause: Cause,
    /// The topic, when known.
    pub topic: Option<Topic>,
    /// The id, when known.
    pub id: Option<RequestId>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(formatter)
    }
}

impl Error for Refusal {}
