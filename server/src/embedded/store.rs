//! The store of the embedded mode: one thread that commits to SQLite what devices have sent.
//!
//! Whatever waits when a commit begins goes into it, so commits grow under load and are small
//! otherwise. A device is answered after the commit of its records, and not before. While the file
//! cannot be written it holds: nobody is answered, so every device keeps its records, the reason is
//! told, and the same commit is tried again until it works.

mod numbers;
pub(super) mod queue;
pub(crate) mod table;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use engine::limits::BATCH_ROWS_MAX;

use super::records::Parcel;
use crate::clock::microseconds;
use crate::context::Context;
use crate::error::Stop;
use crate::shutdown::Stage;
use crate::status::{Component, Heartbeat, Reminder, Role, State};
pub(super) use numbers::Numbers;
use queue::{PARCELS_MAX, Receiver, Sender, queue};
use table::Table;

/// Records after which no more packets go into a commit: it takes some tens of milliseconds then, and
/// longer ones would make devices wait.
const COMMIT_RECORDS_MAX: usize = 4_000;
const _: () = assert!(COMMIT_RECORDS_MAX <= BATCH_ROWS_MAX);

/// How often the heart beats when nothing comes.
const TICK: Duration = Duration::from_millis(500);

/// Between two attempts at a commit that fails.
const RETRY: Duration = Duration::from_millis(500);

/// Between two looks while the store is stopped on purpose.
const LOOK: Duration = Duration::from_millis(20);

/// How long the loop may be silent: a commit on a slow disk, and a lock that is waited for.
const SILENCE_MS_MAX: u64 = 30_000;

/// How long a commit that fails is still tried when the process ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is said when the thread ends although nothing ends.
const ENDED_EARLY: &str = "The thread that stores positions has ended early. Start the process again \
                           and report this.";

const HELD: &str = "No device is answered: each is shown up to the packet that it waits with, keeps its \
                    records, and sends them again.";

const WELL: &str = "Positions are committed.";

/// Stops the store for a while, from outside; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct StoreHandle {
    until: Arc<Mutex<Option<Instant>>>,
}

impl StoreHandle {
    /// Commits nothing for so long, whatever was said before.
    pub fn pause(&self, pause: Duration) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + pause);
    }

    /// How much longer nothing is committed; `None` when the store may work.
    #[must_use]
    pub fn paused_for(&self) -> Option<Duration> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = (*until)?.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        if left.is_none() {
            *until = None;
        }
        left
    }
}

/// A running store.
#[derive(Debug)]
pub(super) struct Started {
    /// Its mailbox. When all senders are gone, it commits what waits, and ends.
    pub(super) parcels: Sender,
    /// Its thread.
    pub(super) thread: JoinHandle<()>,
    /// Its numbers.
    pub(super) numbers: Arc<Numbers>,
}

/// Starts the thread.
///
/// # Errors
/// When none can be had.
pub(super) fn start(context: &Context, table: Table, handle: StoreHandle) -> Result<Started, Stop> {
    let (sender, parcels) = queue(PARCELS_MAX);
    let numbers = Arc::new(Numbers::new(parcels.clone()));
    let component = context.status.component("store", Some(Role::Ingest));
    component.is_working(WELL);
    let writer = Writer {
        context: context.clone(),
        table,
        parcels,
        handle,
        numbers: numbers.clone(),
        component,
        heartbeat: context.status.heartbeat("store", SILENCE_MS_MAX),
        reminder: Reminder::default(),
        is_stopped: false,
    };
    let run = move || {
        let _alarm = writer.context.shutdown.alarm(ENDED_EARLY);
        writer.run();
    };
    let thread = std::thread::Builder::new().name("store".to_owned()).spawn(run);
    let thread = thread.map_err(|error| {
        Stop::Unavailable(format!("The thread of the store cannot be started: {error}."))
    })?;
    Ok(Started { parcels: sender, thread, numbers })
}

