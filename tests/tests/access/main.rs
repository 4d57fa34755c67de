//! Access, with a stub for Directus and a real PostgreSQL: who is who, who may see what, and until
//! when. The shards are played by the tests.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod events;
mod identify;
mod revalidation;
mod world;
