//! All tests that need the real Directus.

mod identity;
mod platform;
mod wire;
