//! What a writing session asks of PostgreSQL, judged by what the server says it did.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use engine::rows::{EntryId, Newest, Row, RowBatch};
use pitwall::durable::session::{Inserted, Session};
use tests::platform::imei;
use tests::postgres::{FAST, POSITIONS, Postgres};
use tests::sample;
use tokio_postgres::Client;

const DEADLINE_MS: u64 = 60_000;

/// 2026-06-06T00:00:00Z.
const BEGAN_MS: i64 = 1_780_704_000_000;

const DAY_MS: i64 = 86_400_000;

const DEVICES: u64 = 300;

/// Runs a test with a server of its own, which never looks at its tables by itself.
fn with_server(test: impl AsyncFnOnce(&Postgres, &Client)) {
    let postgres = Postgres::start(&[FAST, &[("autovacuum", "off")]].concat());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = postgres.connect().await;
        test(&postgres, &client).await;
    });
}

async fn open(postgres: &Postgres) -> Session {
    let settings = postgres.url().parse().unwrap();
    Session::open(&settings, DEADLINE_MS).await.unwrap()
}

/// Rows of every device at each of these moments.
fn batch_at(moments: &[i64]) -> (RowBatch, Vec<u32>) {
    let mut batch = RowBatch::new(10_000);
    for &timestamp_ms in moments {
        for device in 1..=DEVICES {
            let position = sample::position(timestamp_ms);
            let (entry, device_id) = (EntryId::default(), &*imei(device));
            let attributes = br#"{"239":1}"#;
            batch
                .push(&Row { entry, device_id, position, attributes, redelivered: false })
                .unwrap();
        }
    }
    let (mut fresh, mut suspect) = (Vec::new(), Vec::new());
    Newest::new().split(&batch, &mut fresh, &mut suspect);
    (batch, suspect)
}

/// How often all of `positions` was read, and how often the index on the time alone.
async fn reads(client: &Client) -> (i64, i64) {
    let text = "
        SELECT sum(seq_scan)::bigint, (
            SELECT sum(idx_scan)::bigint
            FROM pg_stat_user_indexes JOIN pg_inherits ON inhrelid = indexrelid
            WHERE inhparent = 'positions_ts'::regclass)
        FROM pg_stat_user_tables WHERE relname LIKE 'positions%'";
    let row = client.query_one(text, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Waits until the session of this name has ended, having said what it did.
async fn until_gone(client: &Client, name: &str) {
    let text = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE $1";
    while client.query_one(text, &[&name]).await.unwrap().get::<_, i64>(0) > 0 {}
}

/// A table of four days, made by a session that has ended.
async fn make_days(postgres: &Postgres, client: &Client) {
    let parts = (0..4).map(|day| {
        let (from, to) = (BEGAN_MS + day * DAY_MS, BEGAN_MS + (day + 1) * DAY_MS);
        format!(
            "CREATE TABLE positions_{day} PARTITION OF positions FOR VALUES
             FROM (to_timestamp({from} / 1000)) TO (to_timestamp({to} / 1000));"
        )
    });
    let table = POSITIONS.replacen("\n);", "\n) PARTITION BY RANGE (ts);", 1);
    let maker = postgres.connect().await;
    maker.batch_execute("SET application_name = maker").await.unwrap();
    maker.batch_execute(&table).await.unwrap();
    maker.batch_execute(&parts.collect::<String>()).await.unwrap();
    drop(maker);
    until_gone(client, "maker").await;
}

#[test]
fn rows_are_counted_by_the_unique_index_however_much_the_table_has_grown() {
    with_server(async |postgres, client| {
        make_days(postgres, client).await;
        let before = reads(client).await;
        let session = open(postgres).await;
        // Whatever is planned is planned now, while nothing speaks against any plan.
        let (batch, rows) = batch_at(&[BEGAN_MS]);
        for new in [DEVICES, 0] {
            let inserted = session.insert(&batch, &rows).await.unwrap();
            assert_eq!(inserted, Inserted { new, present: DEVICES });
        }
        for day in 0..4 {
            let began_ms = BEGAN_MS + day * DAY_MS;
            let seconds: Vec<i64> = (1..=20).map(|second| began_ms + 1_000 * second).collect();
            let (batch, rows) = batch_at(&seconds);
            assert_eq!(session.copy(&batch, &rows).await.unwrap(), 20 * DEVICES);
        }
        // Another one meets the grown table, of which the server knows nothing yet.
        let other = open(postgres).await;
        let (batch, rows) = batch_at(&[BEGAN_MS + 5_000, BEGAN_MS + 3 * DAY_MS + 5_000]);
        for session in [session, other] {
            for _ in 0..7 {
                let inserted = session.insert(&batch, &rows).await.unwrap();
                assert_eq!(inserted, Inserted { new: 0, present: 2 * DEVICES });
            }
        }
        until_gone(client, "pitwall-durable%").await;
        assert_eq!(reads(client).await, before, "not one key was looked up in another way");
    });
}

#[test]
fn a_careful_insert_tells_new_rows_from_those_that_are_there_and_stores_all_or_none() {
    with_server(async |postgres, client| {
        client.batch_execute(POSITIONS).await.unwrap();
        let session = open(postgres).await;
        let (batch, rows) = batch_at(&[BEGAN_MS]);
        assert_eq!(session.copy(&batch, &rows).await.unwrap(), DEVICES);
        let (batch, rows) = batch_at(&[BEGAN_MS, BEGAN_MS + 1_000, BEGAN_MS + 1_000]);
        let inserted = session.insert(&batch, &rows).await.unwrap();
        assert_eq!(inserted, Inserted { new: DEVICES, present: 3 * DEVICES });
        let swallow = "
            CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
            CREATE TRIGGER swallow BEFORE INSERT ON positions FOR EACH ROW
                WHEN (NEW.device_id LIKE '%1') EXECUTE FUNCTION swallow()";
        client.batch_execute(swallow).await.unwrap();
        let (batch, rows) = batch_at(&[BEGAN_MS + 2_000]);
        let inserted = session.insert(&batch, &rows).await.unwrap();
        assert_eq!(inserted, Inserted { new: 0, present: DEVICES - DEVICES / 10 });
        let row = client.query_one("SELECT count(*) FROM positions", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), i64::try_from(2 * DEVICES).unwrap());
    });
}
