//! Takes entries that were read: decodes them, and gives each row to its lane.
//!
//! Every entry that is taken is answered for by this process: as a row, as a dead letter, or as lost.
//! It waits for room, and while too many entries cannot be decoded; meanwhile nothing is read.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::decode::{Decoder, EntryFields};
use engine::rows::{EntryId, Row};
use tokio::time::{Instant, timeout_at};

use super::dead_letter::{DECODE, DeadLetter, DeadLetters, Fields, Written};
use super::health::{HOLD, Health, Trouble};
use super::lanes::Lanes;
use super::numbers::Numbers;
use super::parked::{Parked, Yard};
use super::storm::Storm;
use crate::status::Heartbeat;
use crate::stream::{Backoff, Class, Entries, Entry, Malformed};

/// How often the heart beats while something is waited for.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// What entries become.
pub(super) struct Intake {
    pub(super) lanes: Lanes,
    pub(super) yard: Yard,
    pub(super) decoder: Decoder,
    pub(super) letters: DeadLetters,
    pub(super) storm: Arc<Mutex<Storm>>,
    pub(super) health: Arc<Health>,
    pub(super) numbers: Arc<Numbers>,
    pub(super) heartbeat: Arc<Heartbeat>,
    /// Entries that are in flight although Redis gives them again.
    pub(super) held: HashSet<EntryId>,
}

/// How the entries of a read came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// They are new.
    New,
    /// They were delivered to this process before.
    Pending,
    /// They were delivered to another.
    Claimed,
}

impl Intake {
    /// Takes the entries of a read, all of them or, when one has another shape, none; says how many
    /// came and the id of the last.
    ///
    /// # Errors
    /// When one is not an entry.
    pub(super) async fn take(
        &mut self,
        entries: Entries<'_>,
        origin: Origin,
    ) -> Result<(usize, Option<EntryId>), Malformed> {
        for entry in entries.clone() {
            entry?;
        }
        let count = entries.count_left();
        let mut last = None;
        for entry in entries {
            let entry = entry?;
            last = Some(entry.id);
            if origin == Origin::New || !self.held.contains(&entry.id) {
                self.take_entry(&entry, origin).await;
            }
        }
        self.numbers.set_tally(self.decoder.tally());
        Ok((count, last))
    }

    async fn take_entry(&mut self, entry: &Entry<'_>, origin: Origin) {
        self.numbers.records.increment();
        self.numbers.book(|ledger| ledger.taken += 1);
        match origin {
            Origin::New => {}
            Origin::Pending => self.numbers.redelivered.increment(),
            Origin::Claimed => {
                self.numbers.redelivered.increment();
                self.numbers.claimed.increment();
            }
        }
        let Some(pairs) = entry.fields.clone() else {
            self.is_lost(1);
            self.lanes.acks.push(entry.id);
            return;
        };
        let fields = EntryFields::from_pairs(pairs.clone());
        let error = match fields.and_then(|fields| self.decoder.decode(&fields)) {
            Ok(decoded) => {
                let row = Row {
                    entry: entry.id,
                    device_id: decoded.device_id,
                    position: decoded.position,
                    attributes: decoded.attributes,
                    redelivered: origin != Origin::New,
                };
                while self.lanes.push(&row).is_err() {
                    // What is full may be sent on by now.
                    self.lanes.dispatch();
                    if self.lanes.push(&row).is_ok() {
                        break;
                    }
                    self.lanes.answered(&self.heartbeat).await;
                }
                return;
            }
            Err(error) => error,
        };
        let fields = pairs.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        self.cannot_decode(entry.id, error.to_string(), fields).await;
    }

    /// Entries were trimmed away before their fields could be read.
    pub(super) fn is_lost(&self, count: u64) {
        self.numbers.lost_pending.add(count);
        self.numbers.book(|ledger| ledger.lost += count);
    }

    /// An entry is to go to the dead letters; while too many do, it waits. Comes back when there is
    /// room for another one to wait.
    pub(super) async fn cannot_decode(&mut self, entry: EntryId, reason: String, fields: Fields) {
        self.numbers.decode_errors.increment();
        self.yard.push(Parked { entry, reason, fields });
        self.settle().await;
        while self.yard.is_full() {
            self.pause(HOLD).await;
            self.settle().await;
        }
    }

    /// Sets aside what waits, as much of it as may be.
    pub(super) async fn settle(&mut self) {
        while let Some(parked) = self.yard.first() {
            let storm = {
                let mut storm = self.storm.lock().unwrap_or_else(PoisonError::into_inner);
                (!storm.refuse()).then(|| storm.words())
            };
            if let Some(words) = storm {
                let Parked { entry, reason, .. } = parked;
                let count = self.yard.len();
                let words = format!("{words} {count} wait, the first of them {entry}: {reason}");
                return self.health.parks(Some(&words), self.yard.is_full());
            }
            let mut backoff = Backoff::default();
            while let Err(trouble) = self.set_aside().await {
                self.health.reading_holds(&trouble.words, &trouble.remedy);
                self.pause(trouble.pause(&mut backoff)).await;
            }
        }
        self.health.parks(None, false);
    }

    /// Writes the letter of the entry that has waited the longest.
    async fn set_aside(&mut self) -> Result<(), Trouble> {
        let Self { yard, letters, lanes, heartbeat, numbers, .. } = self;
        let Some(Parked { entry, reason, fields }) = yard.first() else { return Ok(()) };
        let letter =
            DeadLetter { entry: *entry, reason, code: DECODE, fields, are_fields_lost: false };
        let written = {
            let mut writing = std::pin::pin!(letters.write(&letter));
            loop {
                tokio::select! {
                    biased;
                    written = &mut writing => break written,
                    () = lanes.answered(heartbeat) => {}
                }
            }
        };
        match written {
            Ok(Written::Added(_)) => {
                numbers.acks.increment();
                numbers.undecodable.increment();
            }
            Ok(Written::NotPending) => {}
            // It is pending no more. Whoever waited for the group would keep it from being made.
            Err(failure) if failure.class == Class::GroupLost => {}
            Ok(Written::Full) => return Err(Trouble::letters_full()),
            Err(failure) => return Err(Trouble::letter(&failure)),
        }
        numbers.book(|ledger| ledger.dead += 1);
        self.yard.pop();
        Ok(())
    }

    /// Entries for which this process answers, and which are not acknowledged.
    pub(super) fn in_flight(&self) -> HashSet<EntryId> {
        let mut entries = self.lanes.held();
        entries.extend(self.yard.entries());
        entries
    }

    /// Waits a while, with every lane at work; what they answer meanwhile is taken.
    async fn pause(&mut self, length: Duration) {
        self.heartbeat.beat();
        self.lanes.dispatch();
        let until = Instant::now() + length;
        while timeout_at(until, self.lanes.answered(&self.heartbeat)).await.is_ok() {}
    }
}
