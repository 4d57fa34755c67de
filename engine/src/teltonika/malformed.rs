//! Every way in which a device's bytes can be wrong, and what each of them deserves.

use std::fmt;

/// What a packet deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Once the records are safe, send their number as four big-endian bytes. Not before, and not
    /// at all while they cannot be made safe: the device keeps them and sends them again.
    Answer(u32),
    /// Send nothing and read on: the device sends the packet again.
    Silent,
    /// Close the connection: what follows cannot be understood, or would never be otherwise.
    Close,
}

/// Why bytes are neither a handshake nor a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The handshake announces an IMEI of an impossible length.
    ImeiLength(u16),
    /// The handshake's IMEI holds something else than digits.
    ImeiDigits,
    /// A packet does not begin with four zero bytes.
    Preamble,
    /// The length leaves no room for a codec and two counts.
    LengthTooShort,
    /// The length is over [`crate::limits::TELTONIKA_DATA_BYTES_MAX`].
    LengthTooLong(u32),
    /// The checksum is not that of the data.
    Checksum,
    /// The codec is none of 8, 8E, 16.
    Codec(u8),
    /// The count of records and its repetition differ.
    CountsUnequal,
    /// The count of records is zero.
    NoRecords,
    /// The data end inside a record.
    RecordCutShort {
        /// Which record, counted from 1.
        number: u8,
        /// How far it could be read.
        part: RecordPart,
    },
    /// The data go on behind the last record.
    DataLeftOver,
}

/// The part of a record for which the data do not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordPart {
    /// Timestamp to the total of IO elements.
    Fix,
    /// The elements of one byte.
    Elements1,
    /// The elements of two bytes.
    Elements2,
    /// The elements of four bytes.
    Elements4,
    /// The elements of eight bytes.
    Elements8,
    /// The elements of variable length.
    VariableElements,
}

impl RecordPart {
    /// The groups of fixed size, in the order of the wire.
    pub(super) const GROUPS: [Self; 4] =
        [Self::Elements1, Self::Elements2, Self::Elements4, Self::Elements8];
}

impl Malformed {
    /// What to do about it.
    ///
    /// Only what another transmission can heal is passed over in silence. A packet that is wrong
    /// although its checksum is right was meant so, and would come again for ever.
    #[must_use]
    pub const fn reaction(self) -> Reaction {
        match self {
            Self::Checksum | Self::CountsUnequal => Reaction::Silent,
            Self::ImeiLength(_)
            | Self::ImeiDigits
            | Self::Preamble
            | Self::LengthTooShort
            | Self::LengthTooLong(_)
            | Self::Codec(_)
            | Self::NoRecords
            | Self::RecordCutShort { .. }
            | Self::DataLeftOver => Reaction::Close,
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ImeiLength(length) => write!(out, "an IMEI cannot have {length} digits"),
            Self::ImeiDigits => out.write_str("the IMEI holds something else than digits"),
            Self::Preamble => out.write_str("the packet does not begin with four zero bytes"),
            Self::LengthTooShort => out.write_str("the length has no room for a codec and counts"),
            Self::LengthTooLong(length) => write!(out, "a length of {length} is over the bound"),
            Self::Checksum => out.write_str("the checksum is not that of the data"),
            Self::Codec(byte) => write!(out, "the codec {byte:#04x} is unknown"),
            Self::CountsUnequal => out.write_str("the two counts of records differ"),
            Self::NoRecords => out.write_str("the count of records is zero"),
            Self::RecordCutShort { number, part } => {
                write!(out, "the data end in {} of record {number}", part.text())
            }
            Self::DataLeftOver => out.write_str("the data go on behind the last record"),
        }
    }
}

impl std::error::Error for Malformed {}

impl RecordPart {
    const fn text(self) -> &'static str {
        match self {
            Self::Fix => "the fix",
            Self::Elements1 => "the elements of one byte",
            Self::Elements2 => "the elements of two bytes",
            Self::Elements4 => "the elements of four bytes",
            Self::Elements8 => "the elements of eight bytes",
            Self::VariableElements => "the elements of variable length",
        }
    }
}
