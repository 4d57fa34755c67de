//! The live source against a real Redis, and whatever may happen to it and to the way there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backlog;
mod bad_input;
mod connection;
mod names;
mod refusals;
mod restarts;
mod rig;
mod shards;
