//! The `pitwall` program.

fn main() {}
