//! The connection itself: statements that become outdated, sessions that end, words without secrets.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pitwall::config::Config;
use pitwall::context::Context;
use pitwall::database::{Class, Database};
use pitwall::log::{Level, Log};
use pitwall::shutdown::Shutdown;
use pitwall::status::State;
use tests::postgres::{FAST, Postgres};

use crate::scene::runtime;

fn connect(url: &str) -> (Arc<Database>, Context) {
    let log = Log::to(Level::Debug, "test", io::sink());
    let context = Context::new(Config::new("redis://127.0.0.1:1", url), log, Shutdown::default());
    (Database::new(&context, "test"), context)
}

/// Asks until it works; while the connection is away each call fails at once.
async fn ask(database: &Database, sql: &'static str) -> i32 {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match database.query(sql, &[]).await {
            Ok(rows) => return rows[0].get(0),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn d5_a_statement_whose_result_has_changed_is_prepared_again() {
    runtime().block_on(async {
        let postgres = Postgres::start(FAST);
        let client = postgres.connect().await;
        client.batch_execute("CREATE TABLE t (a integer); INSERT INTO t VALUES (1)").await.unwrap();
        let (database, _context) = connect(&postgres.url());
        let sql = "SELECT * FROM t";
        assert_eq!(database.query(sql, &[]).await.unwrap()[0].len(), 1);
        client.batch_execute("ALTER TABLE t ADD COLUMN b text").await.unwrap();
        assert_eq!(database.query(sql, &[]).await.unwrap()[0].len(), 2);
    });
}

#[test]
fn f30_a_killed_session_is_replaced() {
    runtime().block_on(async {
        let postgres = Postgres::start(FAST);
        let client = postgres.connect().await;
        let (database, _context) = connect(&postgres.url());
        let name = "SELECT current_setting('application_name') = 'pitwall-test'";
        assert!(database.query(name, &[]).await.unwrap()[0].get::<_, bool>(0));
        let process = ask(&database, "SELECT pg_backend_pid()").await;
        let statement = "SELECT pg_terminate_backend($1)";
        assert!(client.query_one(statement, &[&process]).await.unwrap().get::<_, bool>(0));
        let other = async {
            while ask(&database, "SELECT pg_backend_pid()").await == process {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), other).await.unwrap();
    });
}

#[test]
fn f69_an_answer_to_anybody_tells_that_the_database_is_well_again() {
    runtime().block_on(async {
        let postgres = Postgres::start(FAST);
        let client = postgres.connect().await;
        let (database, context) = connect(&postgres.url());
        let other = Database::new(&context, "other");
        assert_eq!(ask(&other, "SELECT 1").await, 1);
        let asking = database.clone();
        let asked = tokio::spawn(async move { asking.query("SELECT pg_sleep(8)", &[]).await });
        let statement = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = 'pitwall-test' AND query LIKE '%sleep%' AND state = 'active'";
        while client.query_one(statement, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
        let error = asked.await.unwrap().unwrap_err();
        let report = context.status.components()[0].report();
        assert_eq!((report.state, report.reason), (State::Failed, error.words));
        // Who has failed may have no more questions for long.
        assert_eq!(ask(&other, "SELECT 1").await, 1);
        assert_eq!(context.status.components()[0].report().state, State::Working);
    });
}

#[test]
fn a_session_only_reads_and_a_refusal_does_not_end_it() {
    runtime().block_on(async {
        let postgres = Postgres::start(FAST);
        let (database, _context) = connect(&postgres.url());
        let process = ask(&database, "SELECT pg_backend_pid()").await;
        let error = database.query("CREATE TABLE t (a integer)", &[]).await.unwrap_err();
        assert_eq!(error.class, Class::Outage);
        assert_eq!(error.code.unwrap().code(), "25006");
        let error = database.query("SELECT * FROM missing", &[]).await.unwrap_err();
        assert_eq!(error.class, Class::Schema);
        assert_eq!(error.words, "PostgreSQL says 42P01: relation \"missing\" does not exist");
        let error = database.query("SELECT 1 / 0", &[]).await.unwrap_err();
        assert_eq!(error.class, Class::Poison);
        assert_eq!(ask(&database, "SELECT pg_backend_pid()").await, process);
        let settings = "SELECT current_setting('statement_timeout') = '8s'
            AND current_setting('lock_timeout') = '2s'";
        assert!(database.query(settings, &[]).await.unwrap()[0].get::<_, bool>(0));
    });
}

#[test]
fn many_callers_share_one_session() {
    runtime().block_on(async {
        let postgres = Postgres::start(FAST);
        let (database, _context) = connect(&postgres.url());
        let asks = (0..100).map(|_| {
            let database = database.clone();
            tokio::spawn(async move { ask(&database, "SELECT pg_backend_pid()").await })
        });
        let asks: Vec<_> = asks.collect();
        let mut processes = Vec::new();
        for ask in asks {
            processes.push(ask.await.unwrap());
        }
        processes.dedup();
        assert_eq!(processes.len(), 1);
    });
}

#[test]
fn t4_no_words_about_a_connection_hold_its_password() {
    runtime().block_on(async {
        let postgres = Postgres::start(FAST);
        let port = postgres.port();
        for url in [
            format!("postgres://pitwall:canary-5@127.0.0.1:{port}/nowhere"),
            format!("postgres://pitwall:canary-5@127.0.0.1:{port}/postgres?sslmode=require"),
            format!("postgres://pitwall:canary-5@127.0.0.1:{port}/postgres?no_such=canary-5"),
            "postgres://pitwall:canary-5@127.0.0.1:1/postgres".to_owned(),
            "postgres://pitwall:canary-5@canary-5:port/postgres".to_owned(),
        ] {
            let (database, context) = connect(&url);
            let error = database.query("SELECT 1", &[]).await.unwrap_err();
            let component = &context.status.components()[0];
            let words = format!("{error} {error:?} {database:?} {component:?} {context:?}");
            assert!(!words.contains("canary-5"), "{words}");
            assert_eq!(error.class == Class::Transient, url.contains(":1/"), "{words}");
        }
    });
}
