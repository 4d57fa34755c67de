//! `loadgen race`: which race, and where it goes.

use std::process::ExitCode;
use std::time::Duration;

use loadgen::race::{DEVICES_MAX, Irregular, Race, RaceConfig};
use loadgen::schedule::{Dates, Pace};

use super::print::Format;
use super::{Failure, firehose, print, publish};

/// The end of the year 9999.
const START_MS_MAX: u64 = 253_402_300_799_999;

#[derive(Debug, clap::Args)]
pub(super) struct RaceArguments {
    /// Decides everything that is random.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Devices in the race.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=i64::from(DEVICES_MAX)))]
    devices: u32,
    /// The number of the first of them: several generators with different ones are different devices.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=i64::from(DEVICES_MAX)))]
    first_device: u32,
    /// Seconds for which they are switched on, by the clock of the race.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// When they are switched on, in epoch milliseconds. A race that is brought to a server begins
    /// now unless this is given.
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=START_MS_MAX))]
    start_ms: Option<u64>,
    /// Devices that start together.
    #[arg(long, default_value_t = RaceConfig::default().wave_devices, value_parser = clap::value_parser!(u32).range(1..))]
    wave_devices: u32,
    /// Seconds between two starts.
    #[arg(long, default_value_t = RaceConfig::default().wave_interval_s)]
    wave_interval_s: u32,
    /// Nothing goes wrong: no lost reception, no repetitions, no wrong clocks.
    #[arg(long)]
    calm: bool,
    /// What a line holds that is printed.
    #[arg(long, value_enum, default_value_t = Format::Entries)]
    format: Format,
    #[command(flatten)]
    pub(super) to: ToServer,
}

/// Where a race is brought, and how.
#[derive(Debug, clap::Args)]
pub(super) struct ToServer {
    /// Publish the race to this Redis, as the platform's ingestion does.
    #[arg(long, value_name = "URL", conflicts_with_all = ["teltonika", "format"])]
    redis: Option<String>,
    /// The stream.
    #[arg(long, default_value = "telemetry:teltonika", requires = "redis")]
    pub(super) stream: String,
    /// About how many entries the stream keeps.
    #[arg(long, default_value_t = 1_000_000, requires = "redis")]
    pub(super) maxlen: u64,
    /// Send the race to this Teltonika listener, over a connection for each device.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "format")]
    teltonika: Option<String>,
    /// Devices that begin to connect in a second.
    #[arg(long, default_value_t = 2_000, requires = "teltonika", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) dials: u32,
    /// How many times as fast as its own clock the race passes.
    #[arg(long, default_value_t = 1.0, conflicts_with = "rate")]
    speed: f64,
    /// The pace at which all devices together send about so many records a second.
    #[arg(long, value_name = "RECORDS")]
    rate: Option<u64>,
    /// A calm race whose fixes are dated when they are sent: then their age at a viewer is the way
    /// from here to there, and nothing of the race's own.
    #[arg(long)]
    prompt: bool,
    /// Print the report as one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// A race on its way to a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trip {
    pub(super) race: RaceConfig,
    pub(super) pace: Pace,
    pub(super) dates: Dates,
    /// How long it takes by the clock of the wall.
    pub(super) length: Duration,
}

pub(super) fn run(arguments: &RaceArguments) -> Result<ExitCode, Failure> {
    if arguments.first_device + arguments.devices > DEVICES_MAX {
        return Err(format!("there are {DEVICES_MAX} devices: take a lower --first-device").into());
    }
    match (&arguments.to.redis, &arguments.to.teltonika) {
        (Some(url), _) => publish::run(url, arguments, &trip(arguments)?),
        (None, Some(target)) => firehose::run(target, arguments, &trip(arguments)?),
        (None, None) => print::run(Race::new(arguments.seed, &config(arguments)), arguments.format),
    }
}

fn config(arguments: &RaceArguments) -> RaceConfig {
    let is_calm = arguments.calm || arguments.to.prompt;
    RaceConfig {
        devices: arguments.devices,
        first_device: arguments.first_device,
        seconds: arguments.seconds,
        start_ms: arguments.start_ms.unwrap_or_else(|| RaceConfig::default().start_ms),
        wave_devices: arguments.wave_devices,
        wave_interval_s: arguments.wave_interval_s,
        irregular: if is_calm { Irregular::NONE } else { Irregular::default() },
    }
}

fn trip(arguments: &RaceArguments) -> Result<Trip, String> {
    let to = &arguments.to;
    if !(to.speed > 0.0 && to.speed <= 1e6) {
        return Err(format!("--speed {} is no pace: give a number above 0", to.speed));
    }
    let pace = match to.rate {
        Some(rate) => Pace::of_rate(rate, arguments.devices),
        None => Pace::times(to.speed),
    };
    let dates = match (to.prompt, arguments.start_ms) {
        (true, _) => Dates::Due,
        (false, Some(_)) => Dates::Race,
        (false, None) => Dates::Wall,
    };
    let length = pace.real_time(Duration::from_secs(arguments.seconds.into()));
    Ok(Trip { race: config(arguments), pace, dates, length })
}
