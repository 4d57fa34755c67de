//! One session with PostgreSQL that writes: how it is set, the COPY of fresh rows, and the careful
//! insert of rows that may be there already.
//!
//! It decides nothing: an error comes back with its class, and whoever called knows whether the
//! outcome can be known.

use std::fmt;
use std::io::Cursor;
use std::time::Duration;

use engine::copy::{COLUMNS, CopyEncoder};
use engine::limits::COPY_PIECE_BYTES;
use engine::rows::RowBatch;
use futures_util::future::join3;
use futures_util::{SinkExt as _, pin_mut};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Client, Config, CopyInSink, NoTls, Statement};

use super::columns::{columns, keys, span};
use crate::database::{Class, DatabaseError, catalog};

/// How long the server is given to hear that a statement is not waited for any more.
const CANCEL_MS_MAX: u64 = 2_000;

/// A session; dropping it ends the connection at once.
pub struct Session {
    client: Client,
    copy: Statement,
    insert: Statement,
    present: Statement,
    _driver: Driver,
}

/// What became of rows that were inserted carefully.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// Rows that are new.
    pub new: u64,
    /// Rows of which one with the same device and time is there now.
    pub present: u64,
}

impl Session {
    /// Connects, says how the session is to be and looks whether it is, and whether `positions` is
    /// as it must be.
    pub async fn open(settings: &Config, deadline_ms: u64) -> Result<Self, DatabaseError> {
        let (client, connection) = settings.connect(NoTls).await?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer on this connection is told the same.
            drop(connection.await);
        });
        let driver = Driver(driver.abort_handle());
        client.batch_execute(&settings_of(deadline_ms)).await?;
        let row = client.query_one("SELECT current_setting('synchronous_commit')", &[]).await?;
        let synchronous: &str = row.get(0);
        if synchronous != "on" {
            let words = format!(
                "synchronous_commit is {synchronous} although the session has set it on: rows could \
                 be lost after they were acknowledged."
            );
            return Err(DatabaseError::local(Class::Schema, &words));
        }
        verify(&client).await?;
        let copy = client.prepare(&copy_text()).await?;
        let insert = client.prepare(&insert_text()).await?;
        let present = client.prepare(PRESENT).await?;
        Ok(Self { client, copy, insert, present, _driver: driver })
    }

    /// Looks again whether `positions` is as it must be.
    pub async fn verify(&self) -> Result<(), DatabaseError> {
        verify(&self.client).await
    }

    /// True when the connection is known to have ended.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Copies rows that are proven new, in a transaction of its own, and says how many were stored.
    pub async fn copy(&self, batch: &RowBatch, rows: &[u32]) -> Result<u64, DatabaseError> {
        let sink: CopyInSink<Cursor<Vec<u8>>> = self.client.copy_in(&self.copy).await?;
        pin_mut!(sink);
        let mut encoder = CopyEncoder::new(batch, rows);
        loop {
            // The connection keeps a piece until it is written, so each has a buffer of its own.
            let mut piece = Vec::with_capacity(COPY_PIECE_BYTES + COPY_PIECE_BYTES / 8);
            if !encoder.poll_piece(&mut piece) {
                break;
            }
            sink.send(Cursor::new(piece)).await?;
        }
        Ok(sink.finish().await?)
    }

    /// Inserts rows that may be there already, all or none, and counts in the same transaction which
    /// of them are there afterwards.
    ///
    /// The rows must be sorted by device and time: two sessions that insert the same keys in one
    /// order cannot wait for each other in a circle. When not every row is there, nothing is stored.
    pub async fn insert(&self, batch: &RowBatch, rows: &[u32]) -> Result<Inserted, DatabaseError> {
        let (columns, keys, span) = (columns(batch, rows), keys(batch, rows), span(batch, rows));
        let parameters: [&(dyn ToSql + Sync); 4] = [&keys[0], &keys[1], &span[0], &span[1]];
        // One behind the other without waiting: the server goes on by itself, or refuses the rest.
        let (began, new, row) = join3(
            self.client.batch_execute("BEGIN"),
            self.client.execute_raw(&self.insert, columns),
            self.client.query_one(&self.present, &parameters),
        )
        .await;
        began?;
        let counted = match (new, row) {
            (Ok(new), Ok(row)) => Ok((new, row.get::<_, i64>(0))),
            // The count only fails because the insert has.
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
        };
        let (new, present) = match counted {
            Ok(counted) => counted,
            Err(error) => {
                if !self.client.is_closed() {
                    self.client.batch_execute("ROLLBACK").await?;
                }
                return Err(error.into());
            }
        };
        let present = u64::try_from(present).unwrap_or(0);
        let is_whole = present == rows.len() as u64;
        self.client.batch_execute(if is_whole { "COMMIT" } else { "ROLLBACK" }).await?;
        Ok(Inserted { new: if is_whole { new } else { 0 }, present })
    }

    /// Gives the session up while a statement may still run: the server is asked to end it, so that
    /// the rows it holds are not waited for.
    pub fn cancel(self) {
        let token: CancelToken = self.client.cancel_token();
        tokio::spawn(async move {
            let within = Duration::from_millis(CANCEL_MS_MAX);
            // Nobody is left to tell: the server ends it by its own limit, too.
            drop(timeout(within, token.cancel_query(NoTls)).await);
        });
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").finish_non_exhaustive()
    }
}

