//! From entries to the shards: decoded, named by the roster, routed, handed over.
//!
//! A read is taken as a whole or not at all. After a lag only the newest fix of each device goes on.

use std::sync::Arc;

use engine::decode::{Decoder, EntryFields};
use engine::id::DeviceIndex;
use engine::position::Position;
use engine::roster::Roster;
use engine::route::{Router, owner};
use engine::rows::EntryId;
use engine::shard::Withdrawal;
use engine::teltonika::Imei;

use super::lag::{Lag, age_ms};
use super::minute::Minute;
use super::newest::Newest;
use super::numbers::Numbers;
use super::outbox::Outbox;
use super::{SourceMail, Withdrawn};
use crate::context::Context;
use crate::error::Stop;
use crate::live::mailbox::{Batch, FeedMail};
use crate::stream::{Entries, Malformed};

/// How long positions may wait for newer ones while the source catches up.
const CATCH_UP_MS: u64 = 500;

/// What becomes of entries.
#[derive(Debug)]
pub(super) struct Intake {
    context: Context,
    numbers: Arc<Numbers>,
    outbox: Outbox,
    decoder: Decoder,
    router: Router,
    /// Decoded, not yet routed.
    positions: Vec<Position>,
    newest: Newest,
    is_catching_up: bool,
    handed_over_ms: u64,
    told: Minute,
    /// How many positions each shard got last: the room made for the next.
    routed_count: Vec<usize>,
}

/// What a read amounts to, known before anything of it counts.
#[derive(Debug, Default)]
struct Taken {
    last: EntryId,
    records: u64,
    orphans: u64,
    trimmed: u64,
    errors: u64,
    refused: Option<String>,
}

impl Intake {
    /// Knows no device yet.
    pub(super) fn new(context: &Context, outbox: Outbox) -> Self {
        let shard_count = u8::try_from(outbox.shards.len()).expect("SHARDS_MAX is a u8");
        Self {
            context: context.clone(),
            numbers: outbox.numbers.clone(),
            outbox,
            decoder: Decoder::new(),
            router: Router::new(shard_count),
            positions: Vec::new(),
            newest: Newest::default(),
            is_catching_up: false,
            handed_over_ms: 0,
            told: Minute::default(),
            routed_count: vec![0; usize::from(shard_count)],
        }
    }

    /// True while only the newest fix of each device goes on.
    pub(super) const fn is_catching_up(&self) -> bool {
        self.is_catching_up
    }

