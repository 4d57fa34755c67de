//! One session with PostgreSQL for a tool, and its errors in plain words.

use std::error::Error as _;

use tokio_postgres::{Client, Error, NoTls};

/// Connects. The connection ends with the client.
pub(super) async fn connect(url: &str) -> Result<Client, String> {
    let connected = tokio_postgres::connect(url, NoTls).await;
    let (client, connection) = connected.map_err(|error| plain(&error))?;
    tokio::spawn(async move {
        // Whoever asks next is told the same.
        drop(connection.await);
    });
    Ok(client)
}

/// What the client says, with its causes.
pub(super) fn plain(error: &Error) -> String {
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
