//! The program as a process of its own, for tests that start, signal and kill it.

use std::process::ExitCode;

fn main() -> ExitCode {
    pitwall::command_line::run(std::env::args_os())
}
