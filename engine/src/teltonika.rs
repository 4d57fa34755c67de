//! Teltonika over TCP: what the devices themselves say, and how they want to be answered.
//!
//! [`Stream`] takes the bytes of one connection in pieces of any size and gives back a
//! [`Hello`](Incoming::Hello), then [`Packet`]s of [`Record`]s in codec 8, 8E or 16. What is
//! malformed comes out as a [`Malformed`] that says what was wrong and, as a [`Reaction`], what to
//! do about it. [`PayloadWriter`] turns a record into the payload of a stream entry;
//! [`encode_packet`] goes the other way, from records to bytes.
//!
//! Nothing here answers a device: it may be answered only when its records are safe, and only the
//! caller knows when they are.
//!
//! Two things the wire says twice are treated differently. The number of records frames the packet
//! and must agree with its repetition. The total of IO elements repeats what the groups say each for
//! themselves; it is not compared, because a record that is otherwise whole is worth more.

mod crc;
mod decode;
mod encode;
mod malformed;
mod payload;
mod record;
mod stream;
mod timestamp;

pub use crc::crc16;
pub use decode::{Packet, Records};
pub use encode::{EncodeError, OutgoingRecord, encode_hello, encode_packet};
pub use malformed::{Malformed, Reaction, RecordPart};
pub use payload::{PayloadWriter, append_decimal};
pub use record::{Element, Elements, Fix, Record, Value};
pub use stream::{HELLO_ACCEPTED, HELLO_REFUSED, Imei, Incoming, Stream};
pub use timestamp::write_timestamp;

use crate::position::Codec;

/// The byte that names a codec on the wire.
#[must_use]
pub const fn codec_byte(codec: Codec) -> u8 {
    match codec {
        Codec::Codec8 => 0x08,
        Codec::Codec8Extended => 0x8E,
        Codec::Codec16 => 0x10,
    }
}

/// The codec a byte names. Others exist (12 to 15 carry commands), but none of them positions.
#[must_use]
pub const fn codec_of_byte(byte: u8) -> Option<Codec> {
    match byte {
        0x08 => Some(Codec::Codec8),
        0x8E => Some(Codec::Codec8Extended),
        0x10 => Some(Codec::Codec16),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
