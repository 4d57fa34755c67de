//! A viewer's place in a feed: a cursor, and while it catches up, what it has seen range by range.
//!
//! Nothing is queued or copied per viewer. A viewer whose cursor is inside the feed's window gets
//! every frame. One who fell out is *conflated*: it gets the newest frame of every slot that changed
//! since, each once. For that the slots are cut into [`LAP_RANGES`] ranges, and the viewer goes round
//! them in laps, carrying one sequence per range: all of the range up to it has been seen. A frame is
//! sent when it lies between that sequence and the one at which this visit of the range began, so
//! none is sent twice and none goes back. When a whole lap found nothing newer than the newest
//! sequence, the viewer has caught up and is back to a cursor.
//!
//! Walking in order of update instead, oldest first, looks simpler and starves: devices report in a
//! steady rhythm, so a viewer of half the bandwidth meets each time those that are about to be
//! overtaken by their next fix, and may never see the others.

use crate::board::Board;
use crate::id::{Sequence, SlotIndex};
use crate::limits::{LAP_CHUNK_BYTES, LAP_RANGES};

/// What a conflated viewer has seen of one feed.
#[derive(Debug)]
pub struct Laps {
    /// The cursor with which it fell out of the window.
    began: Sequence,
    /// Frames sent since.
    sent_count: u64,
    /// Slots per range; the last range has the rest, also slots that come later.
    range_slots: u32,
    /// By range: everything up to this was sent or overtaken.
    seen: [Sequence; LAP_RANGES],
    step: Step,
}

/// Where a lap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    range: usize,
    /// The next slot.
    slot: u32,
    /// The feed's newest sequence when this visit of the range began.
    upto: Sequence,
    /// Ranges in a row that were visited up to the same sequence.
    level_count: usize,
}

/// The frames gathered for one send, so that a partial send can be told to the frame.
#[derive(Debug, Default)]
pub struct LapChunk {
    bytes: Vec<u8>,
    frames: Vec<LapFrame>,
    /// Where the lap is once everything is sent.
    after: Option<Step>,
    passed_count: usize,
    caught_up: bool,
}

#[derive(Clone, Copy, Debug)]
struct LapFrame {
    end: u32,
    slot: u32,
    /// Ranges that were passed before it.
    passed_count: usize,
}

/// What a send of a chunk came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LapProgress {
    /// Frames sent, one that was cut included.
    pub sent_count: usize,
    /// Where in the chunk the rest of a cut frame lies; empty if none was cut.
    pub rest: (usize, usize),
    /// True when the viewer is back to a cursor, at the newest sequence.
    pub caught_up: bool,
}

impl LapChunk {
    /// The bytes to send; empty when there is nothing to send and the lap may still have ended.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Laps {
    /// Begins to catch up from `cursor`.
    #[must_use]
    pub fn begin(cursor: Sequence, board: &Board, newest: Sequence) -> Self {
        let range_slots = board.slot_count().div_ceil(LAP_RANGES).max(1);
        let range_slots = u32::try_from(range_slots).expect("EVENT_SLOTS_MAX is below 2^32");
        let step = Step { range: 0, slot: 0, upto: newest, level_count: 0 };
        Self { began: cursor, sent_count: 0, range_slots, seen: [cursor; LAP_RANGES], step }
    }

    /// Positions that were passed over, if the viewer has now got everything up to `newest`.
    #[must_use]
    pub const fn conflated_count(&self, newest: Sequence) -> u64 {
        newest.0 - self.began.0 - self.sent_count
    }

    /// Frames sent since it began.
    #[must_use]
    pub const fn sent_count(&self) -> u64 {
        self.sent_count
    }

    /// The cursor with which it began.
    #[must_use]
    pub const fn began(&self) -> Sequence {
        self.began
    }

    /// Gathers the next frames into `chunk`. Nothing counts as sent before [`Laps::commit`].
    pub fn gather(&self, board: &Board, newest: Sequence, chunk: &mut LapChunk) {
        chunk.bytes.clear();
        chunk.frames.clear();
        chunk.passed_count = 0;
        chunk.caught_up = false;
        let mut step = self.step;
        loop {
            let seen = if chunk.passed_count < LAP_RANGES {
                self.seen[step.range]
            } else {
                self.step.upto
            };
            let end = self.range_end(step.range, board);
            gather_range(board, seen, &mut step, end, chunk);
            if step.slot < end {
                break;
            }
            chunk.passed_count += 1;
            step = self.next_range(step, newest);
            chunk.caught_up = step.level_count == LAP_RANGES;
            if chunk.caught_up {
                break;
            }
        }
        chunk.after = Some(step);
    }

    /// Takes note of what was sent of `chunk`.
    pub fn commit(&mut self, newest: Sequence, chunk: &LapChunk, sent_bytes: usize) -> LapProgress {
        let count = chunk.frames.partition_point(|frame| frame.end as usize <= sent_bytes);
        let all = sent_bytes == chunk.bytes.len();
        let start = if count == 0 { 0 } else { chunk.frames[count - 1].end as usize };
        let cut = sent_bytes > start;
        let sent_count = count + usize::from(cut);
        self.sent_count += sent_count as u64;
        if all {
            self.pass(chunk.passed_count, newest);
            self.step = chunk.after.expect("a chunk is gathered before it is committed");
        } else if sent_count > 0 {
            let last = chunk.frames[sent_count - 1];
            self.pass(last.passed_count, newest);
            self.step.slot = last.slot + 1;
        }
        let rest = if cut { (sent_bytes, chunk.frames[count].end as usize) } else { (0, 0) };
        LapProgress { sent_count, rest, caught_up: all && chunk.caught_up }
    }

    /// Ends the visit of this range and of the `count - 1` after it.
    fn pass(&mut self, count: usize, newest: Sequence) {
        for _ in 0..count {
            self.seen[self.step.range] = self.step.upto;
            self.step = self.next_range(self.step, newest);
        }
    }

    fn next_range(&self, step: Step, newest: Sequence) -> Step {
        let range = (step.range + 1) % LAP_RANGES;
        let slot = u32::try_from(range).expect("LAP_RANGES is small") * self.range_slots;
        let level_count = if step.upto == newest { step.level_count + 1 } else { 0 };
        Step { range, slot, upto: newest, level_count }
    }

    fn range_end(&self, range: usize, board: &Board) -> u32 {
        let slot_count = u32::try_from(board.slot_count()).expect("EVENT_SLOTS_MAX is below 2^32");
        if range + 1 == LAP_RANGES {
            return slot_count;
        }
        let end = u32::try_from(range + 1).expect("LAP_RANGES is small") * self.range_slots;
        end.min(slot_count)
    }
}

/// Gathers what is new in one range and moves `step` to its end, or to where the chunk was full.
fn gather_range(board: &Board, seen: Sequence, step: &mut Step, end: u32, chunk: &mut LapChunk) {
    let from = step.slot as usize;
    let sequences = board.sequences().get(from..end as usize).unwrap_or(&[]);
    for (slot, &sequence) in (step.slot..).zip(sequences) {
        if sequence <= seen || sequence > step.upto {
            continue;
        }
        if chunk.bytes.len() >= LAP_CHUNK_BYTES {
            step.slot = slot;
            return;
        }
        chunk.bytes.extend_from_slice(board.frame(SlotIndex(slot)));
        let end = u32::try_from(chunk.bytes.len()).expect("a chunk is small");
        chunk.frames.push(LapFrame { end, slot, passed_count: chunk.passed_count });
    }
    step.slot = end.max(step.slot);
}
