//! Every bound of the engine: what it costs, why it has this value, and how they fit together.
//!
//! A bound that an operator may change is the default of a setting of the same name; the others are
//! facts of the wire or of the design.

mod budget;

pub use budget::{BudgetLine, SLOT_FEED_BYTES, SLOT_OWNER_BYTES, VIEWER_IDLE_BYTES, memory_budget};

use crate::time::Rate;

// ---- Entries and payloads (decode.rs) ----

/// Longest `device_id`. An IMEI has 15 digits; the rest is room for other trackers' names. Each byte
/// may become six in a frame (`\u0001`), so this bounds [`FRAME_BYTES_MAX`].
pub const DEVICE_ID_BYTES_MAX: usize = 64;

/// Longest `payload`. A Teltonika packet is at most 1,280 bytes, and its JSON at most some 8 KiB;
/// eight times that leaves room for buffers written as lists of numbers.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// Most fields of one entry. The platform writes four; unknown ones are ignored and counted.
pub const ENTRY_FIELDS_MAX: usize = 64;

/// Deepest nesting of a payload. The deepest legal form is 4 (`attributes` → id → `data` → list).
pub const PAYLOAD_DEPTH_MAX: usize = 16;

/// Longest number in a payload, in bytes. The longest that `JSON.stringify` writes is 25.
pub const NUMBER_BYTES_MAX: usize = 64;

/// Largest exponent of a number in a payload, up or down. Doubles end at 308; `jsonb` keeps numbers
/// digit by digit, so each exponent costs its size in bytes of storage.
pub const NUMBER_EXPONENT_MAX: u32 = 400;

/// Oldest device time that is a time: 2000-01-01. Before it lie clocks that were never set.
pub const TIMESTAMP_MS_MIN: i64 = 946_684_800_000;

/// Newest device time that is a time: 2100-01-01. Beyond it lie broken clocks.
pub const TIMESTAMP_MS_MAX: i64 = 4_102_444_800_000;

/// Lowest and highest altitude kept, in metres: what the int16 of the wire can say. Others are
/// clamped and counted.
pub const ALTITUDE_MIN: f32 = -32_768.0;
/// See [`ALTITUDE_MIN`].
pub const ALTITUDE_MAX: f32 = 32_767.0;

/// Highest speed kept, in km/h: the uint16 of the wire. Others are clamped and counted.
pub const SPEED_MAX: f32 = 65_535.0;

/// Highest angle kept, in degrees. Others are clamped and counted.
pub const ANGLE_MAX: f32 = 360.0;

// ---- Live rules (slots.rs) ----

/// How far a device's clock may run ahead before its fix is kept out of the slots
/// (`LIVE_FUTURE_TOLERANCE_MS`). Without it one bad clock freezes a dot for ever.
pub const FUTURE_TOLERANCE_MS: i64 = 60_000;

// ---- Teltonika (teltonika.rs) ----

/// Fewest digits of an IMEI in the handshake: an IMEI proper.
pub const IMEI_DIGITS_MIN: usize = 15;

/// Most digits: an IMEISV (IMEI and software version), which some modems report in its place.
pub const IMEI_DIGITS_MAX: usize = 16;
const _: () = assert!(IMEI_DIGITS_MAX <= DEVICE_ID_BYTES_MAX);

/// Most records of one packet: the count is one byte.
pub const TELTONIKA_RECORDS_MAX: usize = 255;

/// Longest data field of a packet, codec to second count. Devices are specified to send at most
/// 1,280 bytes. Seven times that lets 255 records of codec 8 (30 bytes each without elements) and
/// of codec 16 (32) arrive; more would let one record outgrow [`PAYLOAD_BYTES_MAX`], see below.
pub const TELTONIKA_DATA_BYTES_MAX: usize = 9 * 1024;
const _: () = assert!(3 + TELTONIKA_RECORDS_MAX * 32 <= TELTONIKA_DATA_BYTES_MAX);

/// Longest packet: four zeros, the length, the data, the checksum. Also the most that one
/// connection buffers of a packet that arrives in pieces, until it is whole: 9 KiB, or 923 MB if all
/// of 100,000 devices (`INGEST_DEVICES_MAX`) stop in the middle of the longest packet; a real packet
/// costs a seventh of it, and a silent device nothing.
pub const TELTONIKA_PACKET_BYTES_MAX: usize = 8 + TELTONIKA_DATA_BYTES_MAX + 4;

