//! The `pitwall` program: reads the command line and does what it says.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use pitwall::tools::Command;

/// The live engine of a race-tracking platform. This version has its tools; serving viewers comes
/// next.
#[derive(Debug, Parser)]
#[command(name = "pitwall", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refused(&error),
    };
    match arguments.command.run(&mut io::stdin().lock(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "pitwall: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with the command line, and which commands there are.
fn refused(error: &clap::Error) -> ExitCode {
    error.print().ok();
    if error.kind() == clap::error::ErrorKind::InvalidSubcommand {
        let program = Arguments::command();
        let commands: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
        writeln!(io::stderr(), "The commands are {} and help.", commands.join(", ")).ok();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
