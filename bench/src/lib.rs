//! What the benchmarks share: scenes to measure, the instruments, and what they must not exceed.
//!
//! Time is measured by the programs in `benches/` and, with the kernel in it, by the program
//! `sockets`; it says how fast a machine is. Instructions,
//! allocations, sends and copied bytes are counted by the program `counters`; they are the same on
//! every run, so they gate every change. README.md says how to read both.

pub mod ceilings;
pub mod counting;
pub mod instrument;
pub mod random;
pub mod scene;
pub mod sockets;
pub mod workload;