struct Writer {
    context: Context,
    table: Table,
    parcels: Receiver,
    handle: StoreHandle,
    numbers: Arc<Numbers>,
    component: Arc<Component>,
    heartbeat: Arc<Heartbeat>,
    reminder: Reminder,
    /// It has been told that the store is stopped on purpose.
    is_stopped: bool,
}

impl Writer {
    fn run(mut self) {
        let mut batch = Vec::new();
        let mut leaving_since = None;
        loop {
            self.heartbeat.beat();
            self.reminder.tick(&self.component, self.context.clock);
            let is_leaving = self.context.shutdown.stage() >= Stage::Leaving;
            if is_leaving {
                leaving_since.get_or_insert_with(Instant::now);
            } else if self.rests() {
                continue;
            }
            match self.gather(&mut batch) {
                Gathered::Some => {}
                Gathered::None => continue,
                Gathered::Ended => return,
            }
            // It may have been stopped while a packet was waited for.
            if !is_leaving && self.rests() {
                continue;
            }
            if self.commit(&mut batch) {
                continue;
            }
            // What is not committed is not answered: its device keeps it.
            if leaving_since.is_some_and(|since| since.elapsed() >= FAREWELL) {
                return;
            }
            sleep(RETRY);
        }
    }

    /// True while the store is stopped on purpose; then a moment has passed.
    fn rests(&mut self) -> bool {
        let was_stopped = self.is_stopped;
        let left = self.handle.paused_for();
        self.is_stopped = left.is_some();
        let Some(left) = left else {
            if was_stopped {
                self.component.is_working(WELL);
            }
            return false;
        };
        if !was_stopped {
            let reason = format!("The store is stopped on purpose, for {} s.", left.as_secs() + 1);
            let remedy = "Nothing: it goes on by itself.";
            self.component.set(State::Failed, &reason, HELD, remedy);
        }
        sleep(left.min(LOOK));
        true
    }

    /// Takes what waits, as far as one commit goes.
    fn gather(&self, batch: &mut Vec<Parcel>) -> Gathered {
        if batch.is_empty() {
            match self.parcels.recv_timeout(TICK) {
                Ok(parcel) => batch.push(parcel),
                Err(RecvTimeoutError::Timeout) => return Gathered::None,
                Err(RecvTimeoutError::Disconnected) => return Gathered::Ended,
            }
        }
        let mut count: usize = batch.iter().map(Parcel::record_count).sum();
        while count < COMMIT_RECORDS_MAX
            && let Ok(parcel) = self.parcels.try_recv()
        {
            count += parcel.record_count();
            batch.push(parcel);
        }
        Gathered::Some
    }

    /// Commits and answers; false when that cannot be, and then the batch is kept.
    fn commit(&mut self, batch: &mut Vec<Parcel>) -> bool {
        let began = Instant::now();
        match self.table.store(batch, crate::clock::wall_ms()) {
            Ok(stored) => {
                self.numbers.committed(stored, microseconds(began.elapsed()));
                for parcel in batch.drain(..) {
                    self.parcels.release(&parcel);
                    // Fails when the device has gone; it sends again, and finds its records there.
                    parcel.safe.send(()).ok();
                }
                self.component.is_working(WELL);
                true
            }
            Err(error) => {
                self.numbers.failed.increment();
                let reason = format!("SQLite refuses a commit: {error}.");
                self.component.set(State::Failed, &reason, HELD, remedy(&error));
                false
            }
        }
    }
}

enum Gathered {
    Some,
    None,
    Ended,
}

/// What to do about a commit that fails.
fn remedy(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "Make room on the disk of EMBEDDED_DIR. It goes on by itself.",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "End the other program that has locked the file. It goes on by itself."
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "The file is damaged: end pitwall, move the file away or put a copy back, and start again."
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "Let the user of this process write the files of EMBEDDED_DIR. It goes on by itself."
        }
        _ => "Look at the disk of EMBEDDED_DIR and at the system's log. It goes on by itself.",
    }
}

#[cfg(test)]
mod tests;
