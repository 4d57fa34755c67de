//! Takes what devices have sent to the store and to viewers, and waits for neither.
//!
//! A position is shown before it is committed, and also while nothing can be. The store's queue has an
//! end; what finds no room there is not answered, and its device sends it again. For viewers it waits in
//! the outbox while the shards have no room, and devices are answered meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::TrySendError;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::keeper::Keeper;
use super::outbox::{self, Outbox};
use super::records::Reader;
use super::store::{Numbers, queue};
use crate::context::Context;
use crate::error::Stop;
use crate::ingest::packets::Packet;
use crate::live::source::SourceMail;
use crate::shutdown::Stage;
use crate::status::Heartbeat;
use crate::worker::Worker;

/// Packets that are taken together, as many as usually go into a commit: 7 MB at worst, when
/// each has 255 records and is as long as it can be.
const PACKETS_AT_ONCE: usize = 256;

/// How often the roster's file is looked at, and the heart beats when nothing comes.
const TICK: Duration = Duration::from_secs(1);

/// How long the loop may be silent: a roster of 20,000 devices, read and warmed.
const SILENCE_MS_MAX: u64 = 30_000;

/// The thread.
const WORKER: Worker = Worker {
    name: "arrivals",
    cannot_start: "The thread for devices cannot be started",
    ended_early: "The thread that takes positions from devices has ended early. Start the \
                      process again and report this.",
    resolver_threads_max: 1,
};

/// Where everything goes, and where it comes from.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) packets: mpsc::Receiver<Packet>,
    pub(super) mail: mpsc::Sender<SourceMail>,
    pub(super) parcels: queue::Sender,
    pub(super) keeper: Keeper,
    pub(super) numbers: Arc<Numbers>,
}

/// Starts the thread. It ends when the process leaves and all that was handed on is passed on.
/// The numbers of what waits for viewers.
///
/// # Errors
/// When no thread can be had.
pub(super) fn start(context: &Context, parts: Parts) -> Result<Arc<outbox::Numbers>, Stop> {
    let source = Source {
        context: context.clone(),
        heartbeat: context.status.heartbeat("arrivals", SILENCE_MS_MAX),
        reader: Reader::default(),
        outbox: Outbox::default(),
        parts,
    };
    let numbers = source.outbox.numbers();
    let work = move || async move {
        source.run().await;
        Ok(())
    };
    WORKER.start(&context.shutdown, work)?;
    // The thread of the store waits for its end.
    Ok(numbers)
}

struct Source {
    context: Context,
    heartbeat: Arc<Heartbeat>,
    reader: Reader,
    outbox: Outbox,
    parts: Parts,
}

impl Source {
    async fn run(mut self) {
        let first = self.parts.keeper.apply();
        self.outbox.tell(first);
        let mut batch = Vec::with_capacity(PACKETS_AT_ONCE);
        let (shutdown, mail) = (self.context.shutdown.clone(), self.parts.mail.clone());
        let mut leaving = pin!(shutdown.reached(Stage::Leaving));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.heartbeat.beat();
            tokio::select! {
                biased;
                () = &mut leaving => break,
                _ = tick.tick() => self.tick(),
                room = mail.reserve(), if !self.outbox.is_empty() => match room {
                    Ok(room) => {
                        if let Some(letter) = self.outbox.next() {
                            room.send(letter);
                        }
                    }
                    // Nobody is shown anything any more; what comes is still stored.
                    Err(_closed) => self.outbox.close(),
                },
                count = self.parts.packets.recv_many(&mut batch, PACKETS_AT_ONCE) => {
                    if count == 0 {
                        // The listener has ended, which it does only when the process leaves.
                        break;
                    }
                    self.take(&mut batch);
                }
            }
        }
        // What the listener has handed on already is stored; what it would still hand on is not.
        // Viewers are closed now, and see it when they come again.
        self.outbox.close();
        self.parts.packets.close();
        while self.parts.packets.recv_many(&mut batch, PACKETS_AT_ONCE).await > 0 {
            self.take(&mut batch);
        }
    }

    /// The roster is not looked at while what was said of it last still waits for room: it would only
    /// pile up.
    fn tick(&mut self) {
        if !self.outbox.has_letters() {
            let mail = self.parts.keeper.tick();
            self.outbox.tell(mail);
        }
    }

    /// The store comes first: what follows may take a moment when a device is new.
    fn take(&mut self, batch: &mut Vec<Packet>) {
        let mut arrived = Vec::new();
        for packet in batch.drain(..) {
            let parcel = self.reader.read(packet);
            arrived.extend(parcel.rows.iter().map(|row| (parcel.imei, row.position)));
            match self.parts.parcels.try_send(parcel) {
                Ok(()) => {}
                // Dropped untold: its device keeps its records and sends them again.
                Err(TrySendError::Full(_)) => self.parts.numbers.unanswered.increment(),
                // The thread of the store has ended, which ends the process.
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
        let has_room = !self.outbox.has_letters();
        let met = self.parts.keeper.meet(&arrived, has_room);
        self.outbox.tell(met);
        let tolerance_ms = self.context.config.live.future_tolerance_ms;
        let newest_ms = crate::clock::wall_ms().saturating_add(tolerance_ms);
        self.outbox.show(arrived, newest_ms);
    }
}

#[cfg(test)]
mod tests;
