//! The oracle's own reading of what a server sends: frames of RFC 6455 and the texts of v1.
//!
//! It shares no code with the engine, on purpose, and refuses everything a strict client would.

/// One frame of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A message.
    Text(&'a [u8]),
    /// A ping.
    Ping,
    /// The answer to a ping of ours.
    Pong(&'a [u8]),
    /// The last frame.
    Close(&'a [u8]),
}

/// Reads the frame at the start of `bytes` and says how many bytes it has; `None` while it is not
/// complete.
///
/// # Errors
/// When no correct server would have sent these bytes.
pub(crate) fn frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, &'static str> {
    let [first, second, ..] = bytes else { return Ok(None) };
    if first & 0xF0 != 0x80 {
        return Err("a frame of the server is whole and without reserved bits");
    }
    if second & 0x80 != 0 {
        return Err("a frame of the server is not masked");
    }
    let is_control = first & 0x08 != 0;
    let (header_bytes, payload_bytes) = match second & 0x7F {
        126 | 127 if is_control => return Err("a control frame has at most 125 bytes"),
        126 => {
            let Some(length) = bytes[2..].first_chunk::<2>() else { return Ok(None) };
            let length = usize::from(u16::from_be_bytes(*length));
            if length < 126 {
                return Err("the length has more bytes than it needs");
            }
            (4, length)
        }
        127 => {
            let Some(length) = bytes[2..].first_chunk::<8>() else { return Ok(None) };
            let length = u64::from_be_bytes(*length);
            if length < 65_536 {
                return Err("the length has more bytes than it needs");
            }
            (10, usize::try_from(length).map_err(|_| "no message is that long")?)
        }
        short => (2, usize::from(short)),
    };
    let end = header_bytes + payload_bytes;
    let Some(payload) = bytes.get(header_bytes..end) else { return Ok(None) };
    let frame = match first & 0x0F {
        0x1 => Frame::Text(payload),
        0x8 => Frame::Close(payload),
        0x9 => Frame::Ping,
        0xA => Frame::Pong(payload),
        _ => return Err("an opcode that a server of v1 does not send"),
    };
    Ok(Some((frame, end)))
}

/// What every position begins with.
pub(crate) const POSITION: &[u8] = br#"{"type":"position","topic":"event:"#;

/// What is known of a frame of which only the first bytes came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// A position, for certain.
    Position,
    /// Too short to tell.
    Unknown,
    /// Something else, for certain.
    Other,
}

/// Judges the beginning of a frame that was cut.
#[must_use]
pub(crate) fn beginning(bytes: &[u8]) -> Beginning {
    let header: usize = if bytes.get(1) == Some(&126) { 4 } else { 2 };
    match bytes {
        [] => Beginning::Other,
        [0x81] => Beginning::Unknown,
        [0x81, 127, ..] => Beginning::Other,
        [0x81, ..] => {
            let text = bytes.get(header..).unwrap_or(&[]);
            let known = text.len().min(POSITION.len());
            if text[..known] != POSITION[..known] {
                Beginning::Other
            } else if known == POSITION.len() {
                Beginning::Position
            } else {
                Beginning::Unknown
            }
        }
        _ => Beginning::Other,
    }
}

/// A place in a text of v1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// At the beginning of `text`.
    #[must_use]
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// Passes over `expected` if it is next; says whether it was.
    pub(crate) fn eat(&mut self, expected: &[u8]) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The inside of a string, up to its closing quote, which is passed over too.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let mut at = 0;
        loop {
            match self.rest.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        let (inside, rest) = self.rest.split_at_checked(at)?;
        self.rest = &rest[1..];
        Some(inside)
    }

    /// Everything up to a byte that is not inside a string; the byte stays.
    pub(crate) fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let at = self.rest.iter().position(|&byte| byte == end)?;
        let (before, rest) = self.rest.split_at(at);
        self.rest = rest;
        Some(before)
    }

    /// What is left.
    #[must_use]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}
