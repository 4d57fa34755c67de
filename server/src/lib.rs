//! The `pitwall` program as a library: what moves the engine's bytes, and the tools around it.
//!
//! [`run`] is the whole program: the binary calls it, and so do the tests.

pub mod clock;

pub mod secret;

pub mod log;

pub mod metrics;

pub mod status;

pub mod config;

pub mod error;

pub mod shutdown;

pub mod context;

pub mod live;

pub mod admin;

pub mod tools;
