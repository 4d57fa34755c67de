//! Figures of the whole program, which runs as a process of its own between real servers.
//!
//! ```text
//! cargo run --release --package tests --bin figures -- start     [--viewers N] [--devices N]
//! cargo run --release --package tests --bin figures -- latency   [--viewers N] [--devices N] [--seconds N]
//! cargo run --release --package tests --bin figures -- crowd     [--viewers N] [--devices N] [--seconds N]
//! cargo run --release --package tests --bin figures -- devices   [--devices N] [--rate N] [--seconds N]
//! cargo run --release --package tests --bin figures -- commit    [--rate N]... [--seconds N]
//! cargo run --release --package tests --bin figures -- writing   [--quick]
//! cargo run --release --package tests --bin figures -- ingest    [--devices N] [--senders N] [--records N] [--seconds N]
//! ```
//!
//! `start` is the start of a race: everybody connects at once, each with a snapshot. `latency` is the
//! race: each device reports once a second, and each frame is timed from XADD to the client. `crowd`
//! is as many viewers as one process of the load generator can hold, `devices` as many records as it
//! can send to who answers everything at once: both measure the load generator. `commit` times each row
//! from its XADD to its commit. `writing` is what a row costs the database, beside `\copy` of psql.
//! `ingest` is what devices cost, and how many records of theirs go through. They time a machine, so
//! they never gate a change.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tests::figures::{child, commit, crowd, devices, ingest, latency, start, writing};

#[derive(Debug, Parser)]
#[command(name = "figures")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Everybody connects at once.
    Start {
        #[arg(long, default_value_t = 10_000)]
        viewers: usize,
        #[arg(long, default_value_t = 500)]
        devices: u64,
    },
    /// From XADD to the client.
    Latency {
        #[arg(long, default_value_t = 100)]
        viewers: usize,
        #[arg(long, default_value_t = 500)]
        devices: u64,
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// As many viewers as the load generator can hold.
    Crowd {
        #[arg(long, default_value_t = 19_000)]
        viewers: u32,
        #[arg(long, default_value_t = 100)]
        devices: u32,
        #[arg(long, default_value_t = 20)]
        seconds: u32,
    },
    /// As many records as the load generator can send.
    Devices {
        #[arg(long, default_value_t = 10_000)]
        devices: u32,
        #[arg(long, default_value_t = 50_000)]
        rate: u64,
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// From XADD to the commit of the row.
    Commit {
        #[arg(long, default_values_t = [1, 100, 10_000])]
        rate: Vec<u64>,
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
    /// What a row costs the database.
    Writing {
        /// Fewer rounds: wider intervals.
        #[arg(long)]
        quick: bool,
    },
    /// Devices straight to pitwall.
    Ingest {
        #[arg(long, default_value_t = 10_000)]
        devices: usize,
        #[arg(long, default_value_t = 1_000)]
        senders: usize,
        #[arg(long, default_value_t = 10)]
        records: u8,
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// The program under measure; started by the others.
    #[command(hide = true)]
    Serve { redis_url: String, postgres_url: String, directus_port: u16 },
    /// The listener that answers devices; started by `devices`.
    #[command(hide = true)]
    Answer,
    /// The same, listening to devices.
    #[command(hide = true)]
    Listen { redis_url: String },
}

fn main() -> ExitCode {
    match Arguments::parse().what {
        What::Start { viewers, devices } => start::run(viewers, devices),
        What::Latency { viewers, devices, seconds } => {
            latency::run(viewers, devices, Duration::from_secs(seconds));
        }
        What::Crowd { viewers, devices, seconds } => crowd::run(viewers, devices, seconds),
        What::Devices { devices, rate, seconds } => devices::run(devices, rate, seconds),
        What::Answer => devices::answer(),
        What::Commit { rate, seconds } => commit::run(&rate, Duration::from_secs(seconds)),
        What::Writing { quick } => writing::run(quick),
        What::Serve { redis_url, postgres_url, directus_port } => {
            child::serve(&redis_url, &postgres_url, directus_port);
        }
        What::Ingest { devices, senders, records, seconds } => {
            ingest::run(ingest::Plan { devices, senders, records, seconds });
        }
        What::Listen { redis_url } => child::listen(&redis_url),
    }
    ExitCode::SUCCESS
}
