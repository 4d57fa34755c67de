//! The `pitwall` program: its allocator, and the way into the library.

use std::process::ExitCode;

/// Many small, long-lived blocks from several threads are what it is better at than the system's.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pitwall::command_line::run(std::env::args_os())
}
