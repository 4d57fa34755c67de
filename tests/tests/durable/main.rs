//! The durable plane through the whole program, between a real Redis and a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backlog;
mod bad_input;
mod broken_wires;
mod claims;
mod ends;
mod holding;
mod parked;
mod planes;
mod postgres;
mod redis;
mod refusals;
mod rig;
mod shape;
mod storing;
mod trimmed;
mod wire;
