//! Which device is registered to which events: built off to the side, swapped whole.
//!
//! A device and an event keep their indices, and a device its slot in an event, from one roster to
//! the next, so that a position routed under the old one still lands in the right slot. A place is
//! given to another only when a table is full, and only if two rosters in a row did without it.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::id::{DeviceIndex, EventId, EventIndex, SlotIndex};
use crate::limits::{DEVICES_MAX, EVENT_SLOTS_MAX, EVENTS_MAX, SLOTS_MAX};

/// One row of the registration query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration<'a> {
    /// The IMEI, as positions name it.
    pub device_id: &'a str,
    /// The event it is registered to.
    pub event: EventId,
}

/// Where a device sits: one slot of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The event.
    pub event: EventIndex,
    /// The device's place in it.
    pub slot: SlotIndex,
}

/// One event of the roster.
#[derive(Clone, Debug)]
pub struct RosterEvent {
    /// Its uuid.
    pub id: EventId,
    /// Who sits, or last sat, in each slot.
    pub slots: Vec<RosterSlot>,
    last_used: u64,
}

/// One slot of an event of the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterSlot {
    /// The device.
    pub device: DeviceIndex,
    /// The last roster in which it was registered to this event.
    last_used: u64,
}

#[derive(Clone, Debug)]
struct RosterDevice {
    id: Arc<str>,
    last_used: u64,
}

/// The whole map of devices and events at one moment.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    generation: u64,
    device_by_id: HashMap<Arc<str>, DeviceIndex>,
    devices: Vec<RosterDevice>,
    event_by_id: HashMap<EventId, EventIndex>,
    events: Vec<RosterEvent>,
    /// Slots of all events together.
    slot_count: usize,
    /// The seats of device `d` are `seats[seat_start[d]..seat_start[d + 1]]`.
    seat_start: Vec<u32>,
    seats: Vec<Seat>,
}

/// Why a roster was not built. The one in use stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RosterError {
    /// More than [`DEVICES_MAX`] devices.
    TooManyDevices,
    /// More than [`EVENTS_MAX`] events.
    TooManyEvents,
    /// More than [`EVENT_SLOTS_MAX`] devices in this event, or [`SLOTS_MAX`] in all.
    TooManySlots(EventId),
}

impl fmt::Display for RosterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyDevices => write!(formatter, "more than {DEVICES_MAX} devices registered"),
            Self::TooManyEvents => write!(formatter, "more than {EVENTS_MAX} events with devices"),
            Self::TooManySlots(event) => {
                write!(
                    formatter,
                    "more than {EVENT_SLOTS_MAX} devices in one event, or {SLOTS_MAX} in all: \
                     no slot is left in event {event}"
                )
            }
        }
    }
}

impl std::error::Error for RosterError {}

