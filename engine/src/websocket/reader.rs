//! The incremental reader of what one viewer sends.
//!
//! A message or control frame that lies whole in the read buffer is unmasked where it lies and
//! handed out without a copy. Only what is split over reads or fragments is kept, in one box that is
//! bounded by a message and freed with it. So an idle viewer costs the two words of a [`Reader`].

use std::ops::Range;

use super::close::CloseCode;
use super::header::{self, HEADER_BYTES_MAX, Header, Kind, OpenMessage};
use super::utf8::whole_characters_bytes;
use super::{Failure, Incoming};
use crate::limits::{CONTROL_PAYLOAD_BYTES_MAX, MESSAGE_BYTES_MAX, READER_HEAP_BYTES_MAX};

/// The bytes of one read and how many of them are used up.
#[derive(Debug)]
pub struct Input<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Input<'a> {
    /// All of `bytes` is still to be read. They are unmasked in place.
    #[must_use]
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Uses up to `bytes_max` bytes and says where they lie.
    fn advance(&mut self, bytes_max: usize) -> Range<usize> {
        let from = self.at;
        self.at += bytes_max.min(self.bytes.len() - from);
        from..self.at
    }
}

/// What is known of one viewer's byte stream.
#[derive(Debug, Default)]
pub struct Reader {
    /// What is split over reads or fragments; nothing while the viewer is idle.
    partial: Option<Box<Partial>>,
    /// After a close or a failure every further byte is ignored.
    is_finished: bool,
}

/// The size the table of viewers is planned with.
const _: () = assert!(size_of::<Reader>() <= 16);

impl Reader {
    /// The next thing the viewer said, or `None` when `input` is used up.
    ///
    /// To be called until it says `None`: buffers of a message that was handed out are freed by the
    /// next call. After a [`Failure`] or a close it always says `None`.
    pub fn poll<'a>(
        &'a mut self,
        input: &'a mut Input<'_>,
    ) -> Option<Result<Incoming<'a>, Failure>> {
        self.partial.take_if(|partial| self.is_finished || partial.is_idle());
        if self.is_finished {
            input.advance(usize::MAX);
            return None;
        }
        let (kind, place) = match self.advance(input) {
            Ok(whole) => whole?,
            Err(failure) => {
                self.partial = None;
                self.is_finished = true;
                return Some(Err(failure));
            }
        };
        let payload = match (place, &self.partial) {
            (Place::Input(range), _) => &input.bytes[range],
            (Place::Partial, Some(partial)) if kind.is_control() => {
                &partial.control[..partial.control_bytes]
            }
            (Place::Partial, Some(partial)) => &partial.message,
            (Place::Partial, None) => unreachable!("what was split is kept until the next poll"),
        };
        let step = interpret(kind, payload);
        self.is_finished = matches!(step, Err(_) | Ok(Incoming::Close { .. }));
        Some(step)
    }

    /// True after a close or a failure: whatever still arrives is ignored.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Memory held beyond the reader itself; 0 while nothing is split.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| size_of::<Partial>() + partial.message.capacity())
    }

    /// Reads on to the end of the next message or control frame.
    fn advance(&mut self, input: &mut Input<'_>) -> Result<Option<(Kind, Place)>, Failure> {
        loop {
            let pending = self.partial.as_mut().and_then(|partial| partial.frame.take());
            let is_new = pending.is_none();
            let frame = match pending {
                Some(frame) => frame,
                None => match self.read_header(input)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let range = input.advance(frame.payload_bytes);
            let payload = &mut input.bytes[range.clone()];
            unmask(payload, frame.mask);
            let is_whole = frame.is_final && frame.kind != Kind::Continuation;
            if is_new && is_whole && payload.len() == frame.payload_bytes {
                return Ok(Some((frame.kind, Place::Input(range))));
            }
            let partial = self.partial.get_or_insert_default();
            if is_new {
                partial.start(frame.kind);
            }
            if let Some(kind) = partial.append(frame, payload)? {
                return Ok(Some((kind, Place::Partial)));
            }
            if partial.frame.is_some() {
                return Ok(None);
            }
        }
    }

    fn read_header(&mut self, input: &mut Input<'_>) -> Result<Option<Header>, Failure> {
        let open = self.partial.as_ref().and_then(|partial| partial.open());
        if self.partial.as_ref().is_none_or(|partial| partial.header_bytes == 0) {
            if let Some(header) = header::parse(input.rest(), open)? {
                input.advance(header.header_bytes);
                return Ok(Some(header));
            }
            if input.rest().is_empty() {
                return Ok(None);
            }
        }
        let partial = self.partial.get_or_insert_default();
        while let Some(&byte) = input.rest().first() {
            input.advance(1);
            partial.header[partial.header_bytes] = byte;
            partial.header_bytes += 1;
            let header = header::parse(&partial.header[..partial.header_bytes], open)?;
            if header.is_some() {
                partial.header_bytes = 0;
                return Ok(header);
            }
        }
        Ok(None)
    }
}

