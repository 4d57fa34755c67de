//! The memory of a full server, as a sum that can be added up by hand.
//!
//! Every line is a count times a cost, both named limits or sizes. The first part is what a full
//! server needs on a good day; the second what hostile or stalled viewers can add at worst.

use super::{
    BATCH_BYTES_MAX, BATCH_ROWS_MAX, BLOCK_BYTES_MAX, COPY_PIECE_BYTES, DEVICE_ID_BYTES_MAX,
    DEVICES_MAX, EVENTS_MAX, FEED_PENDING_BYTES_MAX, FEED_WINDOW_BYTES_MAX, FEEDS_MAX,
    FRAME_BYTES_MAX, FRAME_BYTES_TYPICAL, LAP_CHUNK_BYTES, LAP_REST_BYTES_MAX, MESSAGE_RATE,
    READER_HEAP_BYTES_MAX, REPLIES_WAITING_MAX, REPLY_BYTES_MAX, REQUESTS_WAITING_MAX, SLOTS_MAX,
    SNAPSHOT_BYTES_MAX, SPARE_BLOCK_BYTES_MAX, SPARE_BLOCKS_MAX, SPARE_TAILS_MAX, TOPICS_MAX,
    VIEWERS_MAX, WRITTEN_DEVICES_MAX,
};
use crate::feed::Subscriber;
use crate::position::Position;
use crate::ring::Laps;
use crate::roster::Seat;
use crate::rows::ROW_BYTES;
use crate::viewer::{Topic, Viewer, Waiting};

/// One line of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLine {
    /// What it is for.
    pub what: &'static str,
    /// How many there may be.
    pub count: usize,
    /// What one costs, in bytes of user space.
    pub bytes_each: usize,
    /// True when only viewers who stall or mean harm bring it about.
    pub is_worst_case: bool,
}

impl BudgetLine {
    /// Count times cost.
    #[must_use]
    pub const fn total_bytes(&self) -> usize {
        self.count * self.bytes_each
    }
}

/// What an idle viewer with one topic costs in user space: its place in the table, its list of
/// topics (room for four), its place in the feed.
pub const VIEWER_IDLE_BYTES: usize =
    size_of::<Viewer>() + 8 + 4 * size_of::<Topic>() + size_of::<Subscriber>() + size_of::<u32>();

const _: () = assert!(VIEWER_IDLE_BYTES <= 512, "the goal for an idle viewer, driver not counted");

/// What a slot costs on the shard that owns its event: newest fix, high-water mark, escaped name.
pub const SLOT_OWNER_BYTES: usize = size_of::<Option<Position>>() + 8 + 15 + 4 + 1;

/// What a slot costs on every shard with viewers of its event: frame, length, sequence.
pub const SLOT_FEED_BYTES: usize = FRAME_BYTES_TYPICAL + 2 + 8;

/// What a device costs in one roster: its name behind an `Arc`, twice referred to, and its seats.
const ROSTER_DEVICE_BYTES: usize = 32 + 24 + 24 + 4 + 2 * size_of::<Seat>();

/// What an event costs in one roster, its slots not counted.
const ROSTER_EVENT_BYTES: usize = 48 + 24;

/// What a slot costs in one roster.
const ROSTER_SLOT_BYTES: usize = 16;

/// A reply waits as its bytes and their place in the queue.
const REPLY_PLACE_BYTES: usize = 40;

/// What a slot costs more when its device id is as long as it may be, and every byte escaped.
const LONG_SLOT_BYTES: usize = FRAME_BYTES_MAX - FRAME_BYTES_TYPICAL + 6 * DEVICE_ID_BYTES_MAX;

/// What a topic costs a viewer: its place in the list, and in the feed.
const TOPIC_BYTES: usize = size_of::<Topic>() + size_of::<Subscriber>();

/// A request that waits, or the finished error behind it.
const WAITING_BYTES: usize = size_of::<Waiting>() + REPLY_BYTES_MAX;

/// What a device costs in the table of written rows: its id on the heap, its place at seven eighths.
const WRITTEN_DEVICE_BYTES: usize = 80;

/// The memory of a server of `shard_count` shards and one writer with every limit reached. What the
/// drivers hold, sockets and mailboxes, comes on top.
#[must_use]
pub const fn memory_budget(shard_count: usize) -> [BudgetLine; 21] {
    let (viewers, feeds) = (VIEWERS_MAX, shard_count * FEEDS_MAX);
    let replies = REPLIES_WAITING_MAX + MESSAGE_RATE.burst as usize;
    let catching_up = size_of::<Laps>() + 8 + LAP_REST_BYTES_MAX / TOPICS_MAX;
    let spare_bytes =
        SPARE_BLOCKS_MAX * SPARE_BLOCK_BYTES_MAX + SPARE_TAILS_MAX * LAP_REST_BYTES_MAX;
    [
        need("viewers, idle, one topic each", viewers, VIEWER_IDLE_BYTES),
        need(
            "devices in the roster, two rosters during a swap",
            2 * DEVICES_MAX,
            ROSTER_DEVICE_BYTES,
        ),
        need("events in the roster, two rosters during a swap", 2 * EVENTS_MAX, ROSTER_EVENT_BYTES),
        need("slots in the roster, two rosters during a swap", 2 * SLOTS_MAX, ROSTER_SLOT_BYTES),
        need("slots with their owner", SLOTS_MAX, SLOT_OWNER_BYTES),
        need("slots with each shard that serves them", shard_count * SLOTS_MAX, SLOT_FEED_BYTES),
        need("windows of past blocks, per shard and feed", feeds, FEED_WINDOW_BYTES_MAX),
        need("a block being built, one being joined, per shard", 2 * shard_count, BLOCK_BYTES_MAX),
        need("spare blocks and tails, per shard", shard_count, spare_bytes),
        need("snapshots being downloaded, per shard", shard_count, SNAPSHOT_BYTES_MAX),
        need("the chunk of a lap, per shard", shard_count, LAP_CHUNK_BYTES + LAP_REST_BYTES_MAX),
        need("rows of a batch, per writer", 1, BATCH_ROWS_MAX * ROW_BYTES),
        need(
            "texts of a batch and a piece of COPY, per writer",
            1,
            BATCH_BYTES_MAX + COPY_PIECE_BYTES,
        ),
        need(
            "devices whose newest row is remembered, per writer",
            WRITTEN_DEVICES_MAX,
            WRITTEN_DEVICE_BYTES,
        ),
        worst(
            "names and frames at their longest, per shard and slot",
            shard_count * SLOTS_MAX,
            LONG_SLOT_BYTES,
        ),
        worst("the two newest blocks of a flood, per shard and feed", feeds, 2 * BLOCK_BYTES_MAX),
        worst(
            "updates that wait for a long round, per shard and feed",
            feeds,
            FEED_PENDING_BYTES_MAX,
        ),
        worst(
            "every topic of every viewer catching up",
            viewers * TOPICS_MAX,
            TOPIC_BYTES + catching_up,
        ),
        worst("messages cut by a stall", viewers, READER_HEAP_BYTES_MAX),
        worst("requests that wait for an answer", viewers * REQUESTS_WAITING_MAX, WAITING_BYTES),
        worst("replies nobody reads", viewers * replies, REPLY_BYTES_MAX + REPLY_PLACE_BYTES),
    ]
}

const fn need(what: &'static str, count: usize, bytes_each: usize) -> BudgetLine {
    BudgetLine { what, count, bytes_each, is_worst_case: false }
}

const fn worst(what: &'static str, count: usize, bytes_each: usize) -> BudgetLine {
    BudgetLine { what, count, bytes_each, is_worst_case: true }
}
