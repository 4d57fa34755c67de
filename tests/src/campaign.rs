//! Breaks everything around the writer, again and again, and judges what has become of every entry.
//!
//! [`kills`] kills pitwall, Redis and PostgreSQL; [`cuts`] takes answers to commits away; [`bytes`]
//! cuts the connection to PostgreSQL at every byte of a small batch. The oracle believes nobody but
//! the producer's log, Redis and the table.

pub mod bytes;
pub mod cuts;
mod ground;
pub mod kills;
mod plan;
mod point;
mod seat;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

pub use seat::serve;

use crate::oracle::Verdict;

/// Hears what happens, a line at a time.
pub type Say<'a> = &'a (dyn Fn(&str) + Sync);

/// The address of a database behind this port of loopback.
fn database_url(port: u16, name: &str) -> String {
    format!("postgres://pitwall@127.0.0.1:{port}/{name}")
}

/// True when nothing is wrong with what has become of the entries, and none waits any more.
fn is_clean(verdict: &Verdict) -> bool {
    verdict.is_clean_but_trimmed(0) && verdict.waiting == 0
}

/// Does so many things, some at once, until one fails; gives what came out in their order.
fn all<T: Send>(
    count: u32,
    at_once: u32,
    work: impl Fn(u32) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    let (next, results) = (AtomicU32::new(0), Mutex::new(Vec::new()));
    let take_turns = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            let result = work(number);
            if result.is_err() {
                next.store(count, Ordering::Relaxed);
            }
            results.lock().expect("nobody fails with it").push((number, result));
        }
    };
    thread::scope(|scope| {
        for _ in 0..at_once.min(count) {
            scope.spawn(take_turns);
        }
    });
    let mut results = results.into_inner().expect("nobody has failed with it");
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}
