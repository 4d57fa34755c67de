//! Newest wins, once: the slots of an event against a map.

use std::collections::HashMap;

use engine::id::SlotIndex;
use engine::position::Position;
use engine::slots::{Slots, Verdict};
use proptest::prelude::*;

const CEILING_MS: i64 = 40;
const SLOT_COUNT: u8 = 4;

#[derive(Clone, Copy, Debug)]
enum Op {
    Offer { slot: u8, timestamp_ms: i64, has_fix: bool },
    Withdraw { slot: u8, faulty_ms: i64, good_ms: Option<i64> },
    Reset(u8),
}

#[derive(Clone, Copy, Debug, Default)]
struct Model {
    newest_ms: Option<i64>,
    shown_ms: Option<i64>,
    is_streamed: bool,
}

fn op() -> impl Strategy<Value = Op> {
    let slot = 0..SLOT_COUNT;
    prop_oneof![
        6 => (slot.clone(), 0..50_i64, prop::bool::weighted(0.9)).prop_map(
            |(slot, timestamp_ms, has_fix)| Op::Offer { slot, timestamp_ms, has_fix }
        ),
        2 => (slot.clone(), 0..50_i64, prop::option::of(0..50_i64)).prop_map(
            |(slot, faulty_ms, good_ms)| Op::Withdraw { slot, faulty_ms, good_ms }
        ),
        1 => slot.prop_map(Op::Reset),
    ]
}

fn offered(timestamp_ms: i64, has_fix: bool) -> Position {
    let position = super::position(timestamp_ms);
    if has_fix {
        return position;
    }
    Position { latitude: -0.0, longitude: 0.0, satellites: 0, ..position }
}

fn expected(model: &mut Model, timestamp_ms: i64, has_fix: bool) -> Verdict {
    let is_gap = model.shown_ms.is_none_or(|shown_ms| shown_ms < timestamp_ms);
    match model.newest_ms {
        Some(newest_ms) if timestamp_ms <= newest_ms && is_gap && has_fix => {
            model.shown_ms = Some(timestamp_ms);
            model.is_streamed = false;
            Verdict::Restored
        }
        Some(newest_ms) if timestamp_ms < newest_ms => Verdict::Late,
        Some(newest_ms) if timestamp_ms == newest_ms => Verdict::Duplicate,
        _ if timestamp_ms > CEILING_MS => Verdict::Future,
        _ if !has_fix => Verdict::WithoutFix,
        _ => {
            let newest_ms = Some(timestamp_ms);
            *model = Model { newest_ms, shown_ms: newest_ms, is_streamed: true };
            Verdict::Accepted
        }
    }
}

fn check(ops: &[Op]) {
    let mut slots = Slots::default();
    slots.grow(usize::from(SLOT_COUNT));
    let mut models: HashMap<u8, Model> = HashMap::new();
    for &op in ops {
        match op {
            Op::Offer { slot, timestamp_ms, has_fix } => {
                let position = offered(timestamp_ms, has_fix);
                let verdict = slots.offer(SlotIndex(slot.into()), &position, CEILING_MS);
                let model = models.entry(slot).or_default();
                assert_eq!(verdict, expected(model, timestamp_ms, has_fix));
            }
            Op::Withdraw { slot, faulty_ms, good_ms } => {
                let good = good_ms.map(super::position);
                let withdrawn = slots.withdraw(SlotIndex(slot.into()), faulty_ms, good);
                let model = models.entry(slot).or_default();
                assert_eq!(withdrawn, model.shown_ms == Some(faulty_ms));
                if withdrawn {
                    model.shown_ms = good_ms.filter(|&good_ms| good_ms < faulty_ms);
                    model.is_streamed = false;
                }
            }
            Op::Reset(slot) => {
                slots.reset(SlotIndex(slot.into()));
                models.remove(&slot);
            }
        }
        for slot in 0..SLOT_COUNT {
            let model = models.entry(slot).or_default();
            let index = SlotIndex(slot.into());
            assert_eq!(slots.shown(index).map(|p| p.timestamp_ms), model.shown_ms);
            assert_eq!(slots.is_streamed(index), model.is_streamed);
        }
    }
}

#[test]
fn slots_keep_the_newest_fix_and_fall_back_for_snapshots_only() {
    let ops = prop::collection::vec(op(), 1..40);
    super::runner()
        .run(&ops, |ops| {
            check(&ops);
            Ok(())
        })
        .unwrap();
}
