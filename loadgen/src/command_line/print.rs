//! `loadgen race` without a server: every record of the race, a line each.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use loadgen::race::{Arrival, Race, imei_of_device};
use loadgen::wire::{EntryWriter, append_packet};

use super::Failure;

/// What a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// The fields of a stream entry, between tabs: ts, device_id, codec, payload.
    Entries,
    /// The payload alone.
    Payloads,
    /// A packet: arrival in epoch milliseconds, IMEI and bytes, between spaces.
    Hex,
}

pub(super) fn run(race: Race, format: Format) -> Result<ExitCode, Failure> {
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    if format == Format::Hex {
        print_packets(race, &mut out)?;
    } else {
        print_entries(race, format, &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
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
