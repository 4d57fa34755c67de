//! Why the program stops, and with which exit code.

use std::fmt;

/// The end of the program, in words for whoever started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A setting is wrong, or another process has this one's name: starting again does not help.
    Config(String),
    /// An address cannot be listened on.
    Unavailable(String),
    /// Something that must not happen has happened; a fresh process is the remedy.
    Broken(String),
}

impl Stop {
    /// The exit code, after sysexits.h.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 78,
            Self::Unavailable(_) => 69,
            Self::Broken(_) => 70,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Config(words) | Self::Unavailable(words) | Self::Broken(words)) = self;
        formatter.write_str(words)
    }
}

impl std::error::Error for Stop {}
