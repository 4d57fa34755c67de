//! A feed's window and places against the list of all frames ever given to it.

use std::sync::Arc;

use engine::block::{Block, BlockPool};
use engine::event::{Amendment, Baseline, FeedUpdate};
use engine::feed::{Feed, Place};
use engine::frame::{encode, head};
use engine::id::{EventId, Sequence, SlotIndex};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    Block { frame_count: u8, slot: u8 },
    Amend { slot: u8, shows: bool },
    Integrate { passed_ms: u16 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1..8_u8, 0..5_u8).prop_map(|(frame_count, slot)| Op::Block { frame_count, slot }),
        1 => (0..5_u8, any::<bool>()).prop_map(|(slot, shows)| Op::Amend { slot, shows }),
        4 => (0..600_u16).prop_map(|passed_ms| Op::Integrate { passed_ms }),
    ]
}

fn frame(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let position = super::position(i64::try_from(number).unwrap());
    encode(&mut out, &head(EventId(1)), b"356307042441013", &position);
    out
}

/// Every frame with its slot; the place in the list is the sequence less `base`.
struct Model {
    base: u64,
    frames: Vec<(u32, Vec<u8>)>,
    visible: usize,
    amended: Vec<u32>,
}

fn check_places(feed: &Feed, model: &Model) {
    assert_eq!(feed.last().0, model.base + model.visible as u64);
    for cursor in model.base..=feed.last().0 {
        let next = usize::try_from(cursor - model.base).unwrap();
        match feed.place(Sequence(cursor)) {
            Place::UpToDate => assert_eq!(next, model.visible),
            Place::FellOut => assert!(next < model.visible),
            Place::Inside { block, frame } => {
                let mut rest = feed.block(block).bytes_from(frame).to_vec();
                for at in block + 1..=feed.newest_block() {
                    rest.extend_from_slice(feed.block(at).bytes());
                }
                let mut expected = Vec::with_capacity(rest.len());
                for (_, bytes) in &model.frames[next..model.visible] {
                    expected.extend_from_slice(bytes);
                }
                assert!(rest == expected, "all that follows {cursor}");
            }
        }
        let at_once = feed.newest_block_after(Sequence(cursor));
        if let Some(block) = at_once {
            assert_eq!((block.first().0, block.last()), (cursor + 1, feed.last()));
        }
    }
}

fn check_board(feed: &Feed, model: &Model) {
    for slot in 0..5_u32 {
        let newest = model.frames[..model.visible].iter().rposition(|frame| frame.0 == slot);
        if let Some(at) = newest
            && !model.amended.contains(&slot)
        {
            assert_eq!(feed.board().frame(SlotIndex(slot)), model.frames[at].1);
            let sequence = feed.board().sequences()[slot as usize];
            assert_eq!(sequence.0, model.base + at as u64 + 1);
        }
    }
    let repeatable = feed.repeatable();
    let seen = &model.frames[..model.visible];
    let may = seen.iter().any(|frame| !model.amended.contains(&frame.0));
    assert_eq!(repeatable.is_some(), may, "a frame to repeat, unless all were amended");
    if let Some(frame) = repeatable {
        let at = seen.iter().rposition(|seen| seen.1 == frame).expect("a frame that was sent");
        assert!(!model.amended.contains(&seen[at].0), "an amended slot is never repeated");
    }
}

fn check(base: u64, ops: &[Op]) {
    let mut feed = Feed::new(EventId(1), 0);
    let mut pool = BlockPool::default();
    feed.handle_update(FeedUpdate::Amend(Arc::from([])));
    assert!(!feed.has_pending(), "what comes before the baseline is for somebody else");
    let empty = Baseline { last: Sequence(base), frames: Block::default(), fallbacks: Vec::new() };
    feed.handle_baseline(&empty);
    let mut model = Model { base, frames: Vec::new(), visible: 0, amended: Vec::new() };
    let mut pending_amended = Vec::new();
    let mut now_ms = 0;
    for &op in ops {
        match op {
            Op::Block { frame_count, slot } => {
                let mut building = Block::default();
                building.begin_after(Sequence(base + model.frames.len() as u64));
                for step in 0..frame_count {
                    let slot = u32::from((slot + step * 3) % 5);
                    let bytes = frame(model.frames.len() as u64 + 1_000_000);
                    building.push(SlotIndex(slot), |out| out.extend_from_slice(&bytes));
                    model.frames.push((slot, bytes));
                    pending_amended.push((slot, false));
                }
                feed.handle_update(FeedUpdate::Block(pool.seal(&mut building)));
            }
            Op::Amend { slot, shows } => {
                let frame = shows.then(|| frame(7).into_boxed_slice());
                let amendment = Amendment { slot: SlotIndex(slot.into()), frame };
                feed.handle_update(FeedUpdate::Amend(Arc::from([amendment])));
                pending_amended.push((slot.into(), true));
            }
            Op::Integrate { passed_ms } => {
                now_ms += u64::from(passed_ms);
                let due = feed.integrate(&mut pool, now_ms);
                assert_eq!(due, (model.frames.len() - model.visible) as u64);
                model.visible = model.frames.len();
                for (slot, is_amended) in pending_amended.drain(..) {
                    model.amended.retain(|&amended| amended != slot);
                    if is_amended {
                        model.amended.push(slot);
                    }
                }
                check_board(&feed, &model);
                check_places(&feed, &model);
            }
        }
    }
}

#[test]
fn every_cursor_inside_the_window_reads_exactly_what_follows_it() {
    let cases = (0..3_u64, prop::collection::vec(op(), 1..24));
    super::runner()
        .run(&cases, |(base, ops)| {
            check(base, &ops);
            Ok(())
        })
        .unwrap();
}
