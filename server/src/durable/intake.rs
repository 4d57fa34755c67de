//! Takes entries that were read: decodes them, and gives each row to its lane.
//!
//! Every entry that is taken is answered for by this process: as a row, as a dead letter, or as lost.
//! It waits for room, and while too many entries cannot be decoded; meanwhile nothing is read.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::decode::{Decoder, EntryFields};
use engine::rows::{EntryId, Row};
use tokio::time::{Instant, timeout};

use super::dead_letter::{DECODE, DeadLetter, DeadLetters, Fields, Written};
use super::health::{HOLD, Health, Trouble};
use super::lanes::Lanes;
use super::numbers::Numbers;
use super::storm::Storm;
use crate::status::Heartbeat;
use crate::stream::{Backoff, Entries, Entry, Malformed};

/// How often the heart beats while something is waited for.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// What is to be done about entries that nobody can decode.
const DECODE_REMEDY: &str = "Look at some with `pitwall dlq list`. If the producer has changed, set \
                             it right or update pitwall; if they may all be set aside, start with \
                             WRITE_STORM_PERCENT=100.";

/// What entries become.
pub(super) struct Intake {
    pub(super) lanes: Lanes,
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
        let decoded = EntryFields::from_pairs(pairs.clone())
            .and_then(|fields| Ok((fields.codec, self.decoder.decode(&fields)?)));
        let error = match decoded {
            Ok((_, decoded)) => {
                let row = Row {
                    entry: entry.id,
                    device_id: decoded.device_id,
                    position: decoded.position,
                    attributes: decoded.attributes,
                    redelivered: origin != Origin::New,
                };
                while self.lanes.push(&row).is_err() {
                    self.lanes.dispatch();
                    self.lanes.answered(&self.heartbeat).await;
                }
                return;
            }
            Err(error) => error,
        };
        let fields = pairs.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        self.cannot_decode(entry.id, &error.to_string(), &fields).await;
    }

    /// Entries were trimmed away before their fields could be read.
    pub(super) fn is_lost(&self, count: u64) {
        self.numbers.lost_pending.add(count);
        self.numbers.book(|ledger| ledger.lost += count);
    }

    /// An entry goes to the dead letters, unless too many do.
    pub(super) async fn cannot_decode(&mut self, entry: EntryId, reason: &str, fields: &Fields) {
        self.numbers.decode_errors.increment();
        loop {
            let storm = {
                let mut storm = self.storm.lock().unwrap_or_else(PoisonError::into_inner);
                (!storm.refuse()).then(|| storm.words())
            };
            let Some(words) = storm else { break };
            // What is in order and still to be stored speaks for the others, too.
            if self.lanes.rows() > 0 && self.is_answered_within(HOLD).await {
                continue;
            }
            let words = format!("{words} The last one, {entry}: {reason}");
            self.health.reading_holds(&words, DECODE_REMEDY);
            self.pause(HOLD).await;
        }
        let letter = DeadLetter { entry, reason, code: DECODE, fields, are_fields_lost: false };
        let mut backoff = Backoff::default();
        loop {
            let trouble = match self.letters.write(&letter).await {
                Ok(Written::Added(_)) => {
                    self.numbers.acks.increment();
                    break;
                }
                Ok(Written::NotPending) => break,
                Ok(Written::Full) => Trouble::letters_full(),
                Err(failure) => Trouble::letter(&failure),
            };
            self.health.reading_holds(&trouble.words, &trouble.remedy);
            self.pause(trouble.pause(&mut backoff)).await;
        }
        self.numbers.book(|ledger| ledger.dead += 1);
    }

    /// Waits a while; what lanes answer meanwhile is taken.
    async fn pause(&mut self, length: Duration) {
        let until = Instant::now() + length;
        while self.is_answered_within(until.saturating_duration_since(Instant::now())).await {}
    }

    /// True when a lane has answered for a batch before so much time has passed. Every lane has what
    /// was taken for it.
    async fn is_answered_within(&mut self, length: Duration) -> bool {
        self.heartbeat.beat();
        self.lanes.dispatch();
        timeout(length, self.lanes.answered(&self.heartbeat)).await.is_ok()
    }
}
