//! The contract's first section, sentence by sentence, on the wire: the whole program between a real
//! Redis, a real PostgreSQL and a Directus that is told what to say.
#![expect(clippy::unwrap_used, reason = "a failed case is reported by its panic")]

mod access;
mod clients;
mod endpoint;
mod freshness;
mod instances;
mod limits;
mod messages;
mod requests;
mod snapshot;
mod who;
