//! The listener for viewers, from accepted connections to newcomers of a shard: real sockets, the real
//! listener and access, a Directus that obeys the test, and mailboxes that the test reads.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails at the line where something is not as it must be"
)]

mod entrance;
mod handover;
mod identity;
mod leaving;
mod limits;
mod page;
mod requests;
