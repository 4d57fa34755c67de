//! Rosters and routes against the list of registrations itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::id::{DeviceIndex, EventId, ShardIndex};
use engine::position::Position;
use engine::roster::{Registration, Roster};
use engine::route::{Router, owner};
use proptest::prelude::*;

const SHARDS: u8 = 5;

type Pairs = Vec<(u8, u8)>;

fn device_id(device: u8) -> String {
    format!("35630704244{device:04}")
}

/// The places that were ever given away: they must never change.
#[derive(Default)]
struct Memory {
    devices: BTreeMap<u8, DeviceIndex>,
    slots: BTreeMap<(u8, u8), u32>,
}

fn check(generations: &[Pairs]) {
    let mut roster = Arc::new(Roster::default());
    let mut router = Router::new(SHARDS);
    let mut memory = Memory::default();
    for pairs in generations {
        let names: Vec<String> = pairs.iter().map(|&(device, _)| device_id(device)).collect();
        let rows: Vec<_> = pairs
            .iter()
            .zip(&names)
            .map(|(&(_, event), name)| Registration {
                device_id: name,
                event: EventId(event.into()),
            })
            .collect();
        roster = Arc::new(roster.next(&rows).expect("small"));
        check_seats(&roster, pairs, &mut memory);
        router.handle_roster(roster.clone());
        check_routes(&mut router, pairs);
    }
}

fn check_seats(roster: &Roster, pairs: &Pairs, memory: &mut Memory) {
    for device in 0..12 {
        let expected: BTreeSet<u8> =
            pairs.iter().filter(|pair| pair.0 == device).map(|pair| pair.1).collect();
        let index = roster.device(&device_id(device));
        if expected.is_empty() {
            assert_eq!(index, DeviceIndex::ORPHAN);
            continue;
        }
        assert_eq!(
            *memory.devices.entry(device).or_insert(index),
            index,
            "a device keeps its index"
        );
        assert_eq!(roster.device_id(index), device_id(device));
        let seats = roster.seats(index);
        assert_eq!(seats.len(), expected.len());
        for (seat, event) in seats.iter().map(|seat| {
            let event = &roster.events()[seat.event.0 as usize];
            (seat, u8::try_from(event.id.0).unwrap())
        }) {
            assert!(expected.contains(&event));
            let slot = *memory.slots.entry((device, event)).or_insert(seat.slot.0);
            assert_eq!(slot, seat.slot.0, "a device keeps its slot");
            let place = roster.events()[seat.event.0 as usize].slots[slot as usize];
            assert_eq!(place.device, index);
            assert!(roster.is_seated(place));
        }
    }
    let mut given: BTreeMap<(u8, u32), u8> = BTreeMap::new();
    for (&(device, event), &slot) in &memory.slots {
        assert_eq!(given.insert((event, slot), device), None, "a slot has one device");
    }
    let seated: usize = roster
        .events()
        .iter()
        .map(|event| event.slots.iter().filter(|slot| roster.is_seated(**slot)).count())
        .sum();
    assert_eq!(seated, pairs.iter().collect::<BTreeSet<_>>().len());
}

fn check_routes(router: &mut Router, pairs: &Pairs) {
    let orphans_before = router.orphan_count();
    let positions: Vec<Position> = (0..12)
        .map(|device: u8| Position {
            device: router.roster().device(&device_id(device)),
            ..super::position(i64::from(device))
        })
        .collect();
    router.handle_positions(&positions);
    let mut expected: BTreeSet<(u8, u8, u8)> = BTreeSet::new();
    for &(device, event) in pairs {
        expected.insert((owner(EventId(event.into()), SHARDS).0, device, event));
    }
    let mut routed = BTreeSet::new();
    for shard in 0..SHARDS {
        let mut batch = Vec::new();
        router.take_batch(ShardIndex(shard), &mut batch);
        for one in &batch {
            let event = router.roster().events()[one.event.0 as usize].id.0;
            let device = u8::try_from(one.position.timestamp_ms).unwrap();
            let key = (shard, device, u8::try_from(event).unwrap());
            assert!(routed.insert(key), "one frame per event");
        }
    }
    assert_eq!(routed, expected);
    let known: BTreeSet<u8> = pairs.iter().map(|pair| pair.0).collect();
    assert_eq!(router.orphan_count() - orphans_before, 12 - known.len() as u64);
}

#[test]
fn rosters_seat_and_route_exactly_what_is_registered_and_keep_places() {
    let pairs = prop::collection::vec((0..12_u8, 0..5_u8), 0..16);
    let generations = prop::collection::vec(pairs, 1..6);
    super::runner()
        .run(&generations, |pairs| {
            check(&pairs);
            Ok(())
        })
        .unwrap();
}

#[test]
fn events_spread_evenly_over_any_number_of_shards() {
    for shards in 1..=64_u8 {
        let mut counts = vec![0_u32; shards.into()];
        for event in 0..u128::from(shards) * 400 {
            // Time-ordered ids share their high bits and count upwards.
            let id = EventId(0x0190_0000_0000_7000_8000_0000_0000_0000 | event << 64 | event);
            counts[usize::from(owner(id, shards).0)] += 1;
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*least > 300 && *most < 500, "{shards} shards: {least} to {most} of 400");
    }
}
