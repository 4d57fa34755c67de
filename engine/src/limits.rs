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
/// connection buffers of a packet that arrives in pieces: 9 KiB, or 92 MB for 10,000 devices that
/// all misbehave at once; a real packet costs a seventh of it.
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

/// Longest message from a viewer. A subscribe is 120 bytes.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Most fragments of one message. Bounds the cost of a flood of tiny fragments.
pub const MESSAGE_FRAGMENTS_MAX: u32 = 16;

/// Deepest nesting of a message from a viewer.
pub const MESSAGE_DEPTH_MAX: usize = 8;

/// Longest `topic` a request may carry; `event:<uuid>` is 42 bytes.
pub const TOPIC_BYTES_MAX: usize = 64;

/// Longest `id` a request may carry, as text after unescaping; it is echoed in the reply.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// Longest payload of a WebSocket control frame (RFC 6455, 5.5).
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;