/// What the elements of one record can fill: a packet of codec 8E less its counts and one fix.
const TELTONIKA_ELEMENT_BYTES_MAX: usize = TELTONIKA_DATA_BYTES_MAX - 3 - 38;

/// Most IO elements of one record: each has at least one byte and an id of two.
/// [`crate::teltonika::PayloadWriter`] keeps 12 bytes for each, and their text: 100 KiB at most,
/// once per process; 20 elements, a usual record, need 1 KiB.
pub const TELTONIKA_ELEMENTS_MAX: usize = TELTONIKA_ELEMENT_BYTES_MAX / 3;

// Per byte, an empty variable element costs the most payload: its four bytes become the 28 of
// `"65535":{"__buffer_b64":""},`. With the fixed fields, at most 320, even a record full of them
// is a payload which decode.rs accepts.
const _: () = assert!(TELTONIKA_ELEMENT_BYTES_MAX / 4 * 28 + 320 <= PAYLOAD_BYTES_MAX);

// ---- WebSocket and protocol (websocket.rs, protocol.rs) ----

/// Longest message from a viewer. A subscribe is 120 bytes; the rest is room for long ids and
/// spaces. Costs as much per viewer only while a message is split, see [`READER_HEAP_BYTES_MAX`].
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Most fragments of one message. Bounds the cost of a flood of tiny or empty fragments, which would
/// never reach [`MESSAGE_BYTES_MAX`]; browsers send one.
pub const MESSAGE_FRAGMENTS_MAX: u32 = 16;

/// Most memory a viewer's reader holds beside itself: a message and the bookkeeping of its pieces.
/// 450 MB if all of 100,000 viewers stop in the middle of the longest message; 0 while none does.
pub const READER_HEAP_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 384;

/// Deepest nesting of a message from a viewer. A legal one has depth 1; deeper ones are read only to
/// echo the `id` of a message that is refused anyway. Costs as many stack frames.
pub const MESSAGE_DEPTH_MAX: usize = 8;

/// Longest `topic` a request may carry, as text after unescaping; `event:<uuid>` is 42 bytes. It is
/// held inline and echoed, up to six times as long, in an error.
pub const TOPIC_BYTES_MAX: usize = 64;

/// Longest `id` a request may carry, as text after unescaping. It is held inline while a subscribe
/// waits for its authorization, and echoed, up to six times as long, in the reply.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// Longest payload of a WebSocket control frame (RFC 6455, 5.5).
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;

// ---- Roster (roster.rs) ----

/// Most devices with a registration, those of past rosters included until their place is needed.
/// About 100 bytes each per roster, and two rosters exist during a swap.
pub const DEVICES_MAX: usize = 131_072;

/// Most events with devices.
pub const EVENTS_MAX: usize = 16_384;

/// Most slots of one event. A slot costs [`SLOT_OWNER_BYTES`] on the owning shard and
/// [`SLOT_FEED_BYTES`] on each shard with viewers.
pub const EVENT_SLOTS_MAX: usize = 65_536;

/// Most slots of all events together, those of past rosters included: a device in two events has two.
pub const SLOTS_MAX: usize = 262_144;

// ---- Frames, blocks, feeds (frame.rs, block.rs, feed.rs) ----

/// Longest frame: head, escaped device id, four numbers, one integer. Asserted in frame.rs.
pub const FRAME_BYTES_MAX: usize = 768;

/// The frame of a 15-digit IMEI with 7 decimals is 186 bytes or less; what tables are planned with.
/// A longer one makes an event's table of frames grow once, in the middle of a round.
pub const FRAME_BYTES_TYPICAL: usize = 192;

/// Blocks that a shard keeps to use again, and the largest it keeps: 16 MiB at most.
pub const SPARE_BLOCKS_MAX: usize = 64;
/// See [`SPARE_BLOCKS_MAX`].
pub const SPARE_BLOCK_BYTES_MAX: usize = 256 * 1024;

/// A block that reaches this is sealed at once and another begun. 1 MiB is 6,000 frames: five times
/// what the busiest planned event gathers in one flush.
pub const BLOCK_BYTES_MAX: usize = 1024 * 1024;

