//! The `pitwall` program as a library: what moves the engine's bytes, and the tools around it.
//!
//! So far it holds the tools that need no network; the loops that serve viewers and write to the
//! database come next.

pub mod tools;
