//! Whether the database lets us store positions.

use tokio_postgres::NoTls;

use super::Finding;
use crate::tools::ask::within;

/// The columns that pitwall writes and the user of this session may not insert into; nothing when there
/// is no such table.
const FORBIDDEN: &str = "
    SELECT attname::text FROM pg_attribute
    WHERE attrelid = to_regclass('positions') AND attnum > 0 AND NOT attisdropped
        AND attname = ANY ($1) AND NOT has_column_privilege(attrelid, attnum, 'INSERT')
    ORDER BY attnum";

/// What a row of ours fills in.
const COLUMNS: [&str; 11] = [
    "device_id",
    "ts",
    "latitude",
    "longitude",
    "altitude",
    "angle",
    "speed",
    "satellites",
    "priority",
    "codec",
    "attributes",
];

/// Looks at the rights to insert. Nothing is found when PostgreSQL cannot be asked or has no such table:
/// that is told by who looks at the tables.
pub(super) async fn look(url: &str) -> Option<Finding> {
    let forbidden = within(forbidden(url)).await.ok()?;
    if forbidden.is_empty() {
        return Some(Finding::fine("pitwall's user may insert into positions."));
    }
    let list = forbidden.join(", ");
    Some(Finding::failed(
        format!("pitwall's user may not insert into positions ({list}): nothing would be stored."),
        format!("GRANT INSERT ({list}) ON positions TO the user of POSTGRES_URL, or ROLES=live."),
    ))
}

async fn forbidden(url: &str) -> Result<Vec<String>, String> {
    let silent = |error: tokio_postgres::Error| error.to_string();
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(silent)?;
    tokio::spawn(async move {
        // Whoever asks is told the same.
        drop(connection.await);
    });
    let rows = client.query(FORBIDDEN, &[&COLUMNS.as_slice()]).await.map_err(silent)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