/// How many bytes of past blocks a feed keeps for viewers that lag. Larger costs memory per event
/// and shard and shows a lagging viewer older film; smaller conflates a viewer for a hiccup.
pub const FEED_WINDOW_BYTES_MAX: usize = 256 * 1024;

/// Bytes of updates that wait in a feed for the next round. A longer round does not wait for its end
/// to take more in; its viewers then get two blocks instead of one.
pub const FEED_PENDING_BYTES_MAX: usize = 1024 * 1024;

/// How old a block of the window may grow, the two newest excepted, which stay until others come. A
/// viewer further behind is conflated: fresh beats complete.
pub const FEED_WINDOW_AGE_MS: u64 = 1000;

/// Most events that one shard serves to viewers at a time. Each may keep a whole window.
pub const FEEDS_MAX: usize = 4_096;

/// How long a feed without viewers is kept, so that one who reconnects finds it warm.
pub const FEED_LINGER_MS: u64 = 30_000;

/// Bytes of snapshots that one shard keeps alive: the newest of each feed, and older ones for viewers
/// still downloading them. Beyond it, newcomers share the newest one of their feed and catch up from
/// its sequence; who cannot waits, see [`HELD_MS_MAX`].
pub const SNAPSHOT_BYTES_MAX: usize = 64 * 1024 * 1024;

// ---- Viewers and fan-out (ring.rs, viewer.rs, fanout.rs, shard.rs) ----

/// Most viewers of the process. A shard refuses more; the listener keeps the sum.
pub const VIEWERS_MAX: usize = 100_000;

/// Most topics of one viewer.
pub const TOPICS_MAX: usize = 32;

/// Most requests of one viewer that wait for an answer from outside: a burst, and what the message
/// rate allows in the 5 s that an answer may take, with some room.
pub const REQUESTS_WAITING_MAX: usize = 128;

/// Replies that may wait for a viewer who does not read. At this many pitwall stops reading from it;
/// what was already read, at most a burst of messages, is still answered.
pub const REPLIES_WAITING_MAX: usize = 16;

/// Longest reply but for a snapshot: an error that echoes a topic and an id, every byte escaped.
pub const REPLY_BYTES_MAX: usize = 1024;

/// A conflated viewer's picture of an event is kept for this many ranges of slots: 8 bytes each
/// while it catches up. More makes it finer: a device that moves while its range is being sent is
/// left to the next lap.
pub const LAP_RANGES: usize = 64;

/// Bytes gathered for a conflated viewer at a time. What the kernel takes from a slow viewer at once
/// is less.
pub const LAP_CHUNK_BYTES: usize = 32 * 1024;

/// When a send ends inside a range, the rest of the range is kept for the viewer if it is no longer
/// than this, so that a range is one moment. 2 KiB are the 12 frames of a range of a 768-device event.
pub const LAP_REST_BYTES_MAX: usize = 2 * 1024;

/// Sends for one viewer before the next has its turn.
pub const TURN_SENDS_MAX: u32 = 4;

/// Sends of a round between two such turns, so that a crowd that downloads snapshots or catches up
/// does not keep the news from those who are up to date, nor the reverse.
pub const ROUND_SENDS_PER_TURN: u32 = 16;

/// Rooms of past tails that a shard keeps to use again: 200 bytes each, 2 KiB at most.
pub const SPARE_TAILS_MAX: usize = 4_096;

/// How long a viewer may leave a reply unread without taking a byte. Replies are never dropped and a
/// snapshot among them is memory, so whoever does not want them is cut. A stream may stand still.
pub const REPLY_STALL_MS: u64 = 30_000;

/// How long a subscribe may wait for the decision whether it is allowed. Clients wait 5 s for the reply
/// in all; this is the larger part, since Directus is slower than we are.
pub const ANSWER_MS_MAX: u64 = 3_500;

/// How long an allowed subscribe may wait for the owner's picture, which takes microseconds, or for
/// memory, which is there as soon as others have their snapshots.
pub const HELD_MS_MAX: u64 = 1_200;

/// A snapshot up to this size is copied behind its private part: one send instead of two.
pub const SNAPSHOT_COPY_BYTES_MAX: usize = 4 * 1024;

