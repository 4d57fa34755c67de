//! From positions to the shards that own their events: one batch each, in order.
//!
//! All positions of a roster are routed, and handed over, before the next roster is: a shard sees
//! both in the order in which the router saw them.

use std::sync::Arc;

use crate::id::{DeviceIndex, EventId, EventIndex, ShardIndex, SlotIndex};
use crate::position::Position;
use crate::roster::Roster;

/// A position on its way to one slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Routed {
    /// The event it is for.
    pub event: EventIndex,
    /// The device's place there.
    pub slot: SlotIndex,
    /// The fix.
    pub position: Position,
}

const _: () = assert!(size_of::<Routed>() <= 56);

/// The shard that owns an event: a function of the id alone, so every thread agrees without asking.
///
/// # Panics
/// When `shard_count` is 0.
#[must_use]
pub fn owner(event: EventId, shard_count: u8) -> ShardIndex {
    assert!(shard_count > 0, "a server has at least one shard");
    // The finalizer of splitmix64 over both halves: uuids of version 7 share their high bits.
    #[expect(clippy::cast_possible_truncation, reason = "the low half on purpose")]
    let mut mixed = (event.0 >> 64) as u64 ^ (event.0 as u64).rotate_left(32);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    // Multiply-and-shift spreads over any count without the bias or the cost of a division.
    let index = (u128::from(mixed) * u128::from(shard_count)) >> 64;
    ShardIndex(u8::try_from(index).expect("below shard_count"))
}

/// Splits batches of positions by owning shard.
#[derive(Debug)]
pub struct Router {
    roster: Arc<Roster>,
    owners: Vec<ShardIndex>,
    batches: Vec<Vec<Routed>>,
    orphan_count: u64,
}

impl Router {
    /// A router for `shard_count` shards that knows no device yet.
    #[must_use]
    pub fn new(shard_count: u8) -> Self {
        assert!(shard_count > 0, "a server has at least one shard");
        let batches = (0..shard_count).map(|_| Vec::new()).collect();
        Self { roster: Arc::default(), owners: Vec::new(), batches, orphan_count: 0 }
    }

    /// Positions from now on follow this roster. What was routed must have been taken before.
    pub fn handle_roster(&mut self, roster: Arc<Roster>) {
        assert!(self.batches.iter().all(Vec::is_empty), "old routes leave before the new roster");
        let shard_count = u8::try_from(self.batches.len()).expect("built from a u8");
        self.owners = roster.events().iter().map(|event| owner(event.id, shard_count)).collect();
        self.roster = roster;
    }

    /// The roster in use, to name the devices of what is decoded next.
    #[must_use]
    pub const fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// Puts each position into the batch of every shard that owns one of its events.
    pub fn handle_positions(&mut self, positions: &[Position]) {
        self.orphan_count += route(positions, &self.roster, &self.owners, &mut self.batches);
    }

    /// Swaps the batch of one shard with `empty`, whose room is used for the next.
    pub fn take_batch(&mut self, shard: ShardIndex, empty: &mut Vec<Routed>) {
        empty.clear();
        std::mem::swap(&mut self.batches[shard.0 as usize], empty);
    }

    /// Positions of devices that no event knows: stored, not shown.
    #[must_use]
    pub const fn orphan_count(&self) -> u64 {
        self.orphan_count
    }
}

/// Appends each position to the batches of its events' owners and counts those without an event.
fn route(
    positions: &[Position],
    roster: &Roster,
    owners: &[ShardIndex],
    batches: &mut [Vec<Routed>],
) -> u64 {
    let mut orphan_count = 0;
    for position in positions {
        let seats = roster.seats(position.device);
        orphan_count += u64::from(seats.is_empty());
        for seat in seats {
            let shard = owners[seat.event.0 as usize];
            let routed = Routed { event: seat.event, slot: seat.slot, position: *position };
            batches[shard.0 as usize].push(routed);
        }
    }
    debug_assert!(positions.iter().all(|p| p.device != DeviceIndex::ORPHAN) || orphan_count > 0);
    orphan_count
}
