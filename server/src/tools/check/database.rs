//! Whether PostgreSQL answers, and its tables, types and indexes are those of the platform.

use std::error::Error as _;

use tokio_postgres::{Client, NoTls};

use super::Finding;
use super::columns::{TABLES, Table};
use crate::tools::ask::within;

/// Each column of a table, with its type, and whether we may read it.
const COLUMNS: &str = "
    SELECT attname::text, format_type(atttypid, NULL),
        has_column_privilege(attrelid, attnum, 'SELECT')
    FROM pg_attribute
    WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";

/// What else is to be known of a table: are rows hidden from us, what kind is it? Nothing when it is
/// not there.
const STANDING: &str = "
    SELECT row_security_active(oid), relkind::text
    FROM pg_class WHERE oid = to_regclass($1)";

/// The indexes over exactly `device_id` and `ts`: unique ones without a condition, and others with
/// one about `faulty`.
const INDEXES: &str = "
    WITH indexes AS (
        SELECT indisunique, pg_get_expr(indpred, indrelid) AS condition,
            (SELECT array_agg(attname::text ORDER BY attname)
             FROM pg_attribute WHERE attrelid = indrelid AND attnum = ANY (indkey)) AS columns
        FROM pg_index WHERE indrelid = to_regclass('positions') AND indisvalid)
    SELECT coalesce(bool_or(indisunique AND condition IS NULL), false),
        coalesce(bool_or(condition LIKE '%faulty%'), false),
        to_regclass('positions') IS NOT NULL
    FROM indexes WHERE columns = ARRAY['device_id', 'ts']";

/// Looks at the server and every table.
pub(super) async fn look(url: &str) -> Vec<Finding> {
    let client = match within(connect(url)).await {
        Ok(client) => client,
        Err(words) => {
            let what = format!(
                "PostgreSQL cannot be reached: {words}. No device would be found in its event."
            );
            let remedy = "Start PostgreSQL, or let POSTGRES_URL name its host, user and database.";
            return vec![Finding::failed(what, remedy)];
        }
    };
    let mut findings = vec![found("the server", within(server(&client)).await)];
    for table in TABLES {
        match within(look_at_table(&client, table)).await {
            Ok(several) => findings.extend(several),
            Err(words) => findings.push(found(table.name, Err(words))),
        }
    }
    match within(indexes(&client)).await {
        Ok(several) => findings.extend(several),
        Err(words) => findings.push(found("the indexes of positions", Err(words))),
    }
    findings
}

async fn connect(url: &str) -> Result<Client, String> {
    let connected = tokio_postgres::connect(url, NoTls).await;
    let (client, connection) = connected.map_err(|error| plain(&error))?;
    tokio::spawn(async move {
        // Whoever asks next is told the same.
        drop(connection.await);
    });
    Ok(client)
}

async fn server(client: &Client) -> Result<Finding, String> {
    let statement = "SELECT current_setting('server_version'), current_setting('server_encoding')";
    let row = client.query_one(statement, &[]).await.map_err(|error| plain(&error))?;
    let (version, encoding): (String, String) = (row.get(0), row.get(1));
    if encoding != "UTF8" {
        return Ok(Finding::failed(
            format!("The database is encoded as {encoding}, and pitwall speaks UTF-8."),
            "Move to a database made with ENCODING 'UTF8'.",
        ));
    }
    Ok(Finding::fine(format!("PostgreSQL answers: version {version}.")))
}

