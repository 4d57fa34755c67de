//! Another way to write what may be there: through a temporary table, in one transaction.

use std::io::Cursor;

use engine::copy::{COLUMNS, CopyEncoder};
use engine::limits::COPY_PIECE_BYTES;
use engine::rows::RowBatch;
use futures_util::{SinkExt, pin_mut};
use tokio_postgres::{Client, CopyInSink};

/// The columns that are written, of a table without any rule or index.
const BEGIN: &str = "
    BEGIN;
    CREATE TEMP TABLE staging (device_id text, ts timestamptz, latitude float8, longitude float8,
        altitude float4, angle float4, speed float4, satellites int2, priority int2, codec text,
        attributes jsonb) ON COMMIT DROP";

/// As in a writing session: looked up one by one.
const PRESENT: &str = "
    SELECT count(*)
    FROM staging
        CROSS JOIN LATERAL (
            SELECT FROM positions
            WHERE positions.device_id = staging.device_id
                AND positions.ts BETWEEN staging.ts AND staging.ts
            LIMIT 1) AS found";

/// Inserts the rows, all of them new, and counts what is there.
pub(super) async fn write(client: &Client, batch: &RowBatch) {
    client.batch_execute(BEGIN).await.expect("it is well");
    let copy = format!("COPY staging ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let sink: CopyInSink<Cursor<Vec<u8>>> = client.copy_in(&copy).await.expect("it is well");
    pin_mut!(sink);
    let rows: Vec<u32> = (0..).take(batch.len()).collect();
    let mut encoder = CopyEncoder::new(batch, &rows);
    loop {
        let mut piece = Vec::with_capacity(COPY_PIECE_BYTES + COPY_PIECE_BYTES / 8);
        if !encoder.poll_piece(&mut piece) {
            break;
        }
        sink.send(Cursor::new(piece)).await.expect("it is well");
    }
    sink.finish().await.expect("it is well");
    // The table is new, and so is every statement.
    let insert = format!(
        "INSERT INTO positions ({COLUMNS}) SELECT {COLUMNS} FROM staging
         ORDER BY device_id COLLATE \"C\", ts ON CONFLICT (device_id, ts) DO NOTHING"
    );
    client.batch_execute(&format!("{insert}; {PRESENT}")).await.expect("it is well");
    client.batch_execute("COMMIT").await.expect("it is well");
}
