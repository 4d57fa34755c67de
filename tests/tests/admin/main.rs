//! The admin listener as operators and strangers meet it: over real sockets, with made-up parts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod office;
mod pages;
mod strangers;