/// The task that moves the session's bytes; it ends with the session.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What every writing session is told. The server gives up before we do; waiting for a lock that a
/// migration holds is cut shorter, so that the words name the lock.
fn settings_of(deadline_ms: u64) -> String {
    let statement_ms = deadline_ms * 4 / 5;
    let lock_ms = statement_ms.min(2_000);
    format!(
        "SET synchronous_commit = on; SET statement_timeout = {statement_ms}; SET lock_timeout = \
         {lock_ms}; SET idle_in_transaction_session_timeout = {deadline_ms}; {PLANS}"
    )
}

/// How statements are planned: once, and by index alone. A plan outlives what the planner knew, such
/// as that the table was empty, and is asked for a thousand keys as for one. Compiling it costs more
/// than it ever saves here, and a table of many parts looks dear enough to be compiled for.
const PLANS: &str = "SET plan_cache_mode = force_generic_plan; SET jit = off; \
                     SET enable_seqscan = off; SET enable_bitmapscan = off";

async fn verify(client: &Client) -> Result<(), DatabaseError> {
    let catalog = catalog::look(client).await?;
    match catalog.faults.first() {
        None => Ok(()),
        Some(fault) => {
            let words = format!("{} {}", fault.what, fault.remedy);
            Err(DatabaseError::local(Class::Schema, &words))
        }
    }
}

fn copy_text() -> String {
    format!("COPY positions ({COLUMNS}) FROM STDIN (FORMAT binary)")
}

/// Arrays instead of a temporary table: the same rows in one statement, and no table is made and
/// dropped in the catalog for each batch. The order is that of the bytes, whatever the collation of
/// the database; of two rows with one key the first stands.
fn insert_text() -> String {
    format!(
        "INSERT INTO positions ({COLUMNS})
         SELECT {COLUMNS}
         FROM unnest($1::text[], $2::timestamptz[], $3::float8[], $4::float8[], $5::float4[],
             $6::float4[], $7::float4[], $8::int2[], $9::int2[], $10::text[], $11::jsonb[])
             WITH ORDINALITY AS input ({COLUMNS}, row_number)
         ORDER BY device_id COLLATE \"C\", ts, row_number
         ON CONFLICT (device_id, ts) DO NOTHING"
    )
}

/// How many of these keys are in the table. One key is looked up at a time, because a join may read
/// everything between the first and the last. A time is asked for as a range: of an equal one the
/// planner believes that `positions_ts` finds a single row, and it finds one of each device. The
/// bounds let a table of many parts leave out all others.
const PRESENT: &str = "
    SELECT count(*)
    FROM unnest($1::text[], $2::timestamptz[]) AS key (device_id, ts)
        CROSS JOIN LATERAL (
            SELECT FROM positions
            WHERE positions.device_id = key.device_id
                AND positions.ts BETWEEN key.ts AND key.ts
                AND positions.ts BETWEEN $3::timestamptz AND $4::timestamptz
            LIMIT 1) AS found";
