//! The harness of the tests: real servers, each in a directory of its own, gone when dropped.
//!
//! Tests never skip: a server that is not installed fails them with a sentence that says what to
//! install.

pub mod counting;
pub mod directory;
pub mod postgres;
pub mod program;
pub mod redis;
