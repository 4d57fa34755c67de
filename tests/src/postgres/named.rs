//! A fresh database on a server that somebody else runs, gone when dropped.
//!
//! `PITWALL_TEST_POSTGRES_URL` names the server and a superuser of it: a TimescaleDB, a newer
//! PostgreSQL. Tests that kill their server or change its settings never come here.

use std::env;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, Config, NoTls};

/// The variable that names the server.
pub const VARIABLE: &str = "PITWALL_TEST_POSTGRES_URL";

/// Databases of this process so far.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A database of one test.
#[derive(Debug)]
pub struct Named {
    /// The server, by the database that was named.
    server: String,
    name: String,
    port: u16,
}

impl Named {
    /// A database on the server that is named, if one is.
    ///
    /// # Panics
    /// When it cannot be had there.
    #[must_use]
    pub fn make() -> Option<Self> {
        let server = env::var(VARIABLE).ok()?;
        let config: Config = server.parse().unwrap_or_else(|error| panic!("{VARIABLE}: {error}"));
        let is_near = |host: &_| matches!(host, tokio_postgres::config::Host::Tcp(host) if host == "127.0.0.1");
        // The fault proxy stands on loopback, before servers of loopback.
        assert!(
            config.get_hosts().iter().all(is_near) && config.get_hosts().len() == 1,
            "{VARIABLE} must name a server on 127.0.0.1: forward a port of yours to it"
        );
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let named = Self { server, name: format!("pitwall_{}_{number}", process::id()), port };
        on(&named.server, async |client| {
            let statement = format!("CREATE DATABASE {} TEMPLATE template0", named.name);
            client.batch_execute(&statement).await.expect("a superuser may make a database");
        });
        on(&named.url(), async |client| {
            let has = "SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'";
            let row = client.query_one(has, &[]).await.expect("the catalog can be read");
            if row.get::<_, i64>(0) > 0 {
                let statement = "CREATE EXTENSION IF NOT EXISTS timescaledb";
                client.batch_execute(statement).await.expect("a superuser may make an extension");
            }
        });
        Some(named)
    }

    /// What `POSTGRES_URL` should say.
    #[must_use]
    pub fn url(&self) -> String {
        let (address, words) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let authority = address.find("://").expect("it has been parsed") + 3;
        let end = address[authority..].find('/').map_or(address.len(), |at| authority + at);
        let mark = if words.is_empty() { "" } else { "?" };
        format!("{}/{}{mark}{words}", &address[..end], self.name)
    }

    /// Where the server listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        on(&self.server, async |client| {
            let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
            // What stays is told by its name; a test that fails says more than this would.
            drop(client.batch_execute(&statement).await);
        });
    }
}

/// Does something with a database.
fn on(url: &str, work: impl AsyncFnOnce(&Client)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let connected = tokio_postgres::connect(url, NoTls).await;
        let (client, connection) = connected.expect("the named server lets its superuser in");
        tokio::select! {
            () = work(&client) => {}
            ended = connection => panic!("the named server has gone: {ended:?}"),
        }
    });
}
