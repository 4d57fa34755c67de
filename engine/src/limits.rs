//! Every bound of the engine: what it costs, why it has this value, and how they fit together.
//!
//! A bound that an operator may change is the default of a setting of the same name; the others are
//! facts of the wire or of the design.

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
/// 1,280 bytes; this is what 255 records of codec 8E need when they carry no element, 38 bytes
/// each, so that every legal count can arrive.
pub const TELTONIKA_DATA_BYTES_MAX: usize = 3 + TELTONIKA_RECORDS_MAX * 38;

/// Longest packet: four zeros, the length, the data, the checksum. Also the most that one
/// connection buffers of a packet that arrives in pieces: 10 KiB, or 100 MB for 10,000 devices
/// that all misbehave at once; a real packet costs an eighth of it.
pub const TELTONIKA_PACKET_BYTES_MAX: usize = 8 + TELTONIKA_DATA_BYTES_MAX + 4;

/// Most IO elements of one record: what fits into one packet when each is an empty variable one,
/// four bytes. [`crate::teltonika::PayloadWriter`] keeps their text and 12 bytes for each: 96 KiB,
/// once per process; 20 elements, a usual record, need 1 KiB.
pub const TELTONIKA_ELEMENTS_MAX: usize = (TELTONIKA_DATA_BYTES_MAX - 3 - 38) / 4;

// Such an element costs the most payload per byte: `"65535":{"__buffer_b64":""},` is 27. With the
// fixed fields, at most 320, even that record is a payload which decode.rs accepts.
const _: () = assert!(TELTONIKA_ELEMENTS_MAX * 27 + 320 <= PAYLOAD_BYTES_MAX);

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
