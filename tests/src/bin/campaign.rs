//! Kills and cuts everything around the writer, and says whether anything was lost or stored twice.
//!
//! ```text
//! cargo campaign --cycles 200 --seed 7   # kills of pitwall, Redis and PostgreSQL
//! cargo campaign --cuts 500              # commits whose answer is lost
//! cargo campaign --bytes                 # a cut at every byte of a small batch
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program of the command line")]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tests::campaign::{bytes, cuts, kills, serve};

#[derive(Debug, Parser)]
#[command(name = "campaign", about = "Kills and cuts everything around the writer")]
struct Arguments {
    /// Decides all but time.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often something is killed and starts again.
    #[arg(long, default_value_t = 200)]
    cycles: u32,
    /// The first cycle, to live through a part once more.
    #[arg(long, default_value_t = 0)]
    from: u32,
    /// Parts that are lived through at once.
    #[arg(long, default_value_t = 2)]
    at_once: u32,
    /// Records produced in a second, in each part.
    #[arg(long, default_value_t = 600)]
    per_second: u32,
    /// Instead: how many commits get no answer.
    #[arg(long, conflicts_with_all = ["cycles", "from", "at_once"])]
    cuts: Option<usize>,
    /// Instead: a cut at every byte of a small batch.
    #[arg(long, conflicts_with_all = ["cycles", "from", "at_once", "cuts"])]
    bytes: bool,
}

fn main() -> ExitCode {
    // The program that is killed is this one, too.
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [serve, redis_url, postgres_url, admin_port, instance_id] = &*words
        && serve == "serve"
    {
        return child(redis_url, postgres_url, admin_port, instance_id);
    }
    let arguments = Arguments::parse();
    let began = Instant::now();
    let is_terminal = std::io::stdout().is_terminal();
    let say = |line: &str| {
        let took = began.elapsed().as_secs();
        if is_terminal {
            // One line that changes.
            print!("\r\x1b[K{took:>4} s  {}", line.lines().next().unwrap_or_default());
            std::io::stdout().flush().ok();
        } else {
            println!("{took:>4} s  {line}");
        }
    };
    let outcome = live(&arguments, &say);
    if is_terminal {
        println!();
    }
    match outcome {
        Ok((line, is_clean)) => {
            println!("{line}");
            if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(what) => {
            println!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn child(redis_url: &str, postgres_url: &str, admin_port: &str, instance_id: &str) -> ExitCode {
    let admin_port = admin_port.parse().expect("a port");
    match serve(redis_url, postgres_url, admin_port, instance_id) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("{stop}");
            ExitCode::FAILURE
        }
    }
}

fn live(arguments: &Arguments, say: &(dyn Fn(&str) + Sync)) -> Result<(String, bool), String> {
    let &Arguments { seed, cycles, from, at_once, per_second, .. } = arguments;
    if arguments.bytes {
        let outcome = bytes::run(seed, say)?;
        return Ok((outcome.to_string(), outcome.is_clean()));
    }
    if let Some(cuts) = arguments.cuts {
        let outcome = cuts::run(cuts::Order { seed, cuts, per_second }, say)?;
        return Ok((outcome.to_string(), outcome.is_clean()));
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let order = kills::Order { seed, from, cycles, per_second, at_once, program };
    let outcome = kills::run(&order, say)?;
    Ok((outcome.to_string(), outcome.is_clean()))
}