/// Where the payload of something whole lies.
enum Place {
    Input(Range<usize>),
    Partial,
}

/// What had to be kept because it is split: at most a header, a message and a control frame.
#[derive(Debug)]
struct Partial {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    /// The frame whose payload is still arriving; length and mask are those of what is missing.
    frame: Option<Header>,
    /// How many frames the open message has; 0 when none is open.
    fragments: u32,
    /// Unmasked; at most [`MESSAGE_BYTES_MAX`], which the header of each frame is checked against.
    message: Vec<u8>,
    /// How much of the message is known to be whole characters.
    checked_bytes: usize,
    control: [u8; CONTROL_PAYLOAD_BYTES_MAX],
    control_bytes: usize,
}

const _: () = assert!(size_of::<Partial>() + MESSAGE_BYTES_MAX <= READER_HEAP_BYTES_MAX);

impl Default for Partial {
    fn default() -> Self {
        Self {
            header: [0; HEADER_BYTES_MAX],
            header_bytes: 0,
            frame: None,
            fragments: 0,
            message: Vec::new(),
            checked_bytes: 0,
            control: [0; CONTROL_PAYLOAD_BYTES_MAX],
            control_bytes: 0,
        }
    }
}

impl Partial {
    fn is_idle(&self) -> bool {
        self.header_bytes == 0 && self.frame.is_none() && self.fragments == 0
    }

    fn open(&self) -> Option<OpenMessage> {
        let (bytes, fragments) = (self.message.len(), self.fragments);
        (fragments > 0).then_some(OpenMessage { bytes, fragments })
    }

    fn start(&mut self, kind: Kind) {
        if kind.is_control() {
            self.control_bytes = 0;
        } else {
            self.fragments += 1;
        }
    }

    /// Adds what arrived of a frame; says what it completes, if it does.
    fn append(&mut self, mut frame: Header, payload: &[u8]) -> Result<Option<Kind>, Failure> {
        if frame.kind.is_control() {
            let end = self.control_bytes + payload.len();
            self.control[self.control_bytes..end].copy_from_slice(payload);
            self.control_bytes = end;
        } else {
            self.append_text(payload)?;
        }
        frame.payload_bytes -= payload.len();
        frame.mask.rotate_left(payload.len() % 4);
        if frame.payload_bytes > 0 {
            self.frame = Some(frame);
            return Ok(None);
        }
        if frame.kind.is_control() {
            return Ok(Some(frame.kind));
        }
        if !frame.is_final {
            return Ok(None);
        }
        self.fragments = 0;
        if self.checked_bytes < self.message.len() {
            return Err(Failure::InvalidUtf8);
        }
        Ok(Some(Kind::Text))
    }

    fn append_text(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let needed_bytes = self.message.len() + payload.len();
        if needed_bytes > self.message.capacity() {
            // Grows by doubling, but unlike `Vec` never beyond the longest message.
            let capacity = needed_bytes.max(2 * self.message.capacity()).min(MESSAGE_BYTES_MAX);
            self.message.reserve_exact(capacity - self.message.len());
        }
        self.message.extend_from_slice(payload);
        let whole_bytes = whole_characters_bytes(&self.message[self.checked_bytes..]);
        self.checked_bytes += whole_bytes.ok_or(Failure::InvalidUtf8)?;
        Ok(())
    }
}

/// Masking and unmasking are the same.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let key = u32::from_le_bytes(mask);
    let (words, rest) = payload.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_le_bytes(*word) ^ key).to_le_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

fn interpret(kind: Kind, payload: &[u8]) -> Result<Incoming<'_>, Failure> {
    match kind {
        Kind::Text | Kind::Continuation => {
            std::str::from_utf8(payload).map(Incoming::Text).map_err(|_| Failure::InvalidUtf8)
        }
        Kind::Ping => Ok(Incoming::Ping(payload)),
        Kind::Pong => Ok(Incoming::Pong(payload)),
        Kind::Close => interpret_close(payload),
    }
}

fn interpret_close(payload: &[u8]) -> Result<Incoming<'_>, Failure> {
    let (code, reason) = match payload {
        [] => (None, payload),
        [_] => return Err(Failure::ClosePayloadShort),
        [high, low, reason @ ..] => {
            let number = u16::from_be_bytes([*high, *low]);
            (Some(CloseCode::from_wire(number).ok_or(Failure::CloseCodeInvalid)?), reason)
        }
    };
    let reason = std::str::from_utf8(reason).map_err(|_| Failure::InvalidUtf8)?;
    Ok(Incoming::Close { code, reason })
}
