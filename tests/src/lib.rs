//! What the tests share: real servers, counters, the fuzz runner, the simulation, mutants.
//!
//! Every server has a directory of its own and is gone when dropped. Tests never skip: one that is
//! not installed fails them with a sentence that says what to install.

pub mod campaign;
pub mod child;
pub mod client;
pub mod directory;
pub mod directus;
pub mod embedded;
pub mod entries;
pub mod exposition;
pub mod figures;
pub mod fuzz;
pub mod lines;
pub mod live;
pub mod mutants;
pub mod oracle;
pub mod platform;
pub mod postgres;
pub mod producer;
pub mod program;
pub mod proxy;
pub mod redis;
pub mod sample;
pub mod scene;
pub mod schema;
pub mod simulation;
pub mod tracker;

pub use bench::counting;
