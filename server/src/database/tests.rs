//! The connection's pauses and deadlines in virtual time, against a server that never answers.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use super::{CONNECT_MS_MAX, Class, Database, PAUSE_MS_FIRST, PAUSE_MS_LAST};
use crate::config::Config;
use crate::context::Context;
use crate::log::{Level, Log};
use crate::shutdown::Shutdown;

fn context(port: u16) -> Context {
    let url = format!("postgres://pitwall@127.0.0.1:{port}/postgres");
    let log = Log::to(Level::Debug, "test", io::sink());
    Context::new(Config::new("redis://127.0.0.1:1", &url), log, Shutdown::default())
}

#[tokio::test(start_paused = true)]
async fn f16_a_server_that_accepts_and_says_nothing_is_left_after_the_deadline() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let context = context(listener.local_addr().unwrap().port());
    let database = Database::new(&context, "test");
    let began = Instant::now();
    let error = database.query("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(began.elapsed().as_millis(), u128::from(CONNECT_MS_MAX));
    assert_eq!(error.class, Class::Transient);
    assert!(error.words.contains("5000 ms"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn calls_fail_at_once_between_attempts_whose_pauses_grow_to_a_bound() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let context = context(listener.local_addr().unwrap().port());
    let database = Database::new(&context, "test");
    let attempt_ms = u128::from(CONNECT_MS_MAX);
    let mut attempts = 0;
    let mut pause_ms_max = 0;
    let (began, mut paused) = (Instant::now(), Instant::now());
    while began.elapsed() < Duration::from_secs(600) {
        let asked = Instant::now();
        database.query("SELECT 1", &[]).await.unwrap_err();
        if asked.elapsed().is_zero() {
            tokio::time::advance(Duration::from_millis(1)).await;
            continue;
        }
        assert_eq!(asked.elapsed().as_millis(), attempt_ms, "one attempt at a time");
        attempts += 1;
        pause_ms_max = pause_ms_max.max((asked - paused).as_millis());
        assert!(attempts > 2 || pause_ms_max <= u128::from(2 * PAUSE_MS_FIRST), "{pause_ms_max}");
        paused = Instant::now();
    }
    assert!((60..=120).contains(&attempts), "{attempts} attempts in ten minutes");
    assert!(pause_ms_max <= u128::from(PAUSE_MS_LAST) + 1, "{pause_ms_max}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_does_not_take_the_attempt_with_him() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let context = context(listener.local_addr().unwrap().port());
    let database = Database::new(&context, "test");
    let began = Instant::now();
    let impatient = Duration::from_secs(1);
    assert!(tokio::time::timeout(impatient, database.query("SELECT 1", &[])).await.is_err());
    database.query("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(began.elapsed().as_millis(), u128::from(CONNECT_MS_MAX), "the same attempt");
}
