//! A Redis and a database of a campaign, and what is seen in them without asking pitwall.

use std::collections::HashMap;
use std::time::Duration;

use engine::rows::EntryId;
use redis::{Connection, FromRedisValue, Value};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

use crate::entries::STREAM;
use crate::oracle::{GROUP, Verdict, judge};
use crate::platform;
use crate::producer::{Log, REFUSE};
use crate::program::comes_true;
use crate::redis::Redis;

/// Every write is on disk before Redis answers: what it has confirmed may be judged.
pub(super) const APPEND_ALWAYS: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// PostgreSQL with all that it does for durability. Once it has crashed it asks the system to sync
/// its files in one call instead of one for each.
pub(super) const DURABLE: &[(&str, &str)] = &[("recovery_init_sync_method", "syncfs")];

/// How long anything may take to come true while others may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// A Redis, and the way to a database.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) redis: Redis,
    postgres_url: String,
    runtime: Runtime,
    client: Option<Client>,
}

impl Ground {
    /// A Redis with these arguments; the empty database gets the platform's tables and a rule that
    /// refuses some rows.
    pub(super) fn start(arguments: &[&str], postgres_url: String) -> Self {
        let redis = Redis::try_start(arguments).unwrap_or_else(|error| panic!("{error}"));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut ground = Self { redis, postgres_url, runtime, client: None };
        ground.with_client(async |client| {
            platform::create(client).await;
            client.batch_execute(REFUSE).await
        });
        ground
    }

    /// Makes an empty database.
    pub(super) fn create_database(&mut self, name: &str) {
        let statement = format!("CREATE DATABASE {name}");
        let created = self.with_client(async |client| client.batch_execute(&statement).await);
        created.expect("PostgreSQL makes databases");
    }

    /// Rows; nothing while PostgreSQL cannot say.
    pub(super) fn stored(&mut self) -> Option<u64> {
        let count = async |client: &Client| -> Result<u64, tokio_postgres::Error> {
            let row = client.query_one("SELECT count(*) FROM positions", &[]).await?;
            Ok(row.get::<_, i64>(0).cast_unsigned())
        };
        self.with_client(count)
    }

    /// Judges what has become of these records.
    pub(super) fn judge(&mut self, log: &Log) -> Verdict {
        let port = self.redis.port();
        // The session may have ended since it was used.
        self.client = None;
        let verdict = self.with_client(async |client| Ok(judge(log, port, client).await));
        verdict.expect("the servers run when it is judged")
    }

    /// Waits until something is true; says what has not come true if it does not.
    pub(super) fn until(
        &mut self,
        what: &str,
        mut is_true: impl FnMut(&mut Self) -> bool,
    ) -> Result<(), String> {
        if comes_true(PATIENCE, LOOK, || is_true(self)) {
            return Ok(());
        }
        Err(format!("within {} s it did not come true that {what}", PATIENCE.as_secs()))
    }

    fn with_client<T>(
        &mut self,
        work: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Option<T> {
        let (runtime, client, url) = (&self.runtime, &mut self.client, &self.postgres_url);
        runtime.block_on(async {
            if client.is_none() {
                let (connected, connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
                tokio::spawn(async move {
                    // The client sees the same error.
                    drop(connection.await);
                });
                *client = Some(connected);
            }
            let done = work(client.as_ref().expect("it was just made")).await;
            if done.is_err() {
                *client = None;
            }
            done.ok()
        })
    }
}

/// What the group has read last, and how many entries are pending in it.
pub(super) fn group(redis: &mut Connection) -> Option<(EntryId, usize)> {
    let groups = redis::cmd("XINFO").arg("GROUPS").arg(STREAM).query(redis);
    let groups: Vec<HashMap<String, Value>> = groups.ok()?;
    let text = |group: &HashMap<String, Value>, name: &str| -> String {
        FromRedisValue::from_redis_value(group[name].clone()).expect("a text")
    };
    let group = groups.iter().find(|group| text(group, "name") == GROUP)?;
    let pending = FromRedisValue::from_redis_value(group["pending"].clone()).expect("a count");
    Some((EntryId::parse(text(group, "last-delivered-id").as_bytes())?, pending))
}
