//! The settings as flags of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::settings::{self, SECTIONS};
use super::sources::{FILE_VARIABLE, Sources};

/// The flag that names a file with settings.
const FILE_FLAG: &str = "config";

/// The flag of `EMBEDDED_DIR` by its short name.
const EMBEDDED_FLAG: &str = "embedded";

/// Adds a flag for every setting, and one for a file that holds settings.
#[must_use]
pub fn with_settings(command: Command) -> Command {
    with_settings_that(command, "LIVE_WS_PORT", |_| true)
}

/// Adds the flags of one setting alone, and the one for a file that holds settings.
#[must_use]
pub fn with_setting(command: Command, name: &str) -> Command {
    with_settings_that(command, name, |it| it == name)
}

/// Adds the flags that say where positions are stored, and the one for a file that holds settings.
#[must_use]
pub fn with_stores(command: Command) -> Command {
    let stores = ["EMBEDDED_DIR", "POSTGRES_URL"];
    with_settings_that(command, stores[0], |it| stores.contains(&it))
}

/// The flags of the settings that fit; the help shows `example` as a flag and as a variable.
fn with_settings_that(command: Command, example: &str, fits: impl Fn(&str) -> bool) -> Command {
    let file = Arg::new(FILE_FLAG)
        .long(FILE_FLAG)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(format!("A file with lines NAME=VALUE; {FILE_VARIABLE} names one, too"));
    let mut command = command.arg(file).after_help(format!(
        "Every flag is a variable of the environment as well: --{} is {example}. A flag goes before \
         the environment, that before the file, that before the default.",
        settings::flag(example)
    ));
    for section in SECTIONS {
        for setting in section.settings.iter().filter(|it| fits(it.name)) {
            let default = match setting.default {
                "" => String::new(),
                default => format!(" [default: {default}]"),
            };
            let help = format!("{}{default}", setting.meaning);
            let mut argument = flag(setting.name, help).help_heading(section.title);
            if setting.name == "EMBEDDED_DIR" {
                argument = argument.visible_alias(EMBEDDED_FLAG).value_name("DIR");
            }
            command = command.arg(argument);
            if let Some(variable) = setting.file_variable() {
                let help = format!("A file that holds {}.", setting.name);
                command = command.arg(flag(&variable, help).help_heading(section.title));
            }
        }
    }
    command
}

/// What the command line and the environment of this process say.
#[must_use]
pub fn sources(matches: &ArgMatches) -> Sources {
    let files = settings::all().filter_map(settings::Setting::file_variable);
    let names = settings::all().map(|setting| setting.name.to_owned()).chain(files);
    let flags = names.filter_map(|name| {
        // Not every command has every flag.
        let text = matches.try_get_one::<OsString>(&name).ok().flatten()?.clone();
        Some((name, text))
    });
    Sources {
        flags: flags.collect(),
        environment: std::env::vars_os().collect(),
        file: matches.get_one::<PathBuf>(FILE_FLAG).cloned(),
    }
}

/// Its value is judged where all values are, so that all mistakes are told at once.
fn flag(variable: &str, help: String) -> Arg {
    Arg::new(variable.to_owned())
        .long(settings::flag(variable))
        .value_name("VALUE")
        .value_parser(value_parser!(OsString))
        .allow_hyphen_values(true)
        .help(help)
}