/// All that is to be said of one table.
async fn look_at_table(client: &Client, table: &Table) -> Result<Vec<Finding>, String> {
    let name = table.name;
    let standing = client.query_opt(STANDING, &[&name]).await.map_err(|error| plain(&error))?;
    let Some(standing) = standing else {
        return Ok(vec![Finding::failed(
            format!("There is no table {name}."),
            "Let the platform's migrations run, or let POSTGRES_URL name its database.",
        )]);
    };
    let rows = client.query(COLUMNS, &[&name]).await.map_err(|error| plain(&error))?;
    let columns: Vec<Column> = rows
        .iter()
        .map(|row| Column { name: row.get(0), kind: row.get(1), is_readable: row.get(2) })
        .collect();
    let mut findings = wrong_columns(table, &columns);
    if findings.is_empty() {
        let count = table.columns.len();
        findings
            .push(Finding::fine(format!("Table {name}: {count} columns have the right types.")));
    }
    findings.extend(unreadable_columns(table, &columns));
    if standing.get::<_, bool>(0) {
        findings.push(Finding::warning(
            format!(
                "Row level security hides rows of {name} from pitwall's user: what is hidden looks \
                 as if it did not exist."
            ),
            "Give that user BYPASSRLS, or a policy that shows it every row.",
        ));
    }
    let kind: String = standing.get(1);
    if !["r", "p"].contains(&kind.as_str()) {
        findings.push(Finding::warning(
            format!("{name} is not a table but a view or a foreign table: reading it may be slow."),
            format!("Let the search path of pitwall's user find the table {name} first."),
        ));
    }
    Ok(findings)
}

/// A column as it is.
struct Column {
    name: String,
    kind: String,
    is_readable: bool,
}

fn wrong_columns(table: &Table, columns: &[Column]) -> Vec<Finding> {
    let name = table.name;
    let wrong = table.columns.iter().filter_map(|(column, types)| {
        let found = columns.iter().find(|found| found.name == *column);
        let what = match found {
            None => format!("Column {name}.{column} is missing."),
            Some(found) if types.contains(&found.kind.as_str()) => return None,
            Some(found) => {
                let (is, must) = (&found.kind, types.join(" or "));
                format!("Column {name}.{column} is {is}, and must be {must}.")
            }
        };
        Some(Finding::failed(what, "Let the platform's migrations run."))
    });
    wrong.collect()
}

/// The user needs no more than these columns: `directus_users` holds hashes of passwords as well.
fn unreadable_columns(table: &Table, columns: &[Column]) -> Option<Finding> {
    let is_needed = |column: &&Column| table.columns.iter().any(|(name, _)| *name == column.name);
    let hidden = columns.iter().filter(is_needed).filter(|column| !column.is_readable);
    let hidden: Vec<&str> = hidden.map(|column| column.name.as_str()).collect();
    let (name, list) = (table.name, hidden.join(", "));
    (!hidden.is_empty()).then(|| {
        Finding::failed(
            format!("pitwall's user may not read {name} ({list})."),
            format!("GRANT SELECT ({list}) ON {name} TO the user of POSTGRES_URL."),
        )
    })
}

async fn indexes(client: &Client) -> Result<Vec<Finding>, String> {
    let row = client.query_one(INDEXES, &[]).await.map_err(|error| plain(&error))?;
    let is_there: bool = row.get(2);
    if !is_there {
        // Told of where the tables are looked at.
        return Ok(Vec::new());
    }
    let is_unique = if row.get(0) {
        Finding::fine("A device and a time name one row of positions.")
    } else {
        Finding::failed(
            "Nothing keeps positions from being stored twice: no unique index over device_id and \
             ts.",
            "CREATE UNIQUE INDEX positions_device_ts ON positions (device_id, ts);",
        )
    };
    let is_fast = if row.get(1) {
        Finding::fine("The newest good position of a device is found by an index.")
    } else {
        Finding::warning(
            "The newest good positions are found without an index, which takes long at the start.",
            "CREATE INDEX positions_faulty_idx ON positions (device_id, ts DESC) WHERE faulty = \
             FALSE;",
        )
    };
    Ok(vec![is_unique, is_fast])
}

/// A look that may have failed by itself.
fn found(what: &str, finding: Result<Finding, String>) -> Finding {
    finding.unwrap_or_else(|words| {
        Finding::failed(
            format!("PostgreSQL does not say how {what} is: {words}."),
            "Look at the log of PostgreSQL.",
        )
    })
}

/// What the client says, with its causes.
fn plain(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", error.message(), error.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
