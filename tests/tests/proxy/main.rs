//! The wire that can break does break as it is told, and only so.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod faults;
mod postgres;
mod redis;
