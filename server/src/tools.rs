//! The commands that answer a question and end.
//!
//! They read what they are given and write what they find; they connect to nothing and change
//! nothing.

mod limits;

use std::io::{self, BufRead, Write};

use clap::Subcommand;

/// What `pitwall` can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print every bound of the engine: its value and what it bounds.
    Limits,
}

impl Command {
    /// Does what the command says.
    ///
    /// # Errors
    /// When the input cannot be read or the output cannot be written.
    pub fn run(&self, _input: &mut impl BufRead, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Limits => limits::write(out),
        }
    }
}
