//! `pitwall export`: the tracks of an event or a device as GPX, GeoJSON or CSV, from either store.
//!
//! Positions are read and written in stretches, so that a season takes no more memory than a lap. A
//! file is there whole or not at all.

mod csv;
mod folder;
mod form;
mod geojson;
mod gpx;
mod postgres;
mod target;

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use engine::teltonika::Imei;

use self::form::{Form, Format};
use self::target::Target;
use super::trouble::Trouble;
use crate::config::arguments::with_stores;
use crate::config::load::Store;

/// Positions of one read: 1 MB with usual attributes.
const STRETCH_MAX: usize = 5_000;

/// Devices of one export, for a name that fits a whole season.
const DEVICES_MAX: usize = engine::limits::DEVICES_MAX;

/// The command line.
pub(crate) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let moment = |name, help| text(name, "TIME", help).value_parser(moment_us);
    let format = text("format", "FORMAT", "gpx, geojson or csv")
        .value_parser(["gpx", "geojson", "csv"])
        .required(true);
    let output = text("output", "FILE", "Where to write; without it, to standard output")
        .value_parser(value_parser!(PathBuf));
    let about = "Write the track of an event or a device as GPX, GeoJSON or CSV.";
    let more = "Reads the folder of the embedded mode, or PostgreSQL, also while pitwall runs there. \
                Positions without a fix and those flagged as faulty are left out.";
    let examples = "Examples:\n  pitwall export --embedded ./race --event race --format gpx \
                    --output race.gpx\n  pitwall export --event rally --from \
                    2026-06-06T08:00:00Z --format csv";
    let command = Command::new("export")
        .about(about)
        .long_about(format!("{about}\n\n{more}"))
        .arg(
            text("event", "EVENT", "The name or the uuid of an event")
                .required_unless_present("device"),
        )
        .arg(text("device", "IMEI", "Only this device").value_parser(imei))
        .arg(moment("from", "From this moment on, such as 2026-06-06T08:15:30Z"))
        .arg(moment("to", "Before this moment"))
        .arg(format)
        .arg(output);
    with_stores(command).after_help(examples)
}

fn moment_us(text: &str) -> Result<i64, String> {
    let ms = engine::decode::moment_ms(text.as_bytes()).map_err(|fault| fault.to_string())?;
    Ok(ms * 1_000)
}

fn imei(text: &str) -> Result<String, &'static str> {
    Imei::parse(text.as_bytes()).map_err(|_| "an IMEI has 15 digits, or 16 with the version")?;
    Ok(text.to_owned())
}

/// Which positions.
#[derive(Debug)]
struct Wanted<'a> {
    event: Option<&'a str>,
    device: Option<&'a str>,
    /// From this moment on, in epoch microseconds.
    from_us: i64,
    /// Before this one.
    to_us: i64,
}

/// One device of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Driver {
    imei: String,
    name: Option<String>,
    number: Option<String>,
}

/// What is exported.
#[derive(Debug)]
struct Found {
    /// What it is called as a whole.
    title: String,
    drivers: Vec<Driver>,
}

/// One position.
#[derive(Clone, Debug, PartialEq)]
struct Fix {
    time_us: i64,
    latitude: f64,
    longitude: f64,
    altitude: f32,
    angle: f32,
    speed: f32,
    satellites: i64,
    priority: i64,
    codec: String,
    attributes: String,
}

/// Where they come from.
enum Source {
    Folder(folder::Source),
    Postgres(postgres::Source),
}

impl Source {
    async fn open(store: &Store) -> Result<Self, Trouble> {
        match store {
            Store::Folder(directory) => folder::Source::open(directory).map(Self::Folder),
            Store::Postgres(url) => postgres::Source::open(url).await.map(Self::Postgres),
        }
    }

    async fn find(&self, wanted: &Wanted<'_>) -> Result<Found, Trouble> {
        match self {
            Self::Folder(source) => source.find(wanted),
            Self::Postgres(source) => source.find(wanted).await,
        }
    }

    /// The next stretch of a device's track: behind `after_us`, before `to_us`, in order.
    async fn track(&self, imei: &str, after_us: i64, to_us: i64) -> Result<Vec<Fix>, Trouble> {
        match self {
            Self::Folder(source) => source.track(imei, after_us, to_us),
            Self::Postgres(source) => source.track(imei, after_us, to_us).await,
        }
    }
}

/// Does what the command line says.
pub(crate) async fn run(
    store: &Store,
    matches: &ArgMatches,
    out: &mut impl Write,
) -> Result<(), Trouble> {
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let moment = |name: &str| matches.get_one::<i64>(name).copied();
    let wanted = Wanted {
        event: text("event"),
        device: text("device"),
        from_us: moment("from").unwrap_or(0),
        to_us: moment("to").unwrap_or(i64::MAX / 2),
    };
    let format = Format::named(text("format").expect("clap asks for one"));
    let source = Source::open(store).await?;
    let found = source.find(&wanted).await?;
    let Some(path) = matches.get_one::<PathBuf>("output") else {
        let mut form = Form::new(format, BufWriter::new(&mut *out));
        write(&source, (&wanted, &found), &mut form).await?;
        return Ok(());
    };
    let mut target = Target::open(path)?;
    let mut form = Form::new(format, target.file());
    let count = write(&source, (&wanted, &found), &mut form).await?;
    drop(form);
    target.finish()?;
    let drivers = found.drivers.len();
    writeln!(out, "{count} positions of {drivers} devices are in {}.", path.display())?;
    Ok(())
}

/// Writes everything; how many positions that were.
async fn write<W: Write>(
    source: &Source,
    (wanted, found): (&Wanted<'_>, &Found),
    form: &mut Form<W>,
) -> Result<u64, Trouble> {
    let mut count = 0;
    form.begin(&found.title)?;
    for driver in &found.drivers {
        form.begin_track(driver)?;
        let mut after_us = wanted.from_us - 1;
        loop {
            let stretch = source.track(&driver.imei, after_us, wanted.to_us).await?;
            for fix in &stretch {
                form.fix(driver, fix)?;
            }
            count += stretch.len() as u64;
            match stretch.last() {
                Some(last) if stretch.len() == STRETCH_MAX => after_us = last.time_us,
                _ => break,
            }
        }
        form.end_track(driver)?;
    }
    form.end()?;
    Ok(count)
}

/// Epoch microseconds as ISO 8601 in UTC; what is finer than a millisecond is cut off.
fn time(epoch_us: i64) -> String {
    let mut text = String::new();
    crate::log::push_time(&mut text, epoch_us.div_euclid(1_000));
    text
}

#[cfg(test)]
mod tests;
