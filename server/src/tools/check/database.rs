//! Whether PostgreSQL answers, and its tables, types and indexes are those of the platform.

use tokio_postgres::{Client, Row};

use super::Finding;
use super::columns::{TABLES, Table};
use crate::database::catalog::{self, Catalog, Fault, TableKind};
use crate::tools::ask::within;
use crate::tools::session::{connect, plain};

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

/// Looks at the server and every table.
pub(super) async fn look(url: &str, does_write: bool) -> Vec<Finding> {
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
    match within(positions(&client, does_write)).await {
        Ok(several) => findings.extend(several),
        Err(words) => findings.push(found("positions", Err(words))),
    }
    for table in TABLES {
        match within(look_at_table(&client, table)).await {
            Ok(several) => findings.extend(several),
            Err(words) => findings.push(found(table.name, Err(words))),
        }
    }
    findings
}

async fn server(client: &Client) -> Result<Finding, String> {
    let statement = "SELECT current_setting('server_version')";
    let row = client.query_one(statement, &[]).await.map_err(|error| plain(&error))?;
    let version: String = row.get(0);
    Ok(Finding::fine(format!("PostgreSQL answers: version {version}.")))
}

/// All that is to be said of `positions`. Who only reads is spared what matters to a writer.
async fn positions(client: &Client, does_write: bool) -> Result<Vec<Finding>, String> {
    let catalog = catalog::look(client).await.map_err(|error| plain(&error))?;
    let mut findings = told(&catalog, does_write);
    if catalog.kind == TableKind::Missing {
        return Ok(findings);
    }
    // Of a writer's own columns and rights the catalog has told.
    let is_told = |name: &str| does_write && ["device_id", "ts"].contains(&name);
    let names = catalog::COLUMNS.iter().map(|column| column.0).filter(|name| !is_told(name));
    findings.extend(unreadable_columns("positions", names, &columns(client, "positions").await?));
    if !does_write && let Some(standing) = standing(client, "positions").await? {
        findings.extend(surprises("positions", &standing));
    }
    Ok(findings)
}

/// What the catalog says of `positions`, to a writer or to who only reads.
pub(in crate::tools) fn told(catalog: &Catalog, does_write: bool) -> Vec<Finding> {
    let concerns = |fault: &&Fault| does_write || !fault.is_of_writing;
    let faults = catalog.faults.iter().filter(concerns);
    let warnings = catalog.warnings.iter().filter(concerns);
    let mut findings: Vec<Finding> =
        faults.map(|fault| Finding::failed(&fault.what, &fault.remedy)).collect();
    if findings.is_empty() {
        let count = catalog::COLUMNS.len();
        let right = format!("Table positions: {count} columns have the right types.");
        findings.push(Finding::fine(right));
        // Who only reads may read a view.
        if catalog.kind != TableKind::Other {
            let (kind, shape) = (catalog.kind.words(), &catalog.fingerprint);
            findings.push(Finding::fine(format!(
                "positions is {kind} in which a device and a time name one row; its shape is {shape}."
            )));
        }
    }
    findings.extend(warnings.map(|fault| Finding::warning(&fault.what, &fault.remedy)));
    findings
}

/// All that is to be said of one table.
async fn look_at_table(client: &Client, table: &Table) -> Result<Vec<Finding>, String> {
    let name = table.name;
    let Some(standing) = standing(client, name).await? else {
        return Ok(vec![Finding::failed(
            format!("There is no table {name}."),
            "Let the platform's migrations run, or let POSTGRES_URL name its database.",
        )]);
    };
    let columns = columns(client, name).await?;
    let mut findings = wrong_columns(table, &columns);
    if findings.is_empty() {
        let count = table.columns.len();
        findings
            .push(Finding::fine(format!("Table {name}: {count} columns have the right types.")));
    }
    let names = table.columns.iter().map(|column| column.0);
    findings.extend(unreadable_columns(name, names, &columns));
    findings.extend(surprises(name, &standing));
    Ok(findings)
}

async fn standing(client: &Client, table: &str) -> Result<Option<Row>, String> {
    client.query_opt(STANDING, &[&table]).await.map_err(|error| plain(&error))
}

async fn columns(client: &Client, table: &str) -> Result<Vec<Column>, String> {
    let rows = client.query(COLUMNS, &[&table]).await.map_err(|error| plain(&error))?;
    let column = |row: &Row| Column { name: row.get(0), kind: row.get(1), is_readable: row.get(2) };
    Ok(rows.iter().map(column).collect())
}

/// What makes reading a table less than one expects.
fn surprises(name: &str, standing: &Row) -> Vec<Finding> {
    let mut findings = Vec::new();
    if standing.get::<_, bool>(0) {
        findings.push(Finding::warning(
            format!(
                "Row level security hides rows of {name} from pitwall's user: what is hidden looks \
                 as if it did not exist."
            ),
            "Give that user BYPASSRLS, or a policy that shows it every row.",
        ));
    }
    if !["r", "p"].contains(&standing.get::<_, &str>(1)) {
        findings.push(Finding::warning(
            format!("{name} is not a table but a view or a foreign table: reading it may be slow."),
            format!("Let the search path of pitwall's user find the table {name} first."),
        ));
    }
    findings
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
fn unreadable_columns<'a>(
    table: &str,
    needed: impl Iterator<Item = &'a str>,
    columns: &[Column],
) -> Option<Finding> {
    let is_hidden = |name: &&str| columns.iter().any(|it| it.name == *name && !it.is_readable);
    let hidden: Vec<&str> = needed.filter(is_hidden).collect();
    let list = hidden.join(", ");
    (!hidden.is_empty()).then(|| {
        Finding::failed(
            format!("pitwall's user may not read {table} ({list})."),
            format!("GRANT SELECT ({list}) ON {table} TO the user of POSTGRES_URL."),
        )
    })
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
