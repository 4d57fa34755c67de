//! The command line: what `pitwall` is asked to do, and with which exit code it ends.
//!
//! 0 done, 1 a check failed or what was asked for could not be done, 2 a wrong command line, 69 an address is
//! taken, 70 broken, 78 a wrong setting, 130 told to end twice.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, Command, FromArgMatches, Subcommand};

use crate::config::arguments::{sources, with_settings};
use crate::config::{Config, load::Loaded};
use crate::error::Stop;
use crate::log::Log;
use crate::shutdown::Shutdown;
use crate::tools::trouble::Trouble;
use crate::{Listeners, process, signals, tools};

/// Does what the arguments say; the first of them is the program's name.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return refused(&error),
    };
    let done = match matches.subcommand() {
        Some(("serve", matches)) => serve(matches),
        Some(("config", matches)) => config(matches),
        Some(("check", matches)) => check(matches),
        Some(("health", matches)) => health(matches),
        Some(("schema", matches)) => schema(matches),
        Some(("dlq", matches)) => dlq(matches),
        Some(("pending", matches)) => pending(matches),
        #[cfg(feature = "demo")]
        Some(("demo", matches)) => demo(matches),
        Some(("export", matches)) => export(matches),
        _ => tool(&matches),
    };
    match done {
        Ok(code) => code,
        // Whoever read our output has seen enough.
        Err(End::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(End::Output(error)) => say(&error, ExitCode::FAILURE),
        Err(End::Stop(stop)) => say(&stop, ExitCode::from(stop.exit_code())),
        Err(End::Undone(words)) => say(&words, ExitCode::FAILURE),
    }
}

/// The whole command line.
#[must_use]
pub fn command() -> Command {
    let about = "The live engine of a race-tracking platform: positions from Redis to every \
                 viewer's screen.";
    let of_settings =
        |name: &'static str, about: &'static str| with_settings(Command::new(name).about(about));
    let program = Command::new("pitwall")
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(of_settings("serve", "Do what ROLES says until told to end: serve viewers, store positions."))
        .subcommand(of_settings(
            "config",
            "Print every setting with its value, origin, default and meaning.",
        ))
        .subcommand(of_settings(
            "check",
            "Look at the settings, Redis, PostgreSQL and Directus, and say what is wrong.",
        ))
        .subcommand(of_settings(
            "health",
            "Ask a running pitwall on this machine whether it is well; for container health checks.",
        ))
        .subcommand(tools::schema::command())
        .subcommand(tools::dlq::command())
        .subcommand(tools::pending::command())
        .subcommand(tools::export::command());
    #[cfg(feature = "demo")]
    let program = program.subcommand(crate::demo::command());
    tools::Command::augment_subcommands(program)
}

/// How long the log may take to be written when the process ends.
const LOG_END: Duration = Duration::from_millis(500);

/// Why a command did not do what it was asked.
enum End {
    /// Its input or output failed.
    Output(io::Error),
    /// It stopped, and says why.
    Stop(Stop),
    /// It could not be done, for this reason.
    Undone(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Output(error) => Self::Output(error),
            Trouble::Undone(words) => Self::Undone(words),
        }
    }
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

fn load(matches: &ArgMatches) -> Loaded {
    Config::load(&sources(matches))
}

fn serve(matches: &ArgMatches) -> Result<ExitCode, End> {
    process::forbid_core_dumps();
    let loaded = load(matches);
    let warnings = loaded.warnings().to_vec();
    let config = loaded.into_config()?;
    let log = Log::to_standard_error(config.log_level, &config.instance_id);
    for warning in warnings {
        let words = format!("{} {}", warning.name, warning.words);
        log.warn("a setting deserves a look", &[("setting", &warning.name), ("reason", &words)]);
    }
    if let Some(words) = process::allow_descriptors(&config) {
        log.warn("there may be too few open files", &[("reason", &words)]);
    }
    let shutdown = Shutdown::default();
    let listeners = Listeners::bind(&config)?;
    signals::listen(shutdown.clone(), log.clone())
        .map_err(|error| Stop::Broken(format!("Signals cannot be listened to: {error}.")))?;
    let outcome = crate::run(config, log.clone(), listeners, shutdown);
    log.flush(LOG_END);
    outcome?;
    Ok(ExitCode::SUCCESS)
}

