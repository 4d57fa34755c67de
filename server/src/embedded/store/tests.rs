//! The store against real files: what is answered is there, and nothing else is answered.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot::{Receiver, error::TryRecvError};

use super::table::{FILE, Table, open_to_read};
use super::{Started, StoreHandle, start};
use crate::config::Config;
use crate::context::Context;
use crate::embedded::records::{Reader, tests::packet};
use crate::log::{Level, Log};
use crate::shutdown::Shutdown;
use crate::status::State;

static CREATED: AtomicU32 = AtomicU32::new(0);

const IMEI: &str = "356307042441013";
const TIME_MS: u64 = 1_749_197_730_000;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("pitwall-store-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn count(&self) -> i64 {
        let connection = open_to_read(&self.0).unwrap();
        connection.query_row("SELECT count(*) FROM positions", [], |row| row.get(0)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn context() -> Context {
    let config = Config::new("redis://127.0.0.1:1", "postgres://nobody@127.0.0.1:1/none");
    Context::new(config, Log::to(Level::Error, "test", io::sink()), Shutdown::default())
}

fn send(started: &Started, times_ms: &[u64]) -> Receiver<()> {
    let (packet, told) = packet(IMEI, times_ms);
    started.parcels.try_send(Reader::default().read(packet)).unwrap();
    told
}

fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_true() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

fn end(context: &Context, started: Started) {
    context.shutdown.begin();
    drop(started.parcels);
    started.thread.join().unwrap();
}

fn state(context: &Context) -> State {
    context.status.component_named("store", None).report().state
}

#[test]
fn what_is_answered_is_in_the_file_and_a_duplicate_is_there_once() {
    let (folder, context) = (Folder::new(), context());
    let table = Table::open(&folder.0).unwrap();
    let started = start(&context, table, StoreHandle::default()).unwrap();
    send(&started, &[TIME_MS, TIME_MS + 1]).blocking_recv().unwrap();
    assert_eq!(folder.count(), 2);
    send(&started, &[TIME_MS + 1, TIME_MS + 2, 0]).blocking_recv().unwrap();
    assert_eq!(folder.count(), 3);
    let connection = open_to_read(&folder.0).unwrap();
    let refused: String =
        connection.query_row("SELECT reason FROM refused", [], |row| row.get(0)).unwrap();
    assert!(!refused.is_empty());
    end(&context, started);
}

#[test]
fn a_full_disk_holds_every_answer_until_there_is_room() {
    let (folder, context) = (Folder::new(), context());
    let table = Table::open(&folder.0).unwrap();
    // What SQLite says then is what it says when the disk is full.
    let pages: i64 =
        table.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    table.connection().pragma_update(None, "max_page_count", pages).unwrap();
    let started = start(&context, table, StoreHandle::default()).unwrap();
    let times: Vec<u64> = (0..100).map(|index| TIME_MS + index).collect();
    let mut told = send(&started, &times);
    until("the store holds", || state(&context) == State::Failed);
    let report = context.status.component_named("store", None).report();
    assert!(report.reason.contains("full") && report.remedy.contains("room"), "{report:?}");
    assert_eq!(told.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(folder.count(), 0);
    end(&context, started);
    assert_eq!(told.try_recv(), Err(TryRecvError::Closed), "the device keeps them");
}

#[test]
fn a_locked_file_is_waited_for_and_then_everything_is_committed() {
    let (folder, context) = (Folder::new(), context());
    let table = Table::open(&folder.0).unwrap();
    let started = start(&context, table, StoreHandle::default()).unwrap();
    let other = rusqlite::Connection::open(folder.0.join(FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let told = send(&started, &[TIME_MS]);
    until("the store holds", || state(&context) == State::Failed);
    other.execute_batch("ROLLBACK").unwrap();
    told.blocking_recv().unwrap();
    until("the store is well", || state(&context) == State::Working);
    assert_eq!(folder.count(), 1);
    end(&context, started);
}

#[test]
fn a_stopped_store_answers_nobody_and_commits_all_of_it_afterwards() {
    let (folder, context) = (Folder::new(), context());
    let handle = StoreHandle::default();
    handle.pause(Duration::from_secs(3_600));
    let table = Table::open(&folder.0).unwrap();
    let started = start(&context, table, handle.clone()).unwrap();
    let mut told = send(&started, &[TIME_MS]);
    until("it says so", || state(&context) == State::Failed);
    assert_eq!(told.try_recv(), Err(TryRecvError::Empty));
    handle.pause(Duration::ZERO);
    told.blocking_recv().unwrap();
    assert_eq!(folder.count(), 1);
    end(&context, started);
}

#[test]
fn what_waits_when_the_process_ends_is_committed_even_if_the_store_was_stopped() {
    let (folder, context) = (Folder::new(), context());
    let handle = StoreHandle::default();
    handle.pause(Duration::from_secs(3_600));
    let table = Table::open(&folder.0).unwrap();
    let started = start(&context, table, handle).unwrap();
    let told: Vec<_> = (0..10).map(|index| send(&started, &[TIME_MS + index])).collect();
    end(&context, started);
    assert_eq!(folder.count(), 10);
    told.into_iter().for_each(|told| told.blocking_recv().unwrap());
}

#[test]
fn a_file_that_is_no_store_is_refused_with_what_to_do() {
    let folder = Folder::new();
    std::fs::write(
        folder.0.join(FILE),
        "nothing of the kind, but long enough to look at".repeat(9),
    )
    .unwrap();
    let stop = Table::open(&folder.0).unwrap_err().to_string();
    assert!(stop.contains("EMBEDDED_DIR") && stop.contains("move the file away"), "{stop}");
    std::fs::remove_file(folder.0.join(FILE)).unwrap();
    let table = Table::open(&folder.0).unwrap();
    table.connection().pragma_update(None, "user_version", 99).unwrap();
    drop(table);
    let stop = Table::open(&folder.0).unwrap_err().to_string();
    assert!(stop.contains("newer version"), "{stop}");
}

#[test]
fn after_a_full_disk_the_same_commit_works_whole() {
    let folder = Folder::new();
    let mut table = Table::open(&folder.0).unwrap();
    let pages: i64 =
        table.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    table.connection().pragma_update(None, "max_page_count", pages).unwrap();
    let times: Vec<u64> = (0..100).map(|index| TIME_MS + index).collect();
    let parcels = [Reader::default().read(packet(IMEI, &times).0)];
    for _ in 0..2 {
        assert!(table.store(&parcels, 0).is_err());
        assert_eq!(folder.count(), 0, "nothing of it is there");
    }
    table.connection().pragma_update(None, "max_page_count", 1_000_000).unwrap();
    let stored = table.store(&parcels, 0).unwrap();
    assert_eq!((stored.inserted, stored.duplicate, folder.count()), (100, 0, 100));
}

#[test]
fn refused_records_beyond_the_newest_are_forgotten_and_counted_and_positions_never() {
    let folder = Folder::new();
    let mut table = Table::open(&folder.0).unwrap();
    let refused = |time_ms: u64| [Reader::default().read(packet(IMEI, &[time_ms, 0]).0)];
    let stored = table.store(&refused(TIME_MS), 0).unwrap();
    assert_eq!((stored.refused, stored.forgotten), (1, 0));
    // As if 99,999 more had come; the next is one too many.
    table.connection().execute("UPDATE refused SET id = 100000", []).unwrap();
    let count = |id: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM refused WHERE id {id}");
        open_to_read(&folder.0).unwrap().query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    table
        .connection()
        .execute("INSERT INTO refused VALUES (1, 0, '1', '8', 'the oldest', '{}')", [])
        .unwrap();
    let stored = table.store(&refused(TIME_MS + 1), 0).unwrap();
    assert_eq!((stored.refused, stored.forgotten), (1, 1));
    assert_eq!((count("= 1"), count("> 1")), (0, 2));
    assert_eq!(folder.count(), 2);
}
