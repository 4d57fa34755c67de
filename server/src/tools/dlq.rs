//! `pitwall dlq`: looks at the dead letters, puts their entries back, or deletes them.

mod change;
mod desk;
mod letter;
mod shown;

use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use engine::rows::EntryId;

use self::desk::Desk;
use super::trouble::Trouble;
use crate::config::Config;
use crate::config::arguments::with_settings;
use crate::stream::Server;

/// Most letters of one list.
const COUNT_MAX: u64 = 10_000;

/// The command line.
pub(crate) fn command() -> Command {
    let id = Arg::new("id").value_name("ID").value_parser(id).help("The id of a letter");
    let ids = id.clone().num_args(1..).required_unless_present("all").conflicts_with("all");
    let all = |help: &'static str| flag("all", help);
    let json = || flag("json", "Print one JSON object per line");
    let count = Arg::new("count")
        .long("count")
        .value_name("N")
        .value_parser(value_parser!(u64).range(1..=COUNT_MAX))
        .default_value("20")
        .help("How many to print");
    let from = Arg::new("from")
        .long("from")
        .value_name("ID")
        .value_parser(self::id)
        .help("The first letter to print, as the last list named it");
    let of = |name: &'static str, about: &'static str| Command::new(name).about(about);
    let list = of("list", "Print a line for each letter, the newest first.")
        .arg(count)
        .arg(from)
        .arg(flag("oldest", "Print the oldest first"))
        .arg(json());
    let show = of("show", "Print all that is in a letter.").arg(id.required(true)).arg(json());
    let requeue = of("requeue", "Put the entries of letters back into the stream, under new ids.")
        .arg(ids.clone())
        .arg(all("Put the entries of all letters back"));
    let drop = of("drop", "Delete letters for good.")
        .arg(ids)
        .arg(all("Delete all letters"))
        .arg(flag("yes", "Do it, with --all"));
    let commands = [list, show, requeue, drop].map(with_settings);
    of("dlq", "Look at the dead letters, put their entries back, or delete them.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(commands)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn id(text: &str) -> Result<EntryId, &'static str> {
    EntryId::parse(text.as_bytes()).ok_or("an id is two numbers with a dash between them")
}

/// Does what the command line says.
pub(crate) async fn run(
    config: &Config,
    (name, matches): (&str, &ArgMatches),
    out: &mut impl Write,
) -> Result<(), Trouble> {
    let server = Server::parse(&config.redis_url).map_err(|it| Trouble::Undone(it.to_string()))?;
    let mut desk = Desk::new(&server, &config.stream, out)?;
    let is_all = |matches: &ArgMatches| matches.get_flag("all");
    match name {
        "list" => {
            let count = *matches.get_one("count").expect("it has a default");
            let from = matches.get_one("from").copied();
            desk.list(count, from, matches.get_flag("oldest"), matches.get_flag("json")).await
        }
        "show" => desk.show(ids(matches)[0], matches.get_flag("json")).await,
        "requeue" if is_all(matches) => desk.requeue_all().await,
        "requeue" => desk.requeue(&ids(matches)).await,
        _ if is_all(matches) => desk.drop_all(matches.get_flag("yes")).await,
        _ => desk.drop(&ids(matches)).await,
    }
}

fn ids(matches: &ArgMatches) -> Vec<EntryId> {
    matches.get_many("id").into_iter().flatten().copied().collect()
}
