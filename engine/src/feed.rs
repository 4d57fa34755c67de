//! An event's stream on one shard that serves viewers of it: a short window of shared blocks, the
//! newest frame of each slot, and the viewers' places.
//!
//! Updates that arrive during a round wait and become one block when the next begins: rounds
//! lengthen under load, and the cost per frame falls.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::block::{Block, BlockPool};
use crate::board::Board;
use crate::event::{Baseline, FeedUpdate};
use crate::id::{EventId, Sequence, SlotIndex, ViewerId};
use crate::limits::{FEED_WINDOW_AGE_MS, FEED_WINDOW_BYTES_MAX};

/// The serving side of one event.
#[derive(Debug)]
pub struct Feed {
    /// The event.
    pub event: EventId,
    /// False until the owner's baseline has come.
    pub is_live: bool,
    /// Everyone who streams, in no order.
    pub subscribers: Vec<Subscriber>,
    /// When a round last sent the newest block to somebody who then had everything.
    pub sent_ms: u64,
    /// When the last viewer left, or the feed was made.
    pub idle_since_ms: u64,
    /// It is in the shard's list of those that the next round visits.
    pub is_dirty: bool,
    board: Board,
    window: VecDeque<Kept>,
    window_bytes: usize,
    pending: Vec<FeedUpdate>,
    pending_bytes: usize,
    /// Empty; its room is used again by every round.
    arrived: Vec<Arc<Block>>,
    /// Sequence of the newest frame that viewers may get.
    last: Sequence,
    /// Counts changes of what a snapshot shows.
    revision: u64,
    /// The revision of the newest amendment: an older snapshot shows what was withdrawn.
    amended_revision: u64,
    snapshot: Option<(u64, Arc<Snapshot>)>,
    /// The slot of the newest frame, unless it was amended.
    newest: Option<SlotIndex>,
}

/// One viewer's place in a feed.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber {
    /// Place in the shard's table of viewers.
    pub viewer: u32,
    /// How often that place was given away before.
    pub generation: u32,
    /// Place in the viewer's list of topics.
    pub topic: u32,
    /// Everything up to it was sent or passed over.
    pub cursor: Sequence,
    /// Place in the shard's table of laps, or [`NO_LAPS`].
    pub laps: u32,
}

/// The subscriber is inside the window.
pub const NO_LAPS: u32 = u32::MAX;

const _: () = assert!(size_of::<Subscriber>() == 24);

impl Subscriber {
    /// Who it is.
    #[must_use]
    pub const fn id(&self) -> ViewerId {
        ViewerId { index: self.viewer, generation: self.generation }
    }
}

/// The shared part of every `subscribed` at one sequence: `[…]}`.
#[derive(Debug)]
pub struct Snapshot {
    /// What the picture contains.
    pub last: Sequence,
    /// The bytes.
    pub tail: Vec<u8>,
}

#[derive(Debug)]
struct Kept {
    block: Arc<Block>,
    since_ms: u64,
}

/// Where a cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// There is nothing newer.
    UpToDate,
    /// The next frame is frame `frame` of block `block` of the window.
    Inside {
        /// Place of the block.
        block: usize,
        /// Place of the frame in it.
        frame: usize,
    },
    /// The next frame has left the window.
    FellOut,
}

impl Feed {
    /// A feed that waits for its baseline.
    #[must_use]
    pub fn new(event: EventId, now_ms: u64) -> Self {
        Self {
            event,
            is_live: false,
            subscribers: Vec::new(),
            sent_ms: 0,
            idle_since_ms: now_ms,
            is_dirty: false,
            board: Board::default(),
            window: VecDeque::new(),
            window_bytes: 0,
            pending: Vec::new(),
            pending_bytes: 0,
            arrived: Vec::new(),
            last: Sequence(0),
            revision: 0,
            amended_revision: 0,
            snapshot: None,
            newest: None,
        }
    }

    /// Begins with the owner's picture.
    pub fn handle_baseline(&mut self, baseline: &Baseline) {
        assert!(!self.is_live, "one baseline for a join");
        for (slot, _, frame) in baseline.frames.frames() {
            self.board.set(slot, baseline.last, frame);
            self.newest = Some(slot);
        }
        for &slot in &baseline.fallbacks {
            self.board.withhold(slot);
            self.forget_newest(slot);
        }
        self.last = baseline.last;
        self.is_live = true;
    }

    /// Keeps an update for the next round. An update from before the baseline is not for us.
    pub fn handle_update(&mut self, update: FeedUpdate) {
        if self.is_live {
            self.pending_bytes += update.bytes();
            self.pending.push(update);
        }
    }

    /// True when there is something to integrate.
    #[must_use]
    pub const fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Bytes that wait for the next round.
    #[must_use]
    pub const fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Makes what waited visible, as one block. Says how many frames each subscriber is due.
    pub fn integrate(&mut self, pool: &mut BlockPool, now_ms: u64) -> u64 {
        let before = self.last;
        let mut blocks = std::mem::take(&mut self.arrived);
        let mut pending = std::mem::take(&mut self.pending);
        for update in pending.drain(..) {
            self.revision += 1;
            match update {
                FeedUpdate::Block(block) => {
                    self.show(&block);
                    blocks.push(block);
                }
                FeedUpdate::Amend(amendments) => {
                    self.amended_revision = self.revision;
                    for amendment in amendments.iter() {
                        self.amend(amendment.slot, amendment.frame.as_deref());
                    }
                }
            }
        }
        let block = match blocks.len() {
            0 | 1 => blocks.pop(),
            _ => Some(pool.merge(blocks.drain(..))),
        };
        if let Some(block) = block {
            self.keep(block, pool, now_ms);
        }
        (self.arrived, self.pending, self.pending_bytes) = (blocks, pending, 0);
        self.last.0 - before.0
    }

