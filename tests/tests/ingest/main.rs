//! Devices over TCP through the whole program, between a real Redis and a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod authority;
mod crowds;
mod ends;
mod kills;
mod malformed;
mod redis;
mod rig;
mod trips;
