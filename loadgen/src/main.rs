//! The command line of the load generator.

mod command_line;

use std::process::ExitCode;

fn main() -> ExitCode {
    command_line::main()
}