    /// Decodes what a read brought; nothing of it goes on before [`Self::pass_on`]. The id of the
    /// last entry, and how many there were.
    ///
    /// # Errors
    /// When the reply is no list of entries; then it is as if there had been none.
    pub(super) fn take(
        &mut self,
        entries: Entries<'_>,
        redis_now_ms: i64,
    ) -> Result<(EntryId, u64), Malformed> {
        self.positions.clear();
        let mut taken = Taken::default();
        let (decoder, positions) = (&mut self.decoder, &mut self.positions);
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(malformed) => {
                    positions.clear();
                    return Err(malformed);
                }
            };
            taken.last = entry.id;
            taken.records += 1;
            let Some(pairs) = entry.fields else {
                taken.trimmed += 1;
                continue;
            };
            let fields = EntryFields::from_pairs(pairs);
            match fields.and_then(|fields| decoder.decode(&fields)) {
                Err(error) => {
                    taken.errors += 1;
                    taken.refused.get_or_insert_with(|| format!("{}: {error}", entry.id));
                }
                Ok(decoded) => {
                    let device = self.router.roster().device(decoded.device_id);
                    let position = Position { device, ..decoded.position };
                    self.numbers.hops(entry.id.ms, redis_now_ms, position.timestamp_ms);
                    taken.orphans += u64::from(device == DeviceIndex::ORPHAN);
                    if device != DeviceIndex::ORPHAN {
                        positions.push(position);
                    }
                }
            }
        }
        self.count(&taken);
        Ok((taken.last, taken.records))
    }

    /// Passes on what was taken, at once or when the source has caught up.
    ///
    /// # Errors
    /// When a shard is gone.
    pub(super) async fn pass_on(
        &mut self,
        last: EntryId,
        is_full: bool,
        redis_now_ms: i64,
    ) -> Result<(), Stop> {
        let lag = Lag::after(is_full, age_ms(last.ms, redis_now_ms));
        self.numbers.set_lag(lag.ms());
        let is_late = lag.is_too_far(self.context.config.live.skip_lag_ms);
        let was_late = std::mem::replace(&mut self.is_catching_up, is_late);
        // The read that ends a lag is of the lag, too, whether or not anything waits for it.
        if is_late || was_late {
            let tolerance_ms = self.context.config.live.future_tolerance_ms;
            let newest_ms_max = crate::clock::wall_ms().saturating_add(tolerance_ms);
            let displaced = self.newest.displaced_count();
            for position in &self.positions {
                self.newest.keep(position, newest_ms_max);
            }
            self.positions.clear();
            self.numbers.skipped.add(self.newest.displaced_count() - displaced);
            return if is_late { self.tick().await } else { self.catch_up().await };
        }
        self.hand_over().await
    }

    /// Passes on what has waited long enough for something newer.
    ///
    /// # Errors
    /// When a shard is gone.
    pub(super) async fn tick(&mut self) -> Result<(), Stop> {
        let waited_ms = self.context.clock.monotonic_ms() - self.handed_over_ms;
        if waited_ms >= CATCH_UP_MS { self.catch_up().await } else { Ok(()) }
    }

    /// Passes on all that waits.
    ///
    /// # Errors
    /// When a shard is gone.
    pub(super) async fn catch_up(&mut self) -> Result<(), Stop> {
        if self.newest.is_empty() {
            return Ok(());
        }
        self.newest.take(&mut self.positions);
        self.hand_over().await
    }

    /// Takes what the roster's keeper says.
    ///
    /// # Errors
    /// When a shard is gone.
    pub(super) async fn handle(&mut self, mail: SourceMail) -> Result<(), Stop> {
        // What came before is routed by the old roster, and is older than what is offered now.
        self.catch_up().await?;
        match mail {
            SourceMail::Roster(roster) => self.handle_roster(roster).await,
            SourceMail::Offer(offers) => {
                let roster = self.router.roster();
                self.positions.clear();
                let offered = offers.into_iter().map(|(device_id, position)| Position {
                    device: roster.device(&device_id),
                    ..position
                });
                self.positions.extend(offered.filter(|p| p.device != DeviceIndex::ORPHAN));
                self.hand_over_read_at(0).await
            }
            SourceMail::Arrived(arrived) => self.show(arrived).await,
            SourceMail::Withdraw(withdrawn) => self.withdraw(&withdrawn).await,
        }
    }

    /// Passes on what came without an entry.
    async fn show(&mut self, arrived: Vec<(Imei, Position)>) -> Result<(), Stop> {
        let (roster, wall_ms) = (self.router.roster(), crate::clock::wall_ms());
        let count = arrived.len();
        self.positions.clear();
        for (imei, position) in arrived {
            let device = roster.device(imei.as_str());
            self.numbers.hop_of_device(wall_ms, position.timestamp_ms);
            if device != DeviceIndex::ORPHAN {
                self.positions.push(Position { device, ..position });
            }
        }
        self.numbers.records.add(count as u64);
        self.numbers.orphans.add((count - self.positions.len()) as u64);
        self.hand_over().await
    }

    async fn handle_roster(&mut self, roster: Arc<Roster>) -> Result<(), Stop> {
        let shards = 0..self.outbox.shards.len();
        let mail = shards.map(|shard| (shard, FeedMail::Roster(roster.clone()))).collect();
        self.outbox.hand_over(mail).await?;
        self.router.handle_roster(roster);
        Ok(())
    }

    /// One letter for each shard, so that a thousand flagged fixes do not fill its mailbox.
    async fn withdraw(&self, withdrawn: &[Withdrawn]) -> Result<(), Stop> {
        let roster = self.router.roster();
        let shard_count = u8::try_from(self.outbox.shards.len()).expect("SHARDS_MAX is a u8");
        let mut withdrawals = vec![Vec::new(); usize::from(shard_count)];
        for withdrawn in withdrawn {
            let device = roster.device(&withdrawn.device_id);
            for seat in roster.seats(device) {
                let event = roster.events()[seat.event.0 as usize].id;
                withdrawals[usize::from(owner(event, shard_count).0)].push(Withdrawal {
                    event: seat.event,
                    slot: seat.slot,
                    faulty_ms: withdrawn.faulty_ms,
                    good: withdrawn.good.map(|good| Position { device, ..good }),
                });
            }
        }
        let letters = withdrawals.into_iter().enumerate().filter(|(_, those)| !those.is_empty());
        let letters = letters.map(|(shard, those)| (shard, FeedMail::Withdrawals(those)));
        self.outbox.hand_over(letters.collect()).await
    }

    async fn hand_over(&mut self) -> Result<(), Stop> {
        self.handed_over_ms = self.context.clock.monotonic_ms();
        self.hand_over_read_at(self.context.clock.monotonic_us()).await
    }

    async fn hand_over_read_at(&mut self, read_us: u64) -> Result<(), Stop> {
        self.router.handle_positions(&self.positions);
        self.positions.clear();
        let mut mail = Vec::new();
        for (shard, address) in self.outbox.shards.iter().enumerate() {
            let mut routed = Vec::with_capacity(self.routed_count[shard]);
            self.router.take_batch(address.shard, &mut routed);
            self.routed_count[shard] = routed.len();
            if !routed.is_empty() {
                mail.push((shard, FeedMail::Positions(Batch { routed, read_us })));
            }
        }
        self.outbox.hand_over(mail).await
    }

    fn count(&mut self, taken: &Taken) {
        self.numbers.records.add(taken.records);
        self.numbers.orphans.add(taken.orphans);
        self.numbers.trimmed.add(taken.trimmed);
        self.numbers.decode_errors.add(taken.errors);
        self.numbers.set_tally(self.decoder.tally());
        let Some(refused) = &taken.refused else { return };
        if self.told.is_over(self.context.clock) {
            self.context.log.error(
                "an entry cannot be decoded and is not shown; others may follow within the minute",
                &[("entry", refused)],
            );
        }
    }
}
