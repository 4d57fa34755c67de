//! RFC 6455 after the upgrade, server side: what viewers send is read here, and the frames that are
//! not positions get their headers here.
//!
//! It knows no socket and no clock: bytes in, [`Incoming`] or one [`Failure`] out. It refuses to
//! count: how many pings or messages a viewer may send per second is the caller's business.
//! Extensions are never negotiated, so every reserved bit is a failure.

mod close;
mod control;
mod header;
mod reader;
mod utf8;

use std::error::Error;
use std::fmt;

pub use close::CloseCode;
pub use control::{write_close, write_close_echo, write_ping, write_pong};
pub use header::{TEXT_HEADER_BYTES_MAX, TextHeader, text_header};
pub use reader::{Input, Reader};

/// One thing a viewer said. Its bytes lie in the read buffer when they arrived in one piece, else in
/// the reader's own, and are gone with the next [`Reader::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole text message, at most [`crate::limits::MESSAGE_BYTES_MAX`].
    Text(&'a str),
    /// To be answered with [`write_pong`] and the same bytes.
    Ping(&'a [u8]),
    /// An answer to a ping, or one nobody asked for: both only show that the viewer lives.
    Pong(&'a [u8]),
    /// The viewer closes. To be answered with [`write_close_echo`] unless we closed first; the
    /// reader ignores every byte behind it.
    Close {
        /// Why, when the viewer says so.
        code: Option<CloseCode>,
        /// Its words, foreign text.
        reason: &'a str,
    },
}

/// Why a viewer cannot be read any further. The reader ignores every byte behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// One of the three reserved bits is set.
    ReservedBit,
    /// Opcode 3 to 7 or 11 to 15.
    ReservedOpcode,
    /// The mask bit is not set.
    Unmasked,
    /// A length in more bytes than it needs.
    LengthNotMinimal,
    /// A 64-bit length with the top bit set.
    LengthTopBit,
    /// A control frame without the final bit.
    ControlFragmented,
    /// A control frame with more than 125 bytes.
    ControlTooLong,
    /// A continuation while no message is open.
    ContinuationWithoutStart,
    /// A new message while another is open.
    MessageInsideMessage,
    /// A binary message; v1 is text.
    Binary,
    /// A message over [`crate::limits::MESSAGE_BYTES_MAX`].
    MessageTooLong,
    /// A message in more than [`crate::limits::MESSAGE_FRAGMENTS_MAX`] frames.
    TooManyFragments,
    /// A text, or the reason of a close, that is not UTF-8.
    InvalidUtf8,
    /// A close with a payload of one byte.
    ClosePayloadShort,
    /// A close with a code that must not be sent.
    CloseCodeInvalid,
}

impl Failure {
    /// The code to close with.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::ReservedBit
            | Self::ReservedOpcode
            | Self::Unmasked
            | Self::LengthNotMinimal
            | Self::LengthTopBit
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::ContinuationWithoutStart
            | Self::MessageInsideMessage
            | Self::ClosePayloadShort
            | Self::CloseCodeInvalid => CloseCode::PROTOCOL_ERROR,
            Self::Binary => CloseCode::UNSUPPORTED_DATA,
            Self::InvalidUtf8 => CloseCode::INVALID_DATA,
            Self::TooManyFragments => CloseCode::POLICY,
            Self::MessageTooLong => CloseCode::MESSAGE_TOO_LONG,
        }
    }

    /// One plain sentence, short enough for the reason of a close.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::ReservedBit => "A reserved bit is set.",
            Self::ReservedOpcode => "The opcode is reserved.",
            Self::Unmasked => "The frame is not masked.",
            Self::LengthNotMinimal => "The length is not written in the fewest bytes.",
            Self::LengthTopBit => "The length has its top bit set.",
            Self::ControlFragmented => "A control frame is fragmented.",
            Self::ControlTooLong => "A control frame is longer than 125 bytes.",
            Self::ContinuationWithoutStart => "A continuation came without a message.",
            Self::MessageInsideMessage => "A message began inside another.",
            Self::Binary => "Only text messages are understood.",
            Self::MessageTooLong => "The message is longer than 4096 bytes.",
            Self::TooManyFragments => "The message has more than 16 fragments.",
            Self::InvalidUtf8 => "The text is not UTF-8.",
            Self::ClosePayloadShort => "The close has one byte of payload.",
            Self::CloseCodeInvalid => "The close has a code that must not be sent.",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.sentence())
    }
}

impl Error for Failure {}
