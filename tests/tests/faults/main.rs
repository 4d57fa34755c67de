//! Faults and threats through the whole program: what breaks outside, who misbehaves, and what the
//! viewers beside that notice of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod crowds;
mod ends;
mod files;
mod numbers;
mod outages;
mod peers;
mod snapshots;
mod strangers;
mod users;
