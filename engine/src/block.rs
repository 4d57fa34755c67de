//! The frames of one flush of one event: contiguous, immutable once sealed, shared by `Arc`.
//!
//! A viewer who is up to date gets a block with one send. A sealed block is used again by the shard
//! that lets it go last: a server of one shard allocates no new ones, one of several at most one per
//! flush.

use std::sync::Arc;

use crate::id::{Sequence, SlotIndex};
use crate::limits::{SPARE_BLOCK_BYTES_MAX, SPARE_BLOCKS_MAX};

/// Consecutive frames of one event.
#[derive(Debug, Default)]
pub struct Block {
    /// Sequence of the first frame; the others follow without a gap.
    first: Sequence,
    frames: Vec<FrameEnd>,
    bytes: Vec<u8>,
}

/// One frame of a block: whose it is and where it ends. It begins where the one before ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FrameEnd {
    slot: SlotIndex,
    end: u32,
}

/// How far a partial send got within a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Frames that are through, the cut one not counted.
    pub whole_count: usize,
    /// Bytes of the next frame that are through; 0 when the send ended between two frames.
    pub cut_bytes: usize,
}

impl Block {
    /// Begins with the frame after `last`.
    pub fn begin_after(&mut self, last: Sequence) {
        assert!(self.frames.is_empty(), "a block begins empty");
        self.first = Sequence(last.0 + 1);
    }

    /// Appends a frame that `write` puts at the end of the bytes.
    pub fn push(&mut self, slot: SlotIndex, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        let end = u32::try_from(self.bytes.len()).expect("BLOCK_BYTES_MAX is far below 2^32");
        self.frames.push(FrameEnd { slot, end });
    }

    /// Appends all frames of `next`, which must follow without a gap.
    pub fn append(&mut self, next: &Self) {
        assert_eq!(next.first.0, self.last().0 + 1, "blocks of one event follow without a gap");
        let before = u32::try_from(self.bytes.len()).expect("BLOCK_BYTES_MAX is far below 2^32");
        self.bytes.extend_from_slice(&next.bytes);
        let moved = next.frames.iter().map(|f| FrameEnd { slot: f.slot, end: before + f.end });
        self.frames.extend(moved);
    }

    /// Sequence of the first frame.
    #[must_use]
    pub const fn first(&self) -> Sequence {
        self.first
    }

    /// Sequence of the last frame; one less than the first when empty.
    #[must_use]
    pub const fn last(&self) -> Sequence {
        Sequence(self.first.0 + self.frames.len() as u64 - 1)
    }

    /// Number of frames.
    #[must_use]
    pub const fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// True without any frame.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes from frame `from` on.
    #[must_use]
    pub fn bytes_from(&self, from: usize) -> &[u8] {
        &self.bytes[self.start(from)..]
    }

    /// The bytes of frame `at`.
    #[must_use]
    pub fn frame(&self, at: usize) -> &[u8] {
        &self.bytes[self.start(at)..self.frames[at].end as usize]
    }

    /// Every frame with its slot and sequence, in order.
    pub fn frames(&self) -> impl Iterator<Item = (SlotIndex, Sequence, &[u8])> {
        let mut start = 0;
        (self.first.0..).map(Sequence).zip(&self.frames).map(move |(sequence, frame)| {
            let bytes = &self.bytes[start..frame.end as usize];
            start = frame.end as usize;
            (frame.slot, sequence, bytes)
        })
    }

    /// What `sent_bytes`, counted from frame `from`, amount to.
    #[must_use]
    pub fn progress(&self, from: usize, sent_bytes: usize) -> Progress {
        let reached = self.start(from) + sent_bytes;
        let whole_end = self.frames.partition_point(|frame| frame.end as usize <= reached);
        Progress { whole_count: whole_end - from, cut_bytes: reached - self.start(whole_end) }
    }

    /// Makes the block empty and keeps its room.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.bytes.clear();
    }

    fn start(&self, at: usize) -> usize {
        if at == 0 { 0 } else { self.frames[at - 1].end as usize }
    }
}

