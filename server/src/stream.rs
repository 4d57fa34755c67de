//! How pitwall speaks with Redis: what every reader of a stream needs, whatever it does with entries.
//!
//! Entries are read over a [`Link`] of their own, in place, out of one buffer. Everything else,
//! which is rare, goes over a [`Control`]. Neither decides what a failure means for its plane: it
//! gets a [`Failure`] with a class.

mod backoff;
mod control;
mod cursor;
mod entries;
mod failure;
mod link;
pub(crate) mod policy;
mod reply;
mod server;

pub use backoff::Backoff;
pub use control::Control;
pub use cursor::Cursor;
pub use entries::{Entries, Entry, Pairs, first_id};
pub use failure::{Class, Failure};
pub use link::{Before, Link};
pub use reply::{
    BULK_BYTES_MAX, KEPT_BYTES_MAX, LINE_BYTES_MAX, Malformed, REPLY_BYTES_MAX, ROOM_BYTES,
    ReplyReader,
};
pub use server::{Server, clustered};