    /// Sequence of the newest frame that viewers may get.
    #[must_use]
    pub const fn last(&self) -> Sequence {
        self.last
    }

    /// The newest frames by slot.
    #[must_use]
    pub const fn board(&self) -> &Board {
        &self.board
    }

    /// The newest block, if its frames are the next for a viewer at `cursor`.
    #[must_use]
    pub fn newest_block_after(&self, cursor: Sequence) -> Option<&Arc<Block>> {
        self.window.back().map(|kept| &kept.block).filter(|b| b.first().0 == cursor.0 + 1)
    }

    /// Where a cursor stands.
    #[must_use]
    pub fn place(&self, cursor: Sequence) -> Place {
        if cursor >= self.last {
            return Place::UpToDate;
        }
        let at = self.window.partition_point(|kept| kept.block.last() <= cursor);
        match self.window.get(at) {
            Some(kept) if kept.block.first().0 <= cursor.0 + 1 => {
                let frame = cursor.0 + 1 - kept.block.first().0;
                let frame = usize::try_from(frame).expect("a place in a block");
                Place::Inside { block: at, frame }
            }
            _ => Place::FellOut,
        }
    }

    /// A block of the window.
    #[must_use]
    pub fn block(&self, at: usize) -> &Arc<Block> {
        &self.window[at].block
    }

    /// Place of the newest block.
    #[must_use]
    pub fn newest_block(&self) -> usize {
        self.window.len() - 1
    }

    /// The snapshot of this moment: joined once, shared by everyone who subscribes meanwhile.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        match &self.snapshot {
            Some((revision, snapshot)) if *revision == self.revision => snapshot.clone(),
            _ => {
                let mut tail = Vec::new();
                self.board.write_snapshot(&mut tail);
                let snapshot = Arc::new(Snapshot { last: self.last, tail });
                self.snapshot = Some((self.revision, snapshot.clone()));
                snapshot
            }
        }
    }

    /// The newest snapshot that was joined, unless it shows what was withdrawn since.
    #[must_use]
    pub fn past_snapshot(&self) -> Option<&Arc<Snapshot>> {
        let is_good = |(revision, _): &&(u64, _)| *revision >= self.amended_revision;
        self.snapshot.as_ref().filter(is_good).map(|(_, snapshot)| snapshot)
    }

    /// True when a snapshot of this moment exists.
    #[must_use]
    pub fn has_fresh_snapshot(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|(revision, _)| *revision == self.revision)
    }

    /// A frame to repeat when the event is quiet: the newest, or any other that may be streamed.
    #[must_use]
    pub fn repeatable(&self) -> Option<&[u8]> {
        let newest = self.newest.or_else(|| {
            let sequences = self.board.sequences();
            let at = sequences.iter().position(|sequence| sequence.0 > 0)?;
            u32::try_from(at).ok().map(SlotIndex)
        });
        newest.map(|slot| self.board.frame(slot)).filter(|frame| !frame.is_empty())
    }

    /// Bytes this feed holds on the heap, its snapshot and subscribers included.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let snapshot_bytes = self.snapshot.as_ref().map_or(0, |(_, s)| s.tail.capacity());
        let places_bytes = self.subscribers.capacity() * size_of::<Subscriber>();
        self.board.heap_bytes()
            + self.window_bytes
            + self.pending_bytes
            + snapshot_bytes
            + places_bytes
    }

    fn show(&mut self, block: &Block) {
        for (slot, sequence, frame) in block.frames() {
            self.board.set(slot, sequence, frame);
            self.newest = Some(slot);
        }
    }

    fn keep(&mut self, block: Arc<Block>, pool: &mut BlockPool, now_ms: u64) {
        assert_eq!(block.first().0, self.last.0 + 1, "a feed has no gaps");
        self.last = block.last();
        self.window_bytes += block.bytes().len();
        self.window.push_back(Kept { block, since_ms: now_ms });
        self.forget_old(pool, now_ms);
    }

    /// Lets blocks go that are too old or too many.
    pub fn forget_old(&mut self, pool: &mut BlockPool, now_ms: u64) {
        // The two newest stay whatever they weigh, so that a hiccup alone conflates nobody.
        while self.window.len() > 2 {
            let oldest = &self.window[0];
            let is_young = now_ms.saturating_sub(oldest.since_ms) <= FEED_WINDOW_AGE_MS;
            if is_young && self.window_bytes <= FEED_WINDOW_BYTES_MAX {
                break;
            }
            let oldest = self.window.pop_front().expect("more than two");
            self.window_bytes -= oldest.block.bytes().len();
            pool.give(oldest.block);
        }
    }

    fn amend(&mut self, slot: SlotIndex, frame: Option<&[u8]>) {
        match frame {
            Some(frame) => self.board.set(slot, Sequence(0), frame),
            None => self.board.clear(slot),
        }
        self.forget_newest(slot);
    }

    fn forget_newest(&mut self, slot: SlotIndex) {
        if self.newest == Some(slot) {
            self.newest = None;
        }
    }
}
