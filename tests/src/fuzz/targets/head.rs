//! Target: request heads, as strangers send them to both listeners.

use pitwall::http::{Authority, Head, HeadLimits, HeadReader, Refusal};

use crate::fuzz::feature::feature;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 1_024, headers_max: 8 };

pub(super) const DICTIONARY: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"GET ",
    b"POST ",
    b"/ws-live",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b"Host: a\r\n",
    b"host:",
    b"Content-Length: 0\r\n",
    b"Cookie: a=1\r\n",
    b": ",
    b" :",
    b"\r\n ",
    b"\0",
    b"\x7f",
    b"\xe9",
    b"[::1]:80",
];

/// The first byte says into how large pieces the rest is cut.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let upgrade = b"\x07GET /ws-live HTTP/1.1\r\nHost: live.test:81\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: a=1\r\n\r\n\x81\x80";
    vec![upgrade.to_vec(), b"\0GET /?x HTTP/1.1\r\nHost:[::1]\r\nX:\t1 \r\nx:\r\n\r\n".to_vec()]
}

/// A verdict does not depend on where the network cuts the bytes, and what is let through means one
/// thing: no byte of it is lost, none ends a line or hides another.
pub(super) fn head(input: &[u8]) -> u64 {
    let Some((&first, bytes)) = input.split_first() else { return 0 };
    let whole = read(bytes, bytes.len().max(1));
    let in_pieces = read(bytes, usize::from(first) + 1);
    match (whole, in_pieces) {
        (Ok(Some((head, consumed))), Ok(Some((same, consumed_same)))) => {
            assert_eq!(consumed, consumed_same, "the split makes a difference");
            assert_eq!(described(&head), described(&same), "the split makes a difference");
            check(&head, &bytes[..consumed]);
            let host = head.once("host").ok().flatten().and_then(Authority::parse);
            feature((
                3,
                host.map(|host| host.port.is_some()),
                head.method() == "GET",
                lines(&head).min(5),
            ))
        }
        (Ok(None), Ok(None)) => feature((2, bytes.len().max(1).ilog2())),
        (Err(refusal), Err(same)) => {
            assert_eq!(refusal, same, "the split makes a difference");
            feature((1, refusal.status))
        }
        (whole, in_pieces) => panic!("the split decides: {whole:?}, {in_pieces:?}"),
    }
}

/// The head, and how many bytes it has.
fn read(bytes: &[u8], piece_bytes: usize) -> Result<Option<(Head, usize)>, Refusal> {
    let mut reader = HeadReader::new(LIMITS);
    let mut taken = 0;
    for piece in bytes.chunks(piece_bytes) {
        taken += piece.len();
        match reader.handle_input(piece) {
            Ok(Some(head)) => {
                let consumed = taken - head.rest.len();
                assert_eq!(&bytes[consumed..taken], head.rest, "what is behind it is kept");
                return Ok(Some((head, consumed)));
            }
            Ok(None) => {}
            Err(refusal) => {
                assert_eq!(reader.handle_input(b"").err(), Some(refusal), "it stays refused");
                return Err(refusal);
            }
        }
    }
    Ok(None)
}

const NAMES: [&str; 5] = ["host", "cookie", "x", "upgrade", "content-length"];

fn described(head: &Head) -> (&str, &str, Vec<Vec<&[u8]>>) {
    let values = NAMES.iter().map(|name| head.all(name).collect()).collect();
    (head.method(), head.target(), values)
}

fn lines(head: &Head) -> usize {
    NAMES.iter().map(|name| head.all(name).count()).sum()
}

fn check(head: &Head, bytes: &[u8]) {
    assert!(bytes.len() <= LIMITS.bytes_max, "{} bytes", bytes.len());
    let text: Vec<&[u8]> = split(bytes);
    assert!(text.len() <= LIMITS.headers_max + 1, "{} lines", text.len());
    let first = format!("{} {} HTTP/1.1", head.method(), head.target());
    assert_eq!(text[0], first.as_bytes(), "the request line is what was sent");
    for line in &text {
        assert!(!line.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t'), "{line:?}");
        assert!(!line.starts_with(b" ") && !line.starts_with(b"\t"), "{line:?} is folded");
    }
    // A naive reader finds the same lines of each name.
    for name in NAMES {
        let named = text[1..].iter().filter_map(|line| {
            let at = line.iter().position(|&byte| byte == b':').expect("each line has a name");
            line[..at].eq_ignore_ascii_case(name.as_bytes()).then(|| line[at + 1..].trim_ascii())
        });
        assert_eq!(named.collect::<Vec<_>>(), head.all(name).collect::<Vec<_>>(), "{name}");
    }
}

/// The lines without their ends; the empty one is left out.
fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let without_end = bytes.strip_suffix(b"\r\n\r\n").expect("a head ends with an empty line");
    let mut lines = Vec::new();
    let mut rest = without_end;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    lines
}
