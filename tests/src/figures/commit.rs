//! How soon a position is safe: from its XADD to the commit of its row, at several rates.
//!
//! Nobody polls: the device time of each fix is the moment of its XADD, and PostgreSQL itself notes
//! when the transaction of each row has committed.

use std::thread;
use std::time::{Duration, Instant};

use pitwall::config::{Config, Roles};

use super::say;
use crate::entries::{Fix, Publisher};
use crate::live::Live;
use crate::platform::{self, imei};
use crate::postgres::Postgres;
use crate::redis::Redis;

/// PostgreSQL as it runs for a platform, and with the time of each commit.
const SETTINGS: [(&str, &str); 3] =
    [("fsync", "on"), ("full_page_writes", "on"), ("track_commit_timestamp", "on")];

/// The steps in which a publisher sends.
const STEP: Duration = Duration::from_millis(10);

/// How long the rest may take to be stored.
const PATIENCE: Duration = Duration::from_secs(60);

/// Publishes at each of these rates for so long, and prints the times.
///
/// # Panics
/// When a server cannot be started, or a row is missing in the end.
pub fn run(rates: &[u64], duration: Duration) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    for &rate in rates {
        let (redis, postgres) = (Redis::start(), Postgres::start(&SETTINGS));
        runtime.block_on(async { platform::create(&postgres.connect().await).await });
        let mut config = Config::new(&redis.url(), &postgres.url());
        config.roles = Roles::DURABLE;
        let live = Live::start(config);
        let sent = publish(&mut Publisher::connect(redis.port()), rate, duration);
        let line = runtime.block_on(async { times(&postgres, sent).await });
        say(&format!("{rate}/s for {} s, {sent} rows: {line}", duration.as_secs()));
        drop(live);
    }
}

/// Sends on a schedule, each fix of a device of its own turn; says how many.
fn publish(publisher: &mut Publisher, rate: u64, duration: Duration) -> u64 {
    let began = Instant::now();
    let mut sent = 0;
    loop {
        let elapsed = began.elapsed().min(duration);
        let due = u64::try_from(elapsed.as_micros()).expect("a short run") * rate / 1_000_000;
        let now_ms = pitwall::clock::wall_ms();
        // Devices enough that none sends two fixes in a millisecond.
        let fixes: Vec<Fix> =
            (sent..due).map(|number| Fix::new(&imei(number % 50_000), now_ms)).collect();
        for part in fixes.chunks(1_000) {
            publisher.publish_all(part);
        }
        sent = due;
        if elapsed == duration {
            return sent;
        }
        thread::sleep(STEP);
    }
}

/// Waits until all is stored, and reads how long each row took.
async fn times(postgres: &Postgres, sent: u64) -> String {
    let client = postgres.connect().await;
    let began = Instant::now();
    loop {
        let row = client.query_one("SELECT count(*) FROM positions", &[]).await;
        let stored: i64 = row.expect("PostgreSQL is there").get(0);
        if stored.unsigned_abs() == sent {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{stored} of {sent} rows are stored");
        tokio::time::sleep(STEP).await;
    }
    // Devices whose first fix it is go the careful way; that is part of what is measured.
    let statement = "
        WITH times AS (
            SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - ts) * 1000 AS ms, xmin
            FROM positions)
        SELECT format('p50 %s ms, p90 %s ms, p99 %s ms, most %s ms; %s commits, %s rows each',
            round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::numeric, 1),
            round(percentile_cont(0.9) WITHIN GROUP (ORDER BY ms)::numeric, 1),
            round(percentile_cont(0.99) WITHIN GROUP (ORDER BY ms)::numeric, 1),
            round(max(ms)::numeric, 1), count(DISTINCT xmin::text),
            round(count(*)::numeric / count(DISTINCT xmin::text), 1))
        FROM times";
    client.query_one(statement, &[]).await.expect("commits have times").get(0)
}
