//! The lanes as the reader sees them: a batch being filled for each, a batch on its way, and what
//! comes back.
//!
//! A device always goes to the same lane, so its rows are written in the order in which they were
//! read. Two batches for each lane are all there are: memory and what is pending in Redis are bounded
//! by that.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use engine::rows::{BatchFull, EntryId, Row, RowBatch};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::intake::BEAT;
use super::lane::Done;
use super::numbers::Numbers;
use crate::status::Heartbeat;

/// Batches for each lane: one is filled while the other is written.
const BATCHES: usize = 2;

/// Rows are read when a batch has room for at least this part of it.
const ROOM_PART: usize = 4;

/// The way to one lane.
struct Hand {
    sender: mpsc::Sender<RowBatch>,
    filling: RowBatch,
    /// The other batch, while it is not on its way.
    spare: Option<RowBatch>,
    /// The entries of the batch that is on its way.
    away: Vec<EntryId>,
}

/// The way to all lanes.
pub(super) struct Lanes {
    hands: Vec<Hand>,
    done: mpsc::Receiver<Done>,
    rows_max: usize,
    numbers: Arc<Numbers>,
    /// Entries that are safe and not yet acknowledged.
    pub(super) acks: Vec<EntryId>,
}

/// Rows of all batches that can be in flight.
pub(super) const fn in_flight_max(lane_count: usize, batch_rows_max: usize) -> usize {
    lane_count * BATCHES * batch_rows_max
}

impl Lanes {
    /// The way to lanes that listen at these senders and answer by that receiver.
    pub(super) fn new(
        senders: Vec<mpsc::Sender<RowBatch>>,
        done: mpsc::Receiver<Done>,
        rows_max: usize,
        numbers: Arc<Numbers>,
    ) -> Self {
        let hands = senders.into_iter().map(|sender| Hand {
            sender,
            filling: RowBatch::new(rows_max),
            spare: Some(RowBatch::new(rows_max)),
            away: Vec::with_capacity(rows_max),
        });
        Self { hands: hands.collect(), done, rows_max, numbers, acks: Vec::new() }
    }

    /// Takes a row, or says that its lane has no room.
    pub(super) fn push(&mut self, row: &Row<'_>) -> Result<(), BatchFull> {
        let lane = lane_of(row.device_id, self.hands.len());
        self.hands[lane].filling.push(row)
    }

    /// How many rows fit, wherever they belong. None when they are so few that reading them would
    /// cost Redis more than waiting costs.
    pub(super) fn room(&self) -> usize {
        let room = |hand: &Hand| self.rows_max - hand.filling.len();
        let room = self.hands.iter().map(room).min().unwrap_or(0);
        if room < (self.rows_max / ROOM_PART).max(1) { 0 } else { room }
    }

    /// Rows that are in a batch.
    pub(super) fn rows(&self) -> usize {
        self.hands.iter().map(|hand| hand.filling.len() + hand.away.len()).sum()
    }

    /// True when nothing is being filled, written, or waits to be acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.rows() == 0 && self.acks.is_empty()
    }

    /// The entries this process answers for: those in batches, and those whose acknowledgement waits.
    pub(super) fn held(&self) -> HashSet<EntryId> {
        let hands = self.hands.iter();
        let rows = hands.flat_map(|hand| hand.filling.entries().iter().chain(&hand.away));
        rows.chain(&self.acks).copied().collect()
    }

    /// Sends what has been filled to every lane that is free.
    pub(super) fn dispatch(&mut self) {
        for hand in &mut self.hands {
            if hand.filling.is_empty() {
                continue;
            }
            let Some(spare) = hand.spare.take() else { continue };
            let batch = std::mem::replace(&mut hand.filling, spare);
            hand.away.extend_from_slice(batch.entries());
            // The lane has room for one, and none is on its way. One that has ended has panicked, and
            // its rows stay pending: the process ends over it.
            hand.sender.try_send(batch).ok();
        }
    }

    /// Waits until a lane has answered for a batch, and takes the answer. Waits for ever when none
    /// will come: whoever calls has something else to wait for, too, or the process is about to end.
    pub(super) async fn answered(&mut self, heartbeat: &Heartbeat) {
        loop {
            heartbeat.beat();
            match timeout(BEAT, self.done.recv()).await {
                Ok(Some(done)) => return self.finish(done),
                Ok(None) => std::future::pending().await,
                Err(_elapsed) => {}
            }
        }
    }

    fn finish(&mut self, done: Done) {
        let Done { lane, mut batch, inserted, duplicate, dead } = done;
        self.numbers.book(|ledger| {
            ledger.inserted += inserted;
            ledger.duplicate += duplicate;
            ledger.dead += dead.len() as u64;
        });
        if dead.is_empty() {
            self.acks.extend_from_slice(batch.entries());
        } else {
            let dead: HashSet<EntryId> = dead.into_iter().collect();
            self.acks.extend(batch.entries().iter().filter(|entry| !dead.contains(entry)));
        }
        batch.clear();
        self.hands[lane].away.clear();
        self.hands[lane].spare = Some(batch);
        self.dispatch();
    }
}

/// Which lane a device's rows go to; the same in every run.
fn lane_of(device_id: &str, lane_count: usize) -> usize {
    if lane_count == 1 {
        return 0;
    }
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(device_id);
    usize::try_from(hash % lane_count as u64).expect("lanes are few")
}
