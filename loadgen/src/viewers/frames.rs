//! A server's WebSocket frames, found in its bytes however they were cut into readings.
//!
//! Frames of a server are not masked, so what is not looked at is skipped by its length alone.

/// Two fixed bytes and eight of length.
const HEADER_BYTES_MAX: usize = 10;

/// Opcode of a text message.
pub(super) const TEXT: u8 = 0x1;
/// Opcode of a close frame.
pub(super) const CLOSE: u8 = 0x8;
/// Opcode of a ping.
pub(super) const PING: u8 = 0x9;

/// The server broke the rules of RFC 6455: a reserved bit, a mask, or a fragment, which this server
/// never sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// A part of the payload of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) opcode: u8,
    pub(super) bytes: &'a [u8],
    /// The payload begins with it.
    pub(super) is_first: bool,
    /// The payload ends with it.
    pub(super) is_last: bool,
}

/// Where a connection is in the frames of its server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Splitter {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: u8,
    opcode: u8,
    is_inside: bool,
    is_first: bool,
    left_bytes: u64,
}

impl Splitter {
    /// Takes the next piece off `input`; `None` when there is no more.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Broken> {
        if !self.is_inside && !self.read_header(input)? {
            return Ok(None);
        }
        if input.is_empty() && self.left_bytes > 0 {
            return Ok(None);
        }
        let here = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(input.len());
        let (bytes, after) = input.split_at(here);
        *input = after;
        self.left_bytes -= here as u64;
        let is_last = self.left_bytes == 0;
        let piece = Piece { opcode: self.opcode, bytes, is_first: self.is_first, is_last };
        self.is_first = false;
        self.is_inside = !is_last;
        Ok(Some(piece))
    }

    /// Reads on in the header; true when it is whole.
    fn read_header(&mut self, input: &mut &[u8]) -> Result<bool, Broken> {
        loop {
            let have = usize::from(self.header_bytes);
            let needed = header_bytes(&self.header[..have]);
            let here = (needed - have).min(input.len());
            let (bytes, after) = input.split_at(here);
            self.header[have..have + here].copy_from_slice(bytes);
            *input = after;
            self.header_bytes += u8::try_from(here).unwrap_or(0);
            let have = have + here;
            if have < needed {
                return Ok(false);
            }
            if have >= 2 && header_bytes(&self.header[..have]) == have {
                break;
            }
        }
        let [first, second, ..] = self.header;
        if first & 0xF0 != 0x80 || second & 0x80 != 0 {
            return Err(Broken);
        }
        let [_, _, a, b, c, d, e, f, g, h] = self.header;
        self.left_bytes = match second {
            126 => u16::from_be_bytes([a, b]).into(),
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            length => length.into(),
        };
        self.opcode = first & 0x0F;
        self.header_bytes = 0;
        (self.is_inside, self.is_first) = (true, true);
        Ok(true)
    }
}

/// How long the header is that begins so, as far as that is known.
fn header_bytes(start: &[u8]) -> usize {
    match start.get(1) {
        Some(126) => 4,
        Some(127) => HEADER_BYTES_MAX,
        _ => 2,
    }
}

/// Appends the frame of a viewer. The mask is zero, which is one of those there are.
pub(super) fn append_frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => out.push(0x80 | length.to_le_bytes()[0]),
        Ok(length) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => unreachable!("what a viewer says is shorter than 64 KiB"),
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::{Broken, Piece, Splitter, append_frame};

    /// What comes out when the bytes arrive in pieces of this size: opcode and payload of each frame.
    fn frames(bytes: &[u8], piece_bytes: usize) -> Vec<(u8, Vec<u8>)> {
        let mut splitter = Splitter::default();
        let mut frames: Vec<(u8, Vec<u8>)> = Vec::new();
        let mut open = Vec::new();
        for mut input in bytes.chunks(piece_bytes) {
            while let Some(piece) = splitter.next(&mut input).unwrap() {
                assert_eq!(piece.is_first, open.is_empty() || piece.bytes.is_empty());
                open.extend_from_slice(piece.bytes);
                if piece.is_last {
                    frames.push((piece.opcode, std::mem::take(&mut open)));
                }
            }
        }
        frames
    }

    #[test]
    fn frames_are_found_wherever_the_bytes_are_cut() {
        let long = vec![b'x'; 70_000];
        let mut bytes = vec![0x81, 3, b'a', b'b', b'c', 0x89, 0, 0x81, 126, 0, 200];
        bytes.extend_from_slice(&long[..200]);
        bytes.extend_from_slice(&[0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
        bytes.extend_from_slice(&long);
        bytes.extend_from_slice(&[0x88, 2, 3, 0xE8]);
        let expected = [
            (1, b"abc".to_vec()),
            (9, Vec::new()),
            (1, long[..200].to_vec()),
            (1, long.clone()),
            (8, vec![3, 0xE8]),
        ];
        for piece_bytes in [1, 2, 3, 7, 100, 4_096, bytes.len()] {
            assert_eq!(frames(&bytes, piece_bytes), expected, "{piece_bytes}");
        }
    }

    #[test]
    fn what_no_server_may_send_is_noticed() {
        for bytes in [[0x01, 0], [0xC1, 0], [0x81, 0x80]] {
            assert_eq!(Splitter::default().next(&mut &bytes[..]), Err(Broken), "{bytes:?}");
        }
        let nothing: Result<Option<Piece<'_>>, Broken> = Splitter::default().next(&mut &[][..]);
        assert_eq!(nothing, Ok(None));
    }

    #[test]
    fn a_viewers_frame_is_masked_with_zeros() {
        let mut out = Vec::new();
        append_frame(1, b"hi", &mut out);
        assert_eq!(out, [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        append_frame(1, &[b'x'; 300], &mut out);
        assert_eq!(&out[8..12], [0x81, 0xFE, 1, 44]);
    }
}
