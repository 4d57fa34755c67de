//! The command line of the load generator: prints what a race would send.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use loadgen::race::{Arrival, DEVICES_MAX, Irregular, Race, RaceConfig, imei_of_device};
use loadgen::wire::{EntryWriter, append_packet};

/// A race from a seed: the same seed gives the same bytes on every machine.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every record of a race in the order of its arrival.
    Race(RaceArguments),
}

#[derive(Debug, clap::Args)]
struct RaceArguments {
    /// Decides everything that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Devices in the race.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=i64::from(DEVICES_MAX)))]
    devices: u32,
    /// Seconds for which they are switched on.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// When they are switched on, in epoch milliseconds.
    #[arg(long, default_value_t = RaceConfig::default().start_ms, value_parser = clap::value_parser!(u64).range(..=START_MS_MAX))]
    start_ms: u64,
    /// Nothing goes wrong: no lost reception, no repetitions, no wrong clocks.
    #[arg(long)]
    calm: bool,
    /// What a line holds.
    #[arg(long, value_enum, default_value_t = Format::Entries)]
    format: Format,
}

/// The end of the year 9999.
const START_MS_MAX: u64 = 253_402_300_799_999;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The fields of a stream entry, between tabs: ts, device_id, codec, payload.
    Entries,
    /// The payload alone.
    Payloads,
    /// A packet: arrival in epoch milliseconds, IMEI and bytes, between spaces.
    Hex,
}

fn main() -> ExitCode {
    let Command::Race(arguments) = Arguments::parse().command;
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    match print_race(&arguments, &mut out).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told when this fails too; the exit code remains.
            drop(writeln!(io::stderr(), "loadgen: cannot write: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn print_race(arguments: &RaceArguments, out: &mut impl Write) -> io::Result<()> {
    let config = RaceConfig {
        devices: arguments.devices,
        seconds: arguments.seconds,
        start_ms: arguments.start_ms,
        irregular: if arguments.calm { Irregular::NONE } else { Irregular::default() },
        ..RaceConfig::default()
    };
    let race = Race::new(arguments.seed, &config);
    if arguments.format == Format::Hex {
        print_packets(race, out)
    } else {
        print_entries(race, arguments.format, out)
    }
}

fn print_entries(race: Race, format: Format, out: &mut impl Write) -> io::Result<()> {
    let mut writer = EntryWriter::new();
    for arrival in race {
        let entry = writer.entry(&arrival);
        if format == Format::Entries {
            write!(out, "{}\t{}\t{}\t", entry.ts, entry.device_id, entry.codec)?;
        }
        writeln!(out, "{}", entry.payload)?;
    }
    Ok(())
}

fn print_packets(race: Race, out: &mut impl Write) -> io::Result<()> {
    let mut waiting: Vec<Arrival> = Vec::new();
    let mut bytes = Vec::new();
    for arrival in race {
        if waiting.first().is_some_and(|first| first.packet != arrival.packet) {
            print_packet(&waiting, &mut bytes, out)?;
            waiting.clear();
        }
        waiting.push(arrival);
    }
    if waiting.is_empty() { Ok(()) } else { print_packet(&waiting, &mut bytes, out) }
}

fn print_packet(arrivals: &[Arrival], bytes: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
    bytes.clear();
    append_packet(arrivals, bytes);
    write!(out, "{} {} ", arrivals[0].arrival_ms, imei_of_device(arrivals[0].device).as_str())?;
    for byte in bytes {
        write!(out, "{byte:02x}")?;
    }
    writeln!(out)
}
