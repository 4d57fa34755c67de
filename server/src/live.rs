//! The live plane: entries in, frames out to every viewer who may see them.
//!
//! It knows nothing of the durable plane and runs unchanged when that is off or broken.

pub mod source;

pub mod collection;

pub mod roster;

pub mod mailbox;

pub mod shard_loop;

pub mod driver;

pub mod session;

pub mod admission;

pub mod directus;

pub mod access;

pub mod upgrade;
