//! The oracle sees what is wrong and nothing else, and the producer's log is true whatever breaks.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod broken_wire;
mod honest;
mod sabotage;
