//! The control frames we send. They are not masked and never fragmented, so each is two bytes and
//! its payload.

use super::close::CloseCode;
use crate::limits::CONTROL_PAYLOAD_BYTES_MAX;

/// Most bytes of a reason: what the code leaves of the payload.
const REASON_BYTES_MAX: usize = CONTROL_PAYLOAD_BYTES_MAX - 2;

/// Appends a close with a code and a reason; a reason over 123 bytes is cut between two characters.
pub fn write_close(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    write_header(out, 0x8, 2 + reason.len());
    out.extend_from_slice(&code.number().to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Appends the answer to a viewer's close: its own code without its words.
pub fn write_close_echo(out: &mut Vec<u8>, code: Option<CloseCode>) {
    match code {
        Some(code) => write_close(out, code, ""),
        None => write_header(out, 0x8, 0),
    }
}

/// Appends a ping.
///
/// # Panics
/// When the payload is over 125 bytes.
pub fn write_ping(out: &mut Vec<u8>, payload: &[u8]) {
    write_header(out, 0x9, payload.len());
    out.extend_from_slice(payload);
}

/// Appends the answer to a ping.
///
/// # Panics
/// When the payload is over 125 bytes; that of a ping which was read never is.
pub fn write_pong(out: &mut Vec<u8>, payload: &[u8]) {
    write_header(out, 0xA, payload.len());
    out.extend_from_slice(payload);
}

fn write_header(out: &mut Vec<u8>, opcode: u8, payload_bytes: usize) {
    assert!(payload_bytes <= CONTROL_PAYLOAD_BYTES_MAX, "a control frame has at most 125 bytes");
    let length = u8::try_from(payload_bytes).expect("at most 125");
    out.extend_from_slice(&[0x80 | opcode, length]);
}

#[cfg(test)]
mod tests {
    use super::{CloseCode, write_close, write_close_echo, write_ping, write_pong};

    fn check(write: impl FnOnce(&mut Vec<u8>), expected: &[u8]) {
        let mut out = b"before".to_vec();
        write(&mut out);
        assert_eq!(out, [b"before", expected].concat());
    }

    #[test]
    fn control_frames_are_two_bytes_and_their_payload() {
        check(|out| write_ping(out, b""), &[0x89, 0]);
        check(|out| write_pong(out, b"abc"), &[0x8A, 3, b'a', b'b', b'c']);
        check(|out| write_pong(out, &[7; 125]), &[&[0x8A, 125][..], &[7; 125]].concat());
        let unauthorized = [&[0x88, 14, 0x11, 0x31][..], b"unauthorized"].concat();
        check(
            |out| write_close(out, CloseCode::UNAUTHORIZED, CloseCode::UNAUTHORIZED.reason()),
            &unauthorized,
        );
    }

    #[test]
    fn close_is_answered_with_the_code_it_had() {
        check(|out| write_close_echo(out, None), &[0x88, 0]);
        check(|out| write_close_echo(out, CloseCode::from_wire(3000)), &[0x88, 2, 0x0B, 0xB8]);
    }

    #[test]
    fn long_reason_is_cut_between_two_characters() {
        let mut out = Vec::new();
        write_close(&mut out, CloseCode::POLICY, &"ä".repeat(100));
        assert_eq!(out.len(), 2 + 2 + 122);
        assert_eq!(std::str::from_utf8(&out[4..]), Ok("ä".repeat(61).as_str()));
    }

    #[test]
    #[should_panic(expected = "at most 125 bytes")]
    fn ping_over_125_bytes_is_a_mistake_of_the_caller() {
        write_ping(&mut Vec::new(), &[0; 126]);
    }
}
