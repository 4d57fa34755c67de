//! The embedded mode as its users meet it: a process, its folder, devices, viewers, and what breaks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod device;
mod export;
mod folder;
mod kills;
mod path;
mod roster;
mod store;
