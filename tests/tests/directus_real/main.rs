//! The program with the real Directus: its cookies, its answers, its rules, its tables.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

/// Skipped where Directus is not installed, by this name.
mod real_directus;
