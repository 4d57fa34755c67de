//! The embedded mode: one process without Redis, PostgreSQL or Directus, and one folder with all it
//! keeps. Devices connect to it, SQLite is the store, a file the roster.
//!
//! The shards, the frames and the protocol are those of the platform; only the parties around are
//! replaced, each by a part that lives here.

mod devices;
mod directory;
pub(crate) mod history;
mod keeper;
mod others;
mod outbox;
mod page_data;
mod records;
pub(crate) mod roster;
mod source;
pub mod store;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use engine::id::EventId;
use tokio::sync::{mpsc, watch};

use self::directory::Directory;
use self::keeper::{Keeper, Told};
use self::roster::RosterFile;
pub use self::store::StoreHandle;
use self::store::table::Table;
use crate::context::Context;
use crate::error::Stop;
use crate::ingest::authority::Known;
use crate::live::source::SourceMail;
use crate::metrics::Section;

/// A folder that has been taken, with its store and its roster; nothing runs yet.
#[derive(Debug)]
pub(crate) struct Opened {
    directory: Directory,
    table: Table,
    keeper: Keeper,
    /// The bytes of `/page.json`.
    pub(crate) page: watch::Receiver<Arc<[u8]>>,
    /// The events there are, sorted.
    pub(crate) events: watch::Receiver<Arc<[EventId]>>,
    known: watch::Receiver<Known>,
}

/// A running embedded store and its source.
pub(crate) struct Started {
    /// The thread of the store, which ends when all is committed.
    pub(crate) store: JoinHandle<()>,
    /// The thread that listens to devices, which ends when they are answered.
    pub(crate) devices: JoinHandle<()>,
    /// Their numbers.
    pub(crate) sections: Vec<Arc<dyn Section>>,
    /// Gives the folder back when dropped.
    pub(crate) held: Held,
}

/// The folder, held.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "its lock is what matters")] Directory);

/// Takes the folder and opens what is in it.
///
/// # Errors
/// When the folder cannot be had, is another's, or the store or the roster in it cannot be read.
pub(crate) fn open(context: &Context, path: &Path) -> Result<Opened, Stop> {
    let directory = Directory::take(path)?;
    let path = directory.path();
    let is_new = roster::write_example(path).map_err(|error| {
        Stop::Unavailable(format!("EMBEDDED_DIR: {} cannot be written: {error}.", path.display()))
    })?;
    if is_new {
        let file = path.join(roster::FILE).display().to_string();
        context.log.info("a roster was made that takes every device in", &[("file", &file)]);
    }
    let file = RosterFile::read(path).map_err(|mistakes| {
        Stop::Config(format!(
            "EMBEDDED_DIR: the roster in {} cannot be used. {mistakes} Put it right and start again.",
            path.display()
        ))
    })?;
    let table = Table::open(path)?;
    let (keeper, Told { page, events, known }) =
        Keeper::new(context, path, file).map_err(|error| {
            Stop::Unavailable(format!(
                "EMBEDDED_DIR: the store in {} cannot be read: {error}. Look at its disk.",
                path.display()
            ))
        })?;
    Ok(Opened { directory, table, keeper, page, events, known })
}

/// Starts the threads: what devices send goes to viewers by `mail`, and to the store.
///
/// # Errors
/// When a thread cannot be had.
pub(crate) fn start(
    context: &Context,
    opened: Opened,
    (listener, mail): (TcpListener, mpsc::Sender<SourceMail>),
    handle: StoreHandle,
) -> Result<Started, Stop> {
    let (packets_in, packets) = mpsc::channel(context.config.ingest.queue_packets_max);
    let store = store::start(context, opened.table, handle)?;
    let (devices, section) = devices::start(context, listener, packets_in, opened.known)?;
    let mut sections =
        vec![opened.keeper.numbers() as Arc<dyn Section>, store.numbers.clone(), section];
    let (parcels, keeper, numbers) = (store.parcels, opened.keeper, store.numbers);
    let waiting =
        source::start(context, source::Parts { packets, mail, parcels, keeper, numbers })?;
    sections.push(waiting);
    Ok(Started { store: store.thread, devices, sections, held: Held(opened.directory) })
}