fn config(matches: &ArgMatches) -> Result<ExitCode, End> {
    let loaded = load(matches);
    tools::config::write(&loaded, &mut io::stdout().lock())?;
    loaded.into_config()?;
    Ok(ExitCode::SUCCESS)
}

fn check(matches: &ArgMatches) -> Result<ExitCode, End> {
    let loaded = load(matches);
    let is_well = tools::check::write(loaded, &mut io::stdout().lock())?;
    Ok(if is_well? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn health(matches: &ArgMatches) -> Result<ExitCode, End> {
    let config = load(matches).into_config()?;
    let is_well = tools::health::write(&config.admin, &mut io::stdout().lock())?;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn schema(matches: &ArgMatches) -> Result<ExitCode, End> {
    let out = &mut io::stdout().lock();
    if let Some(("apply", matches)) = matches.subcommand() {
        let url = load(matches).into_postgres_url()?;
        let is_well = tools::schema::apply(&url, out)?;
        return Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    tools::schema::print(out)?;
    Ok(ExitCode::SUCCESS)
}

/// The settings for who looks into Redis.
fn config_with_redis(matches: &ArgMatches) -> Result<Config, End> {
    let config = load(matches).into_config()?;
    if config.embedded.is_some() {
        let words = "The embedded mode has no stream: what it has refused lies in the table `refused` \
                     of pitwall.sqlite in EMBEDDED_DIR.";
        return Err(End::Undone(words.to_owned()));
    }
    Ok(config)
}

fn dlq(matches: &ArgMatches) -> Result<ExitCode, End> {
    let (name, matches) = matches.subcommand().expect("clap asks for one");
    let config = config_with_redis(matches)?;
    let mut out = io::stdout().lock();
    runtime()?.block_on(tools::dlq::run(&config, (name, matches), &mut out))?;
    Ok(ExitCode::SUCCESS)
}

fn pending(matches: &ArgMatches) -> Result<ExitCode, End> {
    let config = config_with_redis(matches)?;
    let mut out = io::stdout().lock();
    runtime()?.block_on(tools::pending::run(&config, matches, &mut out))?;
    Ok(ExitCode::SUCCESS)
}

fn export(matches: &ArgMatches) -> Result<ExitCode, End> {
    let store = load(matches).into_store()?;
    let mut out = io::stdout().lock();
    runtime()?.block_on(tools::export::run(&store, matches, &mut out))?;
    Ok(ExitCode::SUCCESS)
}

/// What the tools that wait for answers run on.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

#[cfg(feature = "demo")]
fn demo(matches: &ArgMatches) -> Result<ExitCode, End> {
    crate::demo::run(matches)?;
    Ok(ExitCode::SUCCESS)
}

fn tool(matches: &ArgMatches) -> Result<ExitCode, End> {
    let command = match tools::Command::from_arg_matches(matches) {
        Ok(command) => command,
        Err(error) => return Ok(refused(&error)),
    };
    command.run(&mut io::stdin().lock(), &mut io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}

/// Says why the program ends.
fn say(words: &dyn std::fmt::Display, code: ExitCode) -> ExitCode {
    // Nobody is left to tell when this fails.
    writeln!(io::stderr(), "pitwall: {words}").ok();
    code
}

/// Says what is wrong with the command line, and which commands there are.
fn refused(error: &clap::Error) -> ExitCode {
    error.print().ok();
    if error.kind() == clap::error::ErrorKind::InvalidSubcommand {
        let program = command();
        let commands: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
        writeln!(io::stderr(), "The commands are {} and help.", commands.join(", ")).ok();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
