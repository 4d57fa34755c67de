//! What the tests share: real servers, counters and the fuzz runner.

pub mod fuzz;
