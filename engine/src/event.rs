//! An event on the shard that owns it: judges positions, encodes the accepted ones, seals blocks.
//!
//! Nothing is encoded while no shard has viewers of the event.

use std::sync::Arc;

use crate::block::{Block, BlockPool};
use crate::frame::{self, HEAD_BYTES};
use crate::id::{EventId, Sequence, ShardIndex, SlotIndex};
use crate::position::Position;
use crate::protocol::escape::write_escaped;
use crate::roster::{Roster, RosterEvent};
use crate::slots::{Slots, Verdict, VerdictTally};

/// The owner's side of one event.
#[derive(Debug)]
pub struct Event {
    /// Its uuid.
    pub id: EventId,
    head: [u8; HEAD_BYTES],
    slots: Slots,
    names: Names,
    /// Sequence of the newest accepted position.
    last: Sequence,
    building: Block,
    /// Slots whose snapshot entry changed without a frame since the last flush.
    amended: Vec<SlotIndex>,
    audience: Audience,
}

/// The escaped device ids of an event's slots, and who is registered now.
#[derive(Debug, Default)]
struct Names {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    seated: Vec<bool>,
}

/// The shards that serve viewers of an event: one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audience(u64);

/// A change of a slot that is no news for who streams: it only changes what snapshots show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    /// The slot.
    pub slot: SlotIndex,
    /// Its frame from now on, or nothing.
    pub frame: Option<Box<[u8]>>,
}

/// All a shard needs to serve an event it did not serve before.
#[derive(Debug)]
pub struct Baseline {
    /// The sequence the picture belongs to: the next block follows it.
    pub last: Sequence,
    /// The frame of every slot that shows one, in slot order; the sequences of this block mean
    /// nothing.
    pub frames: Block,
    /// Slots among them that show a fallback: for snapshots only.
    pub fallbacks: Vec<SlotIndex>,
}

/// What goes to every shard of the audience, in this order.
#[derive(Clone, Debug)]
pub enum FeedUpdate {
    /// The next frames.
    Block(Arc<Block>),
    /// Changed snapshots.
    Amend(Arc<[Amendment]>),
}

impl FeedUpdate {
    /// What it holds while it waits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Block(block) => block.bytes().len(),
            Self::Amend(amendments) => {
                let frames = amendments.iter().filter_map(|a| a.frame.as_ref());
                size_of_val(&**amendments) + frames.map(|frame| frame.len()).sum::<usize>()
            }
        }
    }
}

impl Audience {
    /// True when nobody watches.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The shards.
    pub fn shards(self) -> impl Iterator<Item = ShardIndex> {
        (0..64).filter(move |index| self.0 >> index & 1 == 1).map(ShardIndex)
    }
}

impl Event {
    /// An event without devices or audience.
    #[must_use]
    pub fn new(id: EventId) -> Self {
        Self {
            id,
            head: frame::head(id),
            slots: Slots::default(),
            names: Names::default(),
            last: Sequence(0),
            building: Block::default(),
            amended: Vec::new(),
            audience: Audience::default(),
        }
    }

    /// Judges a position; an accepted one becomes a frame if anybody watches.
    pub fn offer(
        &mut self,
        slot: SlotIndex,
        position: &Position,
        ceiling_ms: i64,
        tally: &mut VerdictTally,
    ) {
        if !self.names.is_seated(slot) {
            tally.unseated += 1;
            return;
        }
        let verdict = self.slots.offer(slot, position, ceiling_ms);
        tally.count(verdict);
        match verdict {
            Verdict::Accepted => {}
            Verdict::Restored => return self.amend(slot),
            Verdict::Late | Verdict::Duplicate | Verdict::Future | Verdict::WithoutFix => return,
        }
        if !self.amended.is_empty() {
            // The frame says more than the amendment, and must not be overtaken by it.
            self.amended.retain(|&amended| amended != slot);
        }
        if !self.audience.is_empty() {
            if self.building.is_empty() {
                self.building.begin_after(self.last);
            }
            let (head, name) = (&self.head, self.names.at(slot));
            self.building.push(slot, |out| frame::encode(out, head, name, position));
        }
        self.last.0 += 1;
    }

    /// Falls back to `good` in the slot that shows the fix of `faulty_ms`; says whether it did.
    pub fn withdraw(&mut self, slot: SlotIndex, faulty_ms: i64, good: Option<Position>) -> bool {
        let withdrawn = self.slots.withdraw(slot, faulty_ms, good);
        if withdrawn {
            self.amend(slot);
        }
        withdrawn
    }