/// Upper bound of the rest between two rounds (`LIVE_FLUSH_MAX_MS`).
pub const FLUSH_MAX_MS: u64 = 20;

/// How often a viewer is pinged (`LIVE_WS_PING_INTERVAL_MS`), and how long its answer may take.
pub const PING_INTERVAL_MS: u64 = 30_000;

/// How long a viewer with a topic may be without a message before one is repeated. Clients give up
/// at 60 s; a visit comes every [`SWEEP_MS`].
pub const SILENCE_MS: u64 = 45_000;

/// Every viewer is looked at this often, for pings, silence and deadlines.
pub const SWEEP_MS: u64 = 5_000;

/// How often the sweep goes on by a few viewers: what an idle shard wakes up for.
pub const SWEEP_STEP_MS: u64 = 100;

/// Round trips that wait to be read off after a turn; further ones are not measured. 8 KiB a shard.
pub const ROUND_TRIPS_MAX: usize = 1_024;

/// How long the other side may take to answer a close before the connection is cut.
pub const CLOSE_WAIT_MS: u64 = 5_000;

/// Violations in a row after which a viewer is closed.
pub const VIOLATIONS_MAX: u8 = 10;

/// Messages of one viewer: a second, and at once.
pub const MESSAGE_RATE: Rate = Rate { per_second: 10, burst: 50 };

/// Subscribes of one viewer.
pub const SUBSCRIBE_RATE: Rate = Rate { per_second: 5, burst: 20 };

/// Pings from one viewer; above it the viewer is closed.
pub const PING_RATE: Rate = Rate { per_second: 5, burst: 20 };

const _: () = {
    assert!(SILENCE_MS + SWEEP_MS < 60_000, "clients reconnect after 60 s without a message");
    assert!(PING_INTERVAL_MS.is_multiple_of(SWEEP_MS), "a visit finds the ping just due");
    assert!(
        ANSWER_MS_MAX + HELD_MS_MAX + SWEEP_STEP_MS < 5_000,
        "clients wait 5 s for the reply to a subscribe"
    );
    assert!(EVENT_SLOTS_MAX <= SLOTS_MAX && DEVICES_MAX <= SLOTS_MAX);
    assert!(6 * (TOPIC_BYTES_MAX + REQUEST_ID_BYTES_MAX) + 256 <= REPLY_BYTES_MAX);
    let legal = MESSAGE_RATE.burst + 5 * MESSAGE_RATE.per_second;
    assert!(legal as usize <= REQUESTS_WAITING_MAX, "what is legal can wait");
    assert!(FRAME_BYTES_MAX < 65_536 && FRAME_BYTES_TYPICAL < FRAME_BYTES_MAX);
};

// ---- Rows and COPY (rows.rs, copy.rs) ----

/// Most rows of one batch (ceiling of `WRITE_BATCH_SIZE`). The database's cost per row stops falling
/// at about 1,000 rows; ten times that lets a backlog drain without a round trip per thousand. It
/// is also what an interrupted write has to repeat. Costs 76 bytes per row: 760 KB per batch.
pub const BATCH_ROWS_MAX: usize = 10_000;

/// Most bytes of text in one batch: device ids and attributes. Real rows carry about 200 bytes, so
/// the rows run out first; this bounds a batch of the largest legal payloads.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
const _: () = assert!(DEVICE_ID_BYTES_MAX + PAYLOAD_BYTES_MAX <= BATCH_BYTES_MAX, "any row fits");
const _: () = assert!(BATCH_BYTES_MAX <= u32::MAX as usize, "places in the text are u32");
const _: () = assert!(DEVICE_ID_BYTES_MAX <= u8::MAX as usize, "lengths of device ids are u8");

/// Most devices whose newest written timestamp is remembered: what a hash table of 131,072 places
/// takes at seven eighths. Devices beyond it are written the careful way, which costs the database
/// half as much again per row. About 80 bytes each for an IMEI: 9 MB when full, 15 MB with the
/// longest ids.
pub const WRITTEN_DEVICES_MAX: usize = 128 * 1024 / 8 * 7;

/// A piece of COPY data is handed over when it has grown to this size; one more row may hang over.
/// Smaller pieces cost the client a message and a wake-up each; larger ones only memory.
pub const COPY_PIECE_BYTES: usize = 64 * 1024;
