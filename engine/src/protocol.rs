//! The messages of v1, both ways: what a viewer may ask, and every reply that is not a position.
//!
//! Requests are read strictly: anything v1 does not name is refused, with the `id` and `topic` of
//! the refused message so that the client knows which one it was. Replies are finished WebSocket
//! frames. v1 is locked: every byte written here is fixed by golden files.

pub(crate) mod escape;
mod json;
mod parse;
mod refusal;
mod reply;
mod text;

pub use parse::{Request, RequestKind, parse_request};
pub use refusal::{Cause, ErrorCode, Refusal};
pub use reply::{write_error, write_refusal, write_subscribed_prefix, write_unsubscribed};
pub use text::{RequestId, ShortText, Topic};
