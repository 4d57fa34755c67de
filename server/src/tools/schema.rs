//! `pitwall schema`: the table `positions` for development, as text or made in a database.
//!
//! It is the only command that changes a database, and only when there is no such table. A running
//! pitwall never does: on a platform the table belongs to the platform's migrations.

use std::io::{self, Write};
use std::time::Duration;

use clap::Command;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::check::{Finding, print_findings, told};
use super::session::{connect, plain};
use crate::config::arguments::with_setting;
use crate::database::catalog::{self, Catalog, TableKind};
use crate::secret::Secret;

/// The one text of the table.
const SCHEMA: &str = include_str!("../../../deploy/schema.sql");

/// How long all of it may take. Making TimescaleDB's own tables takes seconds on a slow disk.
const APPLY_MS_MAX: u64 = 60_000;

/// Whoever makes the same is waited for, but not until the end of our own patience.
const SETTINGS: &str = "SET application_name = 'pitwall-schema'; SET lock_timeout = 30000; \
                        SET statement_timeout = 60000";

/// How the command line names it.
pub(crate) fn command() -> Command {
    let about = "Print or make the table positions, for development and tests.";
    let more = "Makes the one table that pitwall writes, in an empty database: as a hypertable with \
                a chunk for each day where TimescaleDB is there, else as a plain table, with its \
                three indexes. Where a table positions is there already, nothing is changed, and \
                what is wrong with it is said.\n\nOn a platform the table belongs to the platform's \
                own migrations, and there is nothing to apply. `pitwall serve` never makes or \
                changes a table.";
    let examples = "Examples:\n  pitwall schema print | psql \"$POSTGRES_URL\"\n  \
                    POSTGRES_URL=postgres://me@127.0.0.1/race pitwall schema apply";
    let print = Command::new("print").about("Print the SQL; connects to nobody.");
    let apply = Command::new("apply")
        .about("Make the table in the database of POSTGRES_URL, and say how it is then.");
    Command::new("schema")
        .about(about)
        .long_about(format!("{about}\n\n{more}"))
        .after_help(examples)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(print)
        .subcommand(with_setting(apply, "POSTGRES_URL"))
}

/// Prints the text.
pub(crate) fn print(out: &mut impl Write) -> io::Result<()> {
    out.write_all(SCHEMA.as_bytes())?;
    out.flush()
}

/// Makes the table when there is none, and prints what was done and how the table is; true when it is
/// as it must be.
pub(crate) fn apply(url: &Secret, out: &mut impl Write) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let made = runtime.block_on(async {
        let work = timeout(Duration::from_millis(APPLY_MS_MAX), make(url.expose()));
        work.await.unwrap_or_else(|_elapsed| {
            Err(format!("PostgreSQL was not done within {} s", APPLY_MS_MAX / 1_000))
        })
    });
    let findings = made.unwrap_or_else(|words| {
        let remedy = "Let POSTGRES_URL name a database that runs, and a user who owns it or has \
                      CREATE on the schema that comes first in its search path.";
        vec![Finding::failed(format!("The table positions was not made: {words}."), remedy)]
    });
    print_findings(&findings, out)?;
    out.flush()?;
    Ok(!findings.iter().any(Finding::is_failed))
}

/// What was done, then how the table is. The error is the end of a sentence.
async fn make(url: &str) -> Result<Vec<Finding>, String> {
    let client = connect(url).await?;
    client.batch_execute(SETTINGS).await.map_err(|error| plain(&error))?;
    let before = look(&client).await?;
    if before.kind != TableKind::Missing {
        let there = Finding::fine("There is something named positions: nothing was changed.");
        return Ok([vec![there], told(&before, true)].concat());
    }
    if before.is_elsewhere {
        // A second table would take the rows that the first one waits for.
        return Ok(told(&before, true));
    }
    client.batch_execute(SCHEMA).await.map_err(|error| plain(&error))?;
    let after = look(&client).await?;
    let made = match after.kind {
        TableKind::Hypertable => "Made positions, a hypertable with a chunk for each day.",
        TableKind::Missing | TableKind::Plain | TableKind::Partitioned | TableKind::Other => {
            "Made positions, a plain table: there is no TimescaleDB that this user could use."
        }
    };
    Ok([vec![Finding::fine(made)], told(&after, true)].concat())
}

async fn look(client: &Client) -> Result<Catalog, String> {
    catalog::look(client).await.map_err(|error| plain(&error))
}
