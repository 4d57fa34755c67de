//! The durable plane through the whole program, between a real Redis and a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod broken_wires;
mod holding;
mod refusals;
mod rig;
mod storing;
