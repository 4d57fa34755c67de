//! The shard as owner of events, and what shards tell each other.

use std::sync::Arc;

use super::{PeerMessage, Shard, Withdrawal};
use crate::event::{Event, FeedUpdate};
use crate::feed::Feed;
use crate::id::{EventId, ShardIndex};
use crate::limits::{BLOCK_BYTES_MAX, FEED_PENDING_BYTES_MAX, FEEDS_MAX};
use crate::roster::Roster;
use crate::route::{Routed, owner};

const NOT_OURS: u32 = u32::MAX;

impl Shard {
    /// Follows a new roster. Positions that were routed by the old one have come before.
    pub fn handle_roster(&mut self, roster: Arc<Roster>) {
        self.event_by_index.clear();
        self.event_by_index.resize(roster.events().len(), NOT_OURS);
        for (at, event) in roster.events().iter().enumerate() {
            if owner(event.id, self.config.shard_count) == self.config.index {
                let index = self.own(event.id);
                self.event_by_index[at] = index;
            }
        }
        let owned: Vec<u32> = self.events.iter().map(|(index, _)| index).collect();
        for index in owned {
            let event = self.events.at_mut(index).expect("listed above");
            let known = roster.event(event.id).map(|at| &roster.events()[at.0 as usize]);
            event.follow(&roster, known);
            if event.is_idle() && known.is_none() {
                self.event_by_id.remove(&event.id);
                self.events.remove(index);
            } else if event.is_dirty() {
                self.dirty_events.push(index);
            }
        }
        self.roster = roster;
    }

    /// Judges a batch; what is accepted goes out with the next round.
    pub fn handle_positions(&mut self, batch: &[Routed]) {
        let ceiling_ms = self.now.wall_ms.saturating_add(self.config.future_tolerance_ms);
        for routed in batch {
            let index = self.event_by_index.get(routed.event.0 as usize).copied();
            let index = index.unwrap_or(NOT_OURS);
            let Some(event) = self.events.at_mut(index) else {
                self.verdicts.unseated += 1;
                continue;
            };
            let was_dirty = event.is_dirty();
            event.offer(routed.slot, &routed.position, ceiling_ms, &mut self.verdicts);
            if !was_dirty && event.is_dirty() {
                self.dirty_events.push(index);
            }
            if event.building_bytes() >= BLOCK_BYTES_MAX {
                self.flush_event(index);
            }
        }
    }

    /// Takes a faulty fix out of snapshots.
    pub fn handle_withdrawal(&mut self, withdrawal: &Withdrawal) {
        let index = self.event_by_index.get(withdrawal.event.0 as usize).copied();
        let Some(event) = self.events.at_mut(index.unwrap_or(NOT_OURS)) else { return };
        let was_dirty = event.is_dirty();
        event.withdraw(withdrawal.slot, withdrawal.faulty_ms, withdrawal.good);
        if !was_dirty && event.is_dirty() {
            self.dirty_events.push(index.unwrap_or(NOT_OURS));
        }
    }

    /// A message of another shard, or of this one to itself.
    pub fn handle_peer(&mut self, message: PeerMessage) {
        match message {
            PeerMessage::Join(event, shard) => self.handle_join(event, shard),
            PeerMessage::Leave(event, shard) => {
                if let Some(&index) = self.event_by_id.get(&event)
                    && let Some(owned) = self.events.at_mut(index)
                {
                    owned.leave(shard);
                    if owned.is_idle() && self.roster.event(event).is_none() {
                        self.event_by_id.remove(&event);
                        self.events.remove(index);
                    }
                }
            }
            PeerMessage::Baseline(event, baseline) => {
                let index = self.feed_by_id.get(&event).copied();
                let feed = index.and_then(|index| self.feeds.at_mut(index));
                if let Some(feed) = feed
                    && !feed.is_live
                {
                    feed.handle_baseline(&baseline);
                    self.retry_held();
                }
            }
            PeerMessage::Update(event, update) => {
                if let Some(&index) = self.feed_by_id.get(&event)
                    && let Some(feed) = self.feeds.at_mut(index)
                {
                    feed.handle_update(update);
                    if feed.has_pending() && !std::mem::replace(&mut feed.is_dirty, true) {
                        self.dirty_feeds.push(index);
                    }
                    if feed.pending_bytes() >= FEED_PENDING_BYTES_MAX {
                        self.integrate(index);
                    }
                }
            }
        }
    }

    /// Seals everything that gathered since the last round and gives it to who watches.
    pub(super) fn flush_events(&mut self) {
        for at in 0..self.dirty_events.len() {
            self.flush_event(self.dirty_events[at]);
        }
        self.dirty_events.clear();
    }

    pub(super) fn has_dirty_events(&self) -> bool {
        !self.dirty_events.is_empty()
    }

    /// True when this shard serves the event or may begin to.
    pub(super) fn has_room_for(&self, event: EventId) -> bool {
        self.feeds.count() < FEEDS_MAX || self.feed_by_id.contains_key(&event)
    }

    /// The feed of an event, joined now if this shard did not serve it.
    pub(super) fn feed_of(&mut self, event: EventId) -> u32 {
        if let Some(&index) = self.feed_by_id.get(&event) {
            return index;
        }
        let index = self.feeds.insert(Feed::new(event, self.now.monotonic_ms()));
        self.feed_by_id.insert(event, index);
        let join = PeerMessage::Join(event, self.config.index);
        self.tell(owner(event, self.config.shard_count), join);
        index
    }

    /// Makes what waited in a feed visible; the viewers get it in this round or the next.
    pub(super) fn integrate(&mut self, index: u32) {
        let now_ms = self.now.monotonic_ms();
        if let Some(feed) = self.feeds.at_mut(index) {
            let frame_count = feed.integrate(&mut self.pool, now_ms);
            self.ledger.due += frame_count * feed.subscribers.len() as u64;
        }
    }

    /// Gives up a feed that nobody has watched for a while.
    pub(super) fn drop_feed(&mut self, index: u32) {
        if let Some(feed) = self.feeds.remove(index) {
            self.feed_by_id.remove(&feed.event);
            self.dirty_feeds.retain(|&dirty| dirty != index);
            let leave = PeerMessage::Leave(feed.event, self.config.index);
            self.tell(owner(feed.event, self.config.shard_count), leave);
        }
    }

    fn handle_join(&mut self, event: EventId, shard: ShardIndex) {
        let index = self.own(event);
        // The baseline follows what the others are about to get.
        self.flush_event(index);
        let baseline = self.events.at_mut(index).expect("owned").join(shard);
        self.tell(shard, PeerMessage::Baseline(event, Arc::new(baseline)));
    }

    fn flush_event(&mut self, index: u32) {
        let Some(event) = self.events.at_mut(index) else { return };
        let (id, audience) = (event.id, event.audience());
        let mut updates: [Option<FeedUpdate>; 2] = [None, None];
        let mut count = 0;
        event.flush(&mut self.pool, |update| {
            updates[count] = Some(update);
            count += 1;
        });
        for update in updates.into_iter().flatten() {
            for shard in audience.shards() {
                self.tell(shard, PeerMessage::Update(id, update.clone()));
            }
        }
    }

    fn tell(&mut self, shard: ShardIndex, message: PeerMessage) {
        if shard == self.config.index {
            self.handle_peer(message);
        } else {
            self.peer_out.push_back((shard, message));
        }
    }

    fn own(&mut self, event: EventId) -> u32 {
        if let Some(&index) = self.event_by_id.get(&event) {
            return index;
        }
        let index = self.events.insert(Event::new(event));
        self.event_by_id.insert(event, index);
        index
    }
}
