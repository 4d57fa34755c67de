//! The commands that answer a question and end.
//!
//! They read what they are given and write what they find. Only `check`, `health`, `dlq`, `pending`,
//! `export` and `schema apply` connect to anybody, and only the last one, `dlq requeue` and `dlq drop`
//! change anything.

mod ask;
mod budget;
pub mod check;
pub(crate) mod config;
pub(crate) mod dlq;
mod explain;
pub(crate) mod export;
pub mod health;
mod json;
mod limits;
pub(crate) mod pending;
mod plain;
pub(crate) mod schema;
mod session;
pub(crate) mod trouble;

use std::io::{self, BufRead, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use engine::position::Codec;

use crate::stream::{Control, Failure};

/// What `pitwall` can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print every bound of the engine, and the memory of a server that has reached them all.
    Limits {
        /// The number of shards to add up for: one per core.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
        shards: u8,
    },
    /// Read payloads, one JSON object per line, and say what becomes of each: shown, stored only,
    /// or refused.
    Explain {
        /// The codec the payloads came in: 8, 8E or 16.
        #[arg(long, default_value = "8", value_parser = codec)]
        codec: Codec,
    },
}

impl Command {
    /// Does what the command says.
    ///
    /// # Errors
    /// When the input cannot be read or the output cannot be written.
    pub fn run(&self, input: &mut impl BufRead, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Limits { shards } => {
                limits::write(out)?;
                budget::write(*shards, out)
            }
            Self::Explain { codec } => explain::write(*codec, now_ms()?, input, out),
        }
    }
}

fn codec(text: &str) -> Result<Codec, &'static str> {
    Codec::parse(text.as_bytes()).ok_or("the codecs are 8, 8E and 16")
}

/// The time of this machine, epoch milliseconds.
fn now_ms() -> io::Result<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    i64::try_from(since.as_millis()).map_err(io::Error::other)
}

/// The time of Redis, by which it gives ids.
async fn now_ms_of(control: &mut Control) -> Result<u64, Failure> {
    let (seconds, microseconds): (u64, u64) = control.call(&redis::cmd("TIME")).await?;
    Ok(seconds * 1_000 + microseconds / 1_000)
}
