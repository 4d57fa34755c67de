//! The real Directus of a test, on a PostgreSQL of its own.
