//! The durable plane through the whole program, between a real Redis and a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod claims;
mod ends;
mod holding;
mod parked;
mod redis;
mod refusals;
mod rig;
mod storing;
mod trimmed;
mod wire;
