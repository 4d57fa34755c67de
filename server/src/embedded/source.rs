//! Takes what devices have sent to viewers at once, and then to the store.
//!
//! Viewers do not wait for the disk: a position is shown before it is committed, and also while
//! nothing can be. The store's queue has an end; what finds no room there is not answered, and its
//! device sends it again.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::TrySendError;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::keeper::Keeper;
use super::records::{Parcel, Reader};
use super::store::{Numbers, queue};
use crate::context::Context;
use crate::error::Stop;
use crate::ingest::packets::Packet;
use crate::live::source::SourceMail;
use crate::shutdown::Stage;
use crate::status::Heartbeat;

/// Packets that are taken together: one letter to the source for all of them.
const PACKETS_AT_ONCE: usize = 256;

/// How often the roster's file is looked at, and the heart beats when nothing comes.
const TICK: Duration = Duration::from_secs(1);

/// How long the loop may be silent: a roster of 20,000 devices, read and warmed.
const SILENCE_MS_MAX: u64 = 30_000;

/// What is said when the thread ends although nothing ends.
const ENDED_EARLY: &str = "The thread that takes positions from devices has ended early. Start the \
                           process again and report this.";

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
///
/// # Errors
/// When no thread can be had.
pub(super) fn start(context: &Context, parts: Parts) -> Result<(), Stop> {
    let unavailable = |error: std::io::Error| {
        Stop::Unavailable(format!("The thread for devices cannot be started: {error}."))
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(unavailable)?;
    let source = Source {
        context: context.clone(),
        heartbeat: context.status.heartbeat("arrivals", SILENCE_MS_MAX),
        reader: Reader::default(),
        parts,
    };
    let run = move || {
        let _alarm = source.context.shutdown.alarm(ENDED_EARLY);
        runtime.block_on(source.run());
    };
    std::thread::Builder::new().name("arrivals".to_owned()).spawn(run).map_err(unavailable)?;
    // The thread of the store waits for its end.
    Ok(())
}

struct Source {
    context: Context,
    heartbeat: Arc<Heartbeat>,
    reader: Reader,
    parts: Parts,
}

impl Source {
    async fn run(mut self) {
        let first = self.parts.keeper.apply();
        self.tell(first).await;
        let mut batch = Vec::with_capacity(PACKETS_AT_ONCE);
        let shutdown = self.context.shutdown.clone();
        let mut leaving = pin!(shutdown.reached(Stage::Leaving));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.heartbeat.beat();
            tokio::select! {
                biased;
                () = &mut leaving => break,
                _ = tick.tick() => {
                    let mail = self.parts.keeper.tick();
                    self.tell(mail).await;
                }
                count = self.parts.packets.recv_many(&mut batch, PACKETS_AT_ONCE) => {
                    if count == 0 {
                        // The listener has ended, which it does only when the process leaves.
                        break;
                    }
                    self.take(&mut batch).await;
                }
            }
        }
        // What the listener has handed on already is stored; what it would still hand on is not.
        self.parts.packets.close();
        while self.parts.packets.recv_many(&mut batch, PACKETS_AT_ONCE).await > 0 {
            self.take(&mut batch).await;
        }
    }

    async fn take(&mut self, batch: &mut Vec<Packet>) {
        let parcels: Vec<Parcel> = batch.drain(..).map(|it| self.reader.read(it)).collect();
        let mut arrived = Vec::with_capacity(parcels.iter().map(|it| it.rows.len()).sum());
        for parcel in &parcels {
            arrived.extend(parcel.rows.iter().map(|row| (parcel.imei, row.position)));
        }
        let met = self.parts.keeper.meet(&arrived, true);
        self.tell(met).await;
        if !arrived.is_empty() {
            self.tell(vec![SourceMail::Arrived(arrived)]).await;
        }
        for parcel in parcels {
            match self.parts.parcels.try_send(parcel) {
                Ok(()) => {}
                // Dropped untold: its device keeps its records and sends them again.
                Err(TrySendError::Full(_)) => self.parts.numbers.unanswered.increment(),
                // The thread of the store has ended, which ends the process.
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }

    /// Waits for room at the source: then the devices wait as well, and keep their records.
    async fn tell(&self, mail: Vec<SourceMail>) {
        for letter in mail {
            loop {
                self.heartbeat.beat();
                match timeout(TICK, self.parts.mail.reserve()).await {
                    Ok(Ok(room)) => {
                        room.send(letter);
                        break;
                    }
                    // Nobody is shown anything any more; what has come is still stored.
                    Ok(Err(_closed)) => return,
                    Err(_elapsed) => {}
                }
            }
        }
    }
}