impl Roster {
    /// The roster that follows this one. A registration that occurs twice counts once.
    ///
    /// # Errors
    /// When a bound is passed; nothing is built then and this roster stays good.
    pub fn next(&self, registrations: &[Registration<'_>]) -> Result<Self, RosterError> {
        let mut next = self.clone();
        next.generation += 1;
        let mut seats = Vec::with_capacity(registrations.len());
        let mut taken: HashMap<(EventIndex, DeviceIndex), SlotIndex> = self
            .events_with_index()
            .flat_map(|(index, event)| {
                event.slots_with_index().map(move |(slot, seat)| ((index, seat.device), slot))
            })
            .collect();
        for registration in registrations {
            let device = next.place_device(registration.device_id)?;
            let event = next.place_event(registration.event)?;
            let slot = next.place_slot(event, device, &mut taken)?;
            seats.push((device, Seat { event, slot }));
        }
        seats.sort_unstable_by_key(|(device, seat)| (*device, seat.event, seat.slot));
        seats.dedup();
        next.index_seats(&seats);
        Ok(next)
    }

    /// How many rosters came before this one.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The index of a device that is registered somewhere, else [`DeviceIndex::ORPHAN`].
    #[must_use]
    pub fn device(&self, id: &str) -> DeviceIndex {
        match self.device_by_id.get(id) {
            Some(&device) if !self.seats(device).is_empty() => device,
            _ => DeviceIndex::ORPHAN,
        }
    }

    /// The IMEI of a device.
    #[must_use]
    pub fn device_id(&self, device: DeviceIndex) -> &str {
        self.devices.get(device.0 as usize).map_or("", |device| &*device.id)
    }

    /// Where the device sits; empty for an orphan.
    #[must_use]
    pub fn seats(&self, device: DeviceIndex) -> &[Seat] {
        let at = device.0 as usize;
        match (self.seat_start.get(at), self.seat_start.get(at.wrapping_add(1))) {
            (Some(&start), Some(&end)) => &self.seats[start as usize..end as usize],
            _ => &[],
        }
    }

    /// Every event, by index; those without devices are kept for their slots.
    #[must_use]
    pub fn events(&self) -> &[RosterEvent] {
        &self.events
    }

    /// The index of an event that has, or had, devices.
    #[must_use]
    pub fn event(&self, id: EventId) -> Option<EventIndex> {
        self.event_by_id.get(&id).copied()
    }

    /// True when the slot's device is registered to the event in this roster.
    #[must_use]
    pub const fn is_seated(&self, slot: RosterSlot) -> bool {
        slot.last_used == self.generation
    }

    fn events_with_index(&self) -> impl Iterator<Item = (EventIndex, &RosterEvent)> {
        (0_u32..).map(EventIndex).zip(&self.events)
    }

    /// A place unused by this roster and the one before may be given away.
    const fn is_free(&self, last_used: u64) -> bool {
        last_used + 1 < self.generation
    }

    fn place_device(&mut self, id: &str) -> Result<DeviceIndex, RosterError> {
        let generation = self.generation;
        if let Some(&index) = self.device_by_id.get(id) {
            self.devices[index.0 as usize].last_used = generation;
            return Ok(index);
        }
        let device = RosterDevice { id: Arc::from(id), last_used: generation };
        let free = if self.devices.len() < DEVICES_MAX {
            self.devices.push(device.clone());
            self.devices.len() - 1
        } else {
            let free = self.devices.iter().position(|device| self.is_free(device.last_used));
            let free = free.ok_or(RosterError::TooManyDevices)?;
            self.device_by_id.remove(&self.devices[free].id);
            self.devices[free] = device.clone();
            free
        };
        let index = DeviceIndex(u32::try_from(free).expect("DEVICES_MAX is below 2^32"));
        self.device_by_id.insert(device.id, index);
        Ok(index)
    }

    fn place_event(&mut self, id: EventId) -> Result<EventIndex, RosterError> {
        let generation = self.generation;
        if let Some(&index) = self.event_by_id.get(&id) {
            self.events[index.0 as usize].last_used = generation;
            return Ok(index);
        }
        let event = RosterEvent { id, slots: Vec::new(), last_used: generation };
        let free = if self.events.len() < EVENTS_MAX {
            self.events.push(event);
            self.events.len() - 1
        } else {
            let free = self.events.iter().position(|event| self.is_free(event.last_used));
            let free = free.ok_or(RosterError::TooManyEvents)?;
            self.event_by_id.remove(&self.events[free].id);
            self.slot_count -= self.events[free].slots.len();
            self.events[free] = event;
            free
        };
        let index = EventIndex(u32::try_from(free).expect("EVENTS_MAX is below 2^32"));
        self.event_by_id.insert(id, index);
        Ok(index)
    }

    fn place_slot(
        &mut self,
        event: EventIndex,
        device: DeviceIndex,
        taken: &mut HashMap<(EventIndex, DeviceIndex), SlotIndex>,
    ) -> Result<SlotIndex, RosterError> {
        let generation = self.generation;
        if self.slot_count >= SLOTS_MAX {
            self.drop_unused_slots();
        }
        let slots = &mut self.events[event.0 as usize].slots;
        let seat = RosterSlot { device, last_used: generation };
        // A remembered slot counts only if it still is this device's: both may have been given away.
        if let Some(&slot) = taken.get(&(event, device))
            && let Some(place) = slots.get_mut(slot.0 as usize)
            && place.device == device
        {
            *place = seat;
            return Ok(slot);
        }
        let free = if slots.len() < EVENT_SLOTS_MAX && self.slot_count < SLOTS_MAX {
            slots.push(seat);
            self.slot_count += 1;
            slots.len() - 1
        } else {
            let free = slots.iter().position(|slot| slot.last_used + 1 < generation);
            let Some(free) = free else {
                return Err(RosterError::TooManySlots(self.events[event.0 as usize].id));
            };
            slots[free] = seat;
            free
        };
        let slot = SlotIndex(u32::try_from(free).expect("EVENT_SLOTS_MAX is below 2^32"));
        taken.insert((event, device), slot);
        Ok(slot)
    }

    /// Takes the slots from events that two rosters in a row did without.
    fn drop_unused_slots(&mut self) {
        let generation = self.generation;
        for event in self.events.iter_mut().filter(|event| event.last_used + 1 < generation) {
            self.slot_count -= event.slots.len();
            event.slots = Vec::new();
        }
    }

    fn index_seats(&mut self, seats: &[(DeviceIndex, Seat)]) {
        self.seats = seats.iter().map(|&(_, seat)| seat).collect();
        self.seat_start = vec![0; self.devices.len() + 1];
        for (device, _) in seats {
            self.seat_start[device.0 as usize + 1] += 1;
        }
        let mut total = 0;
        for start in &mut self.seat_start {
            total += *start;
            *start = total;
        }
        assert_eq!(total as usize, self.seats.len(), "every seat belongs to one device");
    }
}

impl RosterEvent {
    /// The slots with their places.
    pub fn slots_with_index(&self) -> impl Iterator<Item = (SlotIndex, RosterSlot)> + '_ {
        (0_u32..).map(SlotIndex).zip(self.slots.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::{Registration, Roster};
    use crate::id::{DeviceIndex, EventId};

    fn build(before: &Roster, pairs: &[(&str, u128)]) -> Roster {
        let rows: Vec<_> = pairs
            .iter()
            .map(|&(device_id, event)| Registration { device_id, event: EventId(event) })
            .collect();
        before.next(&rows).expect("small")
    }

    fn seats(roster: &Roster, id: &str) -> Vec<(u128, u32)> {
        let seats = roster.seats(roster.device(id));
        seats.iter().map(|s| (roster.events()[s.event.0 as usize].id.0, s.slot.0)).collect()
    }

    #[test]
    fn a_device_sits_in_every_event_it_is_registered_to_once() {
        let roster = build(&Roster::default(), &[("a", 1), ("b", 1), ("a", 2), ("a", 1)]);
        assert_eq!(seats(&roster, "a"), [(1, 0), (2, 0)]);
        assert_eq!(seats(&roster, "b"), [(1, 1)]);
        assert_eq!(roster.device("c"), DeviceIndex::ORPHAN);
        assert!(roster.seats(DeviceIndex::ORPHAN).is_empty());
    }

    #[test]
    fn who_leaves_and_returns_gets_the_same_slot() {
        let first = build(&Roster::default(), &[("a", 1), ("b", 1)]);
        let second = build(&first, &[("b", 1), ("c", 1)]);
        assert_eq!(second.device("a"), DeviceIndex::ORPHAN);
        assert_eq!(seats(&second, "c"), [(1, 2)]);
        let third = build(&second, &[("a", 1)]);
        assert_eq!(seats(&third, "a"), [(1, 0)]);
        assert_eq!(third.device("a"), first.device("a"));
        assert_eq!(seats(&first, "a"), [(1, 0)], "the old roster is untouched");
    }
}
