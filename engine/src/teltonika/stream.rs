//! The bytes of one device's connection, cut into a handshake and packets wherever they are split.

use crate::limits::{
    IMEI_DIGITS_MAX, IMEI_DIGITS_MIN, TELTONIKA_DATA_BYTES_MAX, TELTONIKA_PACKET_BYTES_MAX,
};

use super::decode::Packet;
use super::malformed::{Malformed, Reaction};

/// The byte that tells a device it may send.
pub const HELLO_ACCEPTED: u8 = 0x01;

/// The byte that tells a device it is not welcome.
pub const HELLO_REFUSED: u8 = 0x00;

/// What a device has said.
#[derive(Clone, Copy, Debug)]
pub enum Incoming<'a> {
    /// It names itself; the caller answers [`HELLO_ACCEPTED`] or [`HELLO_REFUSED`].
    Hello(Imei),
    /// It sends records. To be answered when they are safe, see [`Reaction::Answer`].
    Packet(Packet<'a>),
    /// It sends something that is neither.
    Malformed(Malformed),
}

/// The name by which a device introduces itself: 15 digits, or 16 with the software version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Imei {
    /// ASCII digits, then zero bytes.
    digits: [u8; IMEI_DIGITS_MAX],
}

impl Imei {
    /// The IMEI in a handshake. The check digit is not verified: test devices do not keep it, and
    /// who is registered is decided elsewhere.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        if !(IMEI_DIGITS_MIN..=IMEI_DIGITS_MAX).contains(&text.len()) {
            return Err(Malformed::ImeiLength(u16::try_from(text.len()).unwrap_or(u16::MAX)));
        }
        if !text.iter().all(u8::is_ascii_digit) {
            return Err(Malformed::ImeiDigits);
        }
        let mut digits = [0; IMEI_DIGITS_MAX];
        digits[..text.len()].copy_from_slice(text);
        Ok(Self { digits })
    }

    /// The digits as they were sent, leading zeros included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let length = self.digits.iter().position(|&digit| digit == 0).unwrap_or(IMEI_DIGITS_MAX);
        str::from_utf8(&self.digits[..length]).expect("ASCII digits, checked by parse")
    }
}

/// One device's connection: bytes in, [`Incoming`] out. Holds no socket and answers nothing.
///
/// A packet that lies whole in the caller's read buffer is checked and read there. Only a packet
/// that arrives in pieces is copied, into a buffer of at most [`TELTONIKA_PACKET_BYTES_MAX`] bytes.
/// Where the pieces are cut makes no difference to what comes out.
#[derive(Debug)]
pub struct Stream {
    expects: Expects,
    /// The beginning of the message whose end has not arrived.
    buffer: Vec<u8>,
    /// The buffered message has been given out; its memory is given back at the next call, because
    /// until then the caller looks at it. Most devices are silent most of the time.
    buffer_is_spent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    Handshake,
    Packet,
    /// The bytes could not be understood: nothing more is read.
    Nothing,
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl Stream {
    /// A connection on which nothing has been said.
    #[must_use]
    pub const fn new() -> Self {
        Self { expects: Expects::Handshake, buffer: Vec::new(), buffer_is_spent: false }
    }

    /// Takes the next message off `input`. Called until it gives `None`: then `input` is empty, and
    /// what it held of an unfinished message is kept.
    ///
    /// After a [`Malformed`] that asks to close, nothing more comes out.
    pub fn handle_input<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Incoming<'s>> {
        if self.buffer_is_spent {
            self.buffer = Vec::new();
            self.buffer_is_spent = false;
        }
        let filled = match self.expects {
            Expects::Nothing => {
                *input = &[];
                return None;
            }
            Expects::Packet if self.buffer.is_empty() => {
                skip_pings(input);
                self.message_in(input)
            }
            Expects::Handshake if self.buffer.is_empty() => self.message_in(input),
            Expects::Handshake | Expects::Packet => self.message_across(input),
        };
        let incoming = match filled {
            Ok(None) => return None,
            Ok(Some(Source::Input(message))) => read(self.expects, message),
            Ok(Some(Source::Buffer)) => {
                self.buffer_is_spent = true;
                read(self.expects, &self.buffer)
            }
            Err(malformed) => Incoming::Malformed(malformed),
        };
        self.expects = match incoming {
            Incoming::Malformed(malformed) if malformed.reaction() == Reaction::Close => {
                *input = &[];
                Expects::Nothing
            }
            Incoming::Hello(_) | Incoming::Packet(_) | Incoming::Malformed(_) => Expects::Packet,
        };
        Some(incoming)
    }

