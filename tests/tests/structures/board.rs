//! The newest frame of each slot, and the snapshot joined from it, against a sorted map.

use std::collections::BTreeMap;

use engine::board::Board;
use engine::frame::{encode, head};
use engine::id::{EventId, Sequence, SlotIndex};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Set { slot: u8, sequence: u64, device: String, timestamp_ms: i64 },
    Clear(u8),
    Withhold(u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..20_u8, 1..1000_u64, "[a-z]{1,12}|[0-9]{15}|[x-z]{60,360}", 0..9_999_999_999_i64)
            .prop_map(|(slot, sequence, device, timestamp_ms)| Op::Set {
                slot, sequence, device, timestamp_ms
            }),
        2 => (0..24_u8).prop_map(Op::Clear),
        1 => (0..20_u8).prop_map(Op::Withhold),
    ]
}

fn check(ops: &[Op]) {
    let mut board = Board::default();
    let mut model: BTreeMap<u32, (u64, Vec<u8>, String)> = BTreeMap::new();
    for op in ops {
        match op {
            Op::Set { slot, sequence, device, timestamp_ms } => {
                let mut frame = Vec::new();
                let position = super::position(*timestamp_ms);
                encode(&mut frame, &head(EventId(3)), device.as_bytes(), &position);
                board.set(SlotIndex((*slot).into()), Sequence(*sequence), &frame);
                let entry = format!(
                    r#"{{"deviceId":"{device}","lat":41.3275,"lon":19.8187,"ts":{timestamp_ms},"speed":63,"course":214}}"#
                );
                model.insert((*slot).into(), (*sequence, frame, entry));
            }
            Op::Clear(slot) => {
                board.clear(SlotIndex((*slot).into()));
                model.remove(&u32::from(*slot));
            }
            Op::Withhold(slot) => {
                if let Some(held) = model.get_mut(&u32::from(*slot)) {
                    board.withhold(SlotIndex((*slot).into()));
                    held.0 = 0;
                }
            }
        }
    }
    for slot in 0..24_u32 {
        let held = model.get(&slot);
        assert_eq!(board.frame(SlotIndex(slot)), held.map_or(&[][..], |(_, frame, _)| frame));
        let sequence = board.sequences().get(slot as usize).map_or(0, |sequence| sequence.0);
        assert_eq!(sequence, held.map_or(0, |(sequence, _, _)| *sequence));
    }
    let entries: Vec<_> = model.values().map(|(_, _, entry)| entry.as_str()).collect();
    let mut snapshot = Vec::new();
    board.write_snapshot(&mut snapshot);
    assert_eq!(String::from_utf8(snapshot).unwrap(), format!("[{}]}}", entries.join(",")));
}

#[test]
fn a_snapshot_has_each_slot_that_shows_something_once_in_order() {
    let ops = prop::collection::vec(op(), 0..40);
    super::runner()
        .run(&ops, |ops| {
            check(&ops);
            Ok(())
        })
        .unwrap();
}
