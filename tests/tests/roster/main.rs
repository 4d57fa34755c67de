//! The roster's keeper and its connection against a real PostgreSQL with the platform's tables.
//!
//! What the keeper says is applied to slots of the engine, so a test asks what a snapshot shows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod away;
mod connection;
mod fixes;
mod registrations;
mod scene;
