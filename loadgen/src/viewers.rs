//! A crowd of viewers in one process: each with a connection of its own, and nothing more.
//!
//! Brisk viewers read what comes as soon as it comes; slow ones at a set rate, from a small buffer;
//! stalled ones not at all. What they get is held against the protocol: for each device the time never
//! goes back, at every checked viewer; how fresh each position is; who was sent away, and with what
//! word. Of the others only bytes and frames are counted, by the headers of the frames.
//!
//! One thread drives all of them. [`Crowd`] is its handle; it says how busy that thread was, because
//! a crowd that reads too slowly measures itself.

mod frames;
mod sight;
mod tally;
mod turn;
mod viewer;

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use tally::Snapshot;

use crate::sockets;

/// Most viewers of one process.
pub const VIEWERS_MAX: u32 = 100_000;

/// Viewers who are checked, unless told otherwise. With 500 devices they cost 8 MB, and some tenths
/// of a microsecond for each position.
const CHECKED_MAX: u32 = 2_000;

/// How a viewer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// At once.
    Brisk,
    /// So much at a time.
    Slow {
        /// How much in a second.
        bytes_per_second: u32,
    },
    /// Not at all.
    Stalled,
}

/// Whom a crowd watches, and as who.
#[derive(Clone, Debug)]
pub struct CrowdConfig {
    /// Who serves viewers.
    pub target: SocketAddr,
    /// What `Host` says.
    pub host: String,
    /// The path of the upgrade.
    pub path: String,
    /// The uuids of the events; each viewer watches one, in turn.
    pub events: Vec<String>,
    /// The `Cookie`, in which `{user}` stands for the number of the user; none is sent without.
    pub cookie: Option<String>,
    /// The `Origin`, if any.
    pub origin: Option<String>,
    /// Viewers of one user.
    pub viewers_per_user: u32,
    /// Viewers of one source address, on loopback.
    pub viewers_per_address: u32,
    /// Viewers of whom every position is checked, beside all slow ones; spread over all.
    pub checked_max: u32,
    /// A longer time between two positions of a device is a gap, for who reads at once.
    pub gap_ms: u64,
}

impl CrowdConfig {
    /// A crowd without cookies that watches these events at this address.
    #[must_use]
    pub fn new(target: SocketAddr, events: &[String]) -> Self {
        Self {
            target,
            host: target.to_string(),
            path: "/ws-live".to_owned(),
            events: events.to_vec(),
            cookie: None,
            origin: None,
            viewers_per_user: 12,
            viewers_per_address: 400,
            checked_max: CHECKED_MAX,
            gap_ms: 2_500,
        }
    }
}

/// What a crowd is told to do.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// So many come, spread over so long.
    Add {
        count: u32,
        kind: Kind,
        ramp: Duration,
    },
    /// So many of this kind go, those who came last first.
    Remove {
        count: u32,
        kind: Kind,
    },
    Stop,
}

/// A crowd of viewers, empty at first. All leave when this is dropped.
#[derive(Debug)]
pub struct Crowd {
    orders: Sender<Order>,
    shown: Arc<Mutex<Snapshot>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Crowd {
    /// A crowd that nobody has joined, of at most so many viewers at a time.
    ///
    /// # Errors
    /// When there is no event, or the system allows too few open files or no thread.
    pub fn start(config: CrowdConfig, viewers_max: u32) -> Result<Self, String> {
        if config.events.is_empty() {
            return Err("there is no event to watch: name at least one".to_owned());
        }
        if viewers_max > VIEWERS_MAX {
            return Err(format!(
                "one process opens at most {VIEWERS_MAX} viewers: start several processes"
            ));
        }
        sockets::allow_connections(viewers_max.into())?;
        let words = |error: io::Error| format!("the viewers cannot begin: {error}");
        // As many orders as callers give, each of them small and obeyed within milliseconds.
        let (orders, given) = channel();
        let shown = Arc::new(Mutex::new(Snapshot::default()));
        let seen = shown.clone();
        let run = move || turn::Turn::new(config, viewers_max)?.run(&given, &seen);
        let thread = thread::Builder::new().name("viewers".to_owned()).spawn(run).map_err(words)?;
        Ok(Self { orders, shown, thread: Some(thread) })
    }

    /// Lets viewers come, evenly over this time. Who finds no place comes when one is free.
    pub fn add(&self, count: u32, kind: Kind, ramp: Duration) {
        self.order(Order::Add { count, kind, ramp });
    }

    /// Lets viewers go: of this kind those who came last.
    pub fn remove(&self, count: u32, kind: Kind) {
        self.order(Order::Remove { count, kind });
    }

    /// What was seen so far; at most a quarter of a second old.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends all away and says what was seen.
    ///
    /// # Errors
    /// When the thread failed before.
    pub fn stop(mut self) -> Result<Snapshot, String> {
        self.end()?;
        Ok(self.snapshot())
    }

    fn order(&self, order: Order) {
        // A thread that has failed is told of by `stop`.
        self.orders.send(order).ok();
    }

    fn end(&mut self) -> Result<(), String> {
        self.order(Order::Stop);
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(format!("the viewers had to stop: {error}")),
            Some(Err(_)) => Err("the viewers had to stop: a mistake in the program".to_owned()),
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // Who wants to know how it ended asks for it.
        drop(self.end());
    }
}