    /// Follows a new roster: who left is not shown any more, who returns is shown where it was, who
    /// took another's slot begins anew.
    pub fn follow(&mut self, roster: &Roster, event: Option<&RosterEvent>) {
        let Some(event) = event else {
            for at in 0..self.slots.count() {
                self.reseat(slot_index(at), false);
            }
            return;
        };
        let mut names = Names::default();
        for slot in &event.slots {
            names.push(roster.device_id(slot.device));
        }
        self.slots.grow(names.ends.len());
        self.names.seated.resize(self.slots.count(), false);
        for (slot, _) in event.slots_with_index() {
            if self.names.knows(slot) && self.names.at(slot) != names.at(slot) {
                self.reseat(slot, false);
                self.slots.reset(slot);
            }
        }
        names.seated = std::mem::take(&mut self.names.seated);
        self.names = names;
        for (slot, seat) in event.slots_with_index() {
            self.reseat(slot, roster.is_seated(seat));
        }
        for at in event.slots.len()..self.slots.count() {
            self.reseat(slot_index(at), false);
        }
    }

    /// True when the event may be forgotten: no device, no audience.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.audience.is_empty() && !self.names.seated.contains(&true)
    }

    /// True when there is something to flush.
    #[must_use]
    pub const fn is_dirty(&self) -> bool {
        !self.building.is_empty() || !self.amended.is_empty()
    }

    /// Bytes of the block being built.
    #[must_use]
    pub fn building_bytes(&self) -> usize {
        self.building.bytes().len()
    }

    /// Who gets the updates.
    #[must_use]
    pub const fn audience(&self) -> Audience {
        self.audience
    }

    /// Seals what has gathered since the last flush. The caller gives it to the whole audience.
    pub fn flush(&mut self, pool: &mut BlockPool, mut give: impl FnMut(FeedUpdate)) {
        if !self.building.is_empty() {
            give(FeedUpdate::Block(pool.seal(&mut self.building)));
        }
        if !self.amended.is_empty() {
            let amended = std::mem::take(&mut self.amended);
            give(FeedUpdate::Amend(amended.iter().map(|&slot| self.amendment(slot)).collect()));
        }
    }

    /// Takes a shard into the audience. What was dirty must have been flushed before, so that the
    /// baseline and the next block leave no gap and no overlap.
    pub fn join(&mut self, shard: ShardIndex) -> Baseline {
        assert!(!self.is_dirty(), "flush before a join");
        self.audience.0 |= 1 << shard.0;
        let mut frames = Block::default();
        let mut fallbacks = Vec::new();
        frames.begin_after(self.last);
        for at in 0..self.slots.count() {
            let slot = slot_index(at);
            if let Some(position) = self.visible(slot) {
                let name = self.names.at(slot);
                frames.push(slot, |out| frame::encode(out, &self.head, name, position));
                if !self.slots.is_streamed(slot) {
                    fallbacks.push(slot);
                }
            }
        }
        Baseline { last: self.last, frames, fallbacks }
    }

    /// Takes a shard out of the audience.
    pub fn leave(&mut self, shard: ShardIndex) {
        self.audience.0 &= !(1 << shard.0);
        if self.audience.is_empty() {
            self.building.clear();
            self.amended.clear();
        }
    }

    fn amend(&mut self, slot: SlotIndex) {
        if !self.audience.is_empty() {
            self.amended.push(slot);
        }
    }

    fn amendment(&self, slot: SlotIndex) -> Amendment {
        let frame = self.visible(slot).map(|position| {
            let mut frame = Vec::new();
            frame::encode(&mut frame, &self.head, self.names.at(slot), position);
            frame.into_boxed_slice()
        });
        Amendment { slot, frame }
    }

    /// What a snapshot shows in a slot.
    fn visible(&self, slot: SlotIndex) -> Option<&Position> {
        if self.names.is_seated(slot) { self.slots.shown(slot) } else { None }
    }

    fn reseat(&mut self, slot: SlotIndex, is_seated: bool) {
        let seated = &mut self.names.seated[slot.0 as usize];
        if std::mem::replace(seated, is_seated) != is_seated && self.slots.shown(slot).is_some() {
            self.amend(slot);
        }
    }
}

fn slot_index(at: usize) -> SlotIndex {
    SlotIndex(u32::try_from(at).expect("EVENT_SLOTS_MAX is below 2^32"))
}

impl Names {
    fn push(&mut self, device_id: &str) {
        write_escaped(&mut self.bytes, device_id);
        self.ends.push(u32::try_from(self.bytes.len()).expect("slots times 384 bytes"));
    }

    fn is_seated(&self, slot: SlotIndex) -> bool {
        self.seated.get(slot.0 as usize).is_some_and(|&seated| seated)
    }

    fn knows(&self, slot: SlotIndex) -> bool {
        (slot.0 as usize) < self.ends.len()
    }

    fn at(&self, slot: SlotIndex) -> &[u8] {
        let at = slot.0 as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.bytes[start..self.ends[at] as usize]
    }
}