/// Sealed blocks that may be free again.
#[derive(Debug, Default)]
pub struct BlockPool {
    spare: Vec<Arc<Block>>,
    merging: Block,
}

impl BlockPool {
    /// Seals what was built: it is shared from now on, and `building` is empty again.
    pub fn seal(&mut self, building: &mut Block) -> Arc<Block> {
        let mut sealed = self.take();
        let block = Arc::get_mut(&mut sealed).expect("a spare block has one holder");
        std::mem::swap(block, building);
        building.clear();
        sealed
    }

    /// Joins blocks that follow each other into one.
    pub fn merge(&mut self, blocks: impl Iterator<Item = Arc<Block>>) -> Arc<Block> {
        let mut merging = std::mem::take(&mut self.merging);
        for block in blocks {
            if merging.is_empty() {
                merging.begin_after(Sequence(block.first.0 - 1));
            }
            merging.append(&block);
            self.give(block);
        }
        let merged = self.seal(&mut merging);
        self.merging = merging;
        merged
    }

    /// Takes a block back; it is used again if this was its last holder.
    pub fn give(&mut self, mut block: Arc<Block>) {
        if self.spare.len() < SPARE_BLOCKS_MAX
            && block.bytes.capacity() <= SPARE_BLOCK_BYTES_MAX
            && let Some(inner) = Arc::get_mut(&mut block)
        {
            inner.clear();
            self.spare.push(block);
        }
    }

    fn take(&mut self) -> Arc<Block> {
        self.spare.pop().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Block, BlockPool, Progress};
    use crate::id::{Sequence, SlotIndex};

    fn block(after: u64, frames: &[&[u8]]) -> Block {
        let mut block = Block::default();
        block.begin_after(Sequence(after));
        for (slot, frame) in (0..).zip(frames) {
            block.push(SlotIndex(slot), |out| out.extend_from_slice(frame));
        }
        block
    }

    #[test]
    fn progress_names_whole_frames_and_the_cut_one() {
        fn check(from: usize, sent_bytes: usize, expected: (usize, usize)) {
            let block = block(6, &[b"aaa", b"bb", b"cccc"]);
            let (whole_count, cut_bytes) = expected;
            let expected = Progress { whole_count, cut_bytes };
            assert_eq!(block.progress(from, sent_bytes), expected, "{from} {sent_bytes}");
        }
        check(0, 0, (0, 0));
        check(0, 2, (0, 2));
        check(0, 3, (1, 0));
        check(0, 4, (1, 1));
        check(0, 9, (3, 0));
        check(1, 1, (0, 1));
        check(1, 2, (1, 0));
        check(2, 3, (0, 3));
    }

    #[test]
    fn appended_blocks_are_one() {
        let mut whole = block(6, &[b"aaa", b"bb"]);
        whole.append(&block(8, &[b"c"]));
        assert_eq!((whole.first(), whole.last()), (Sequence(7), Sequence(9)));
        let frames: Vec<_> =
            whole.frames().map(|(slot, seq, bytes)| (slot.0, seq.0, bytes)).collect();
        assert_eq!(frames, [(0, 7, &b"aaa"[..]), (1, 8, b"bb"), (0, 9, b"c")]);
        assert_eq!(whole.bytes_from(2), b"c");
    }

    #[test]
    fn a_block_is_used_again_only_when_nobody_holds_it() {
        let mut pool = BlockPool::default();
        let first = pool.seal(&mut block(0, &[b"a"]));
        let held = first.clone();
        pool.give(first);
        let second = pool.seal(&mut block(1, &[b"b"]));
        assert_eq!((held.bytes(), second.bytes()), (&b"a"[..], &b"b"[..]));
        let address = std::sync::Arc::as_ptr(&second);
        pool.give(second);
        assert_eq!(std::sync::Arc::as_ptr(&pool.seal(&mut block(2, &[b"c"]))), address);
    }
}
