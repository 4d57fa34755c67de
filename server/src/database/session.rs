//! One session with PostgreSQL: its settings, and the statements it has prepared.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

use super::error::DatabaseError;
use crate::secret::Secret;

/// What every session is told. It only reads, and the server gives up before we do; waiting for a
/// lock that a migration holds is cut shorter, so that the words name the lock.
const SETTINGS: &str = "SET default_transaction_read_only = on; SET statement_timeout = 8000; \
                        SET lock_timeout = 2000; SET idle_in_transaction_session_timeout = 8000";

/// How long one host may take to take a connection.
const HOST_MS_MAX: u64 = 2_000;

/// A session; dropping it ends the connection at once.
pub(super) struct Session {
    client: Client,
    /// One for each text that is asked: as many as the program has.
    statements: Mutex<HashMap<&'static str, Statement>>,
    driver: AbortHandle,
}

/// Reads the address; `None` when it is none. Why it is none is not said: it may hold a password.
pub(crate) fn settings(url: &Secret, purpose: &str) -> Option<Config> {
    let mut settings = Config::from_str(url.expose()).ok()?;
    settings.application_name(format!("pitwall-{purpose}"));
    if settings.get_connect_timeout().is_none() {
        // Of several hosts, or addresses of one, one that is silent must leave time for the next.
        settings.connect_timeout(Duration::from_millis(HOST_MS_MAX));
    }
    Some(settings)
}

impl Session {
    /// Connects, and says how the session is to be.
    pub(super) async fn open(settings: &Config) -> Result<Self, DatabaseError> {
        let (client, connection) = settings.connect(NoTls).await?;
        let driver = tokio::spawn(async move {
            // Whoever asks on this connection is told the same.
            drop(connection.await);
        });
        let driver = driver.abort_handle();
        let session = Self { client, statements: Mutex::default(), driver };
        session.client.batch_execute(SETTINGS).await?;
        Ok(session)
    }

    /// True when the connection is known to have ended.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Asks, and asks once more when the prepared statement has become outdated.
    pub(super) async fn query(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        let statement = self.statement(sql).await?;
        match self.client.query(&statement, parameters).await.map_err(DatabaseError::from) {
            Err(error) if error.outdates_statement() => {
                self.statements.lock().unwrap_or_else(PoisonError::into_inner).remove(sql);
                let statement = self.statement(sql).await?;
                Ok(self.client.query(&statement, parameters).await?)
            }
            result => result,
        }
    }

    async fn statement(&self, sql: &'static str) -> Result<Statement, DatabaseError> {
        let known =
            self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