    /// The memory this connection holds beside itself: of a message that is not whole, or that has
    /// just been given out.
    #[must_use]
    pub const fn buffer_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// The message at the start of `input`; what is not a whole one moves into the empty buffer.
    fn message_in<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Source<'i>>, Malformed> {
        let needed_bytes = message_bytes(self.expects, input)?;
        if let Some((message, after)) = input.split_at_checked(needed_bytes) {
            *input = after;
            return Ok(Some(Source::Input(message)));
        }
        self.append(input, needed_bytes);
        Ok(None)
    }

    /// Completes the buffered message from `input`. Its length becomes known on the way.
    fn message_across(&mut self, input: &mut &[u8]) -> Result<Option<Source<'static>>, Malformed> {
        loop {
            let needed_bytes = message_bytes(self.expects, &self.buffer)?;
            if self.buffer.len() == needed_bytes {
                return Ok(Some(Source::Buffer));
            }
            if input.is_empty() {
                return Ok(None);
            }
            self.append(input, needed_bytes);
        }
    }

    /// Moves bytes from `input` until `needed_bytes` are buffered, or none is left.
    fn append(&mut self, input: &mut &[u8], needed_bytes: usize) {
        debug_assert!(needed_bytes <= TELTONIKA_PACKET_BYTES_MAX);
        let missing_bytes = needed_bytes - self.buffer.len();
        let (taken, after) = input.split_at(missing_bytes.min(input.len()));
        if !taken.is_empty() {
            self.buffer.reserve_exact(missing_bytes);
        }
        self.buffer.extend_from_slice(taken);
        *input = after;
    }
}

/// Where a whole message lies.
enum Source<'i> {
    Input(&'i [u8]),
    Buffer,
}

/// Between packets a device may keep the line open with single 0xFF bytes.
fn skip_pings(input: &mut &[u8]) {
    while let [0xFF, after @ ..] = *input {
        *input = after;
    }
}

/// How long the message that begins with `start` is, as far as `start` tells: when it is shorter
/// than the result, ask again with more. Tells what is malformed as soon as the bytes show it.
fn message_bytes(expects: Expects, start: &[u8]) -> Result<usize, Malformed> {
    if expects == Expects::Handshake {
        let Some(&length) = start.first_chunk() else { return Ok(2) };
        let length = u16::from_be_bytes(length);
        if !(IMEI_DIGITS_MIN..=IMEI_DIGITS_MAX).contains(&usize::from(length)) {
            return Err(Malformed::ImeiLength(length));
        }
        return Ok(2 + usize::from(length));
    }
    if start.iter().take(4).any(|&byte| byte != 0) {
        return Err(Malformed::Preamble);
    }
    let Some(&[_, _, _, _, a, b, c, d]) = start.first_chunk() else { return Ok(8) };
    let length = u32::from_be_bytes([a, b, c, d]);
    match usize::try_from(length) {
        Ok(0..3) => Err(Malformed::LengthTooShort),
        Ok(data_bytes @ 3..=TELTONIKA_DATA_BYTES_MAX) => Ok(8 + data_bytes + 4),
        Ok(_) | Err(_) => Err(Malformed::LengthTooLong(length)),
    }
}

/// What a whole message says.
fn read(expects: Expects, message: &[u8]) -> Incoming<'_> {
    let result = if expects == Expects::Handshake {
        Imei::parse(&message[2..]).map(Incoming::Hello)
    } else {
        match message.split_last_chunk() {
            Some((framed, &checksum)) => {
                Packet::decode(&framed[8..], checksum).map(Incoming::Packet)
            }
            None => Err(Malformed::LengthTooShort),
        }
    };
    result.unwrap_or_else(Incoming::Malformed)
}
