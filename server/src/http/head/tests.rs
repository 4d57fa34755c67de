//! Heads as browsers send them, and as nobody should.

use super::{Head, HeadLimits, HeadReader, MALFORMED, OTHER_VERSION, Refusal, TOO_LARGE};

const LIMITS: HeadLimits = HeadLimits { bytes_max: 16 * 1024, headers_max: 64 };

fn read(bytes: &[u8]) -> Result<Option<Head>, Refusal> {
    HeadReader::new(LIMITS).handle_input(bytes)
}

/// The refusal of a head, or `None` when it is taken or not whole.
fn check(bytes: &[u8], expected: Option<Refusal>) {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
    assert_eq!(read(bytes).err(), expected, "{shown:?}");
    // However it is cut, the answer is the same.
    let mut reader = HeadReader::new(LIMITS);
    let refused = bytes.iter().find_map(|byte| reader.handle_input(&[*byte]).err());
    assert_eq!(refused, expected, "byte by byte: {shown:?}");
}

fn check_line(line: &str, expected: Option<Refusal>) {
    check(format!("{line}\r\nHost: a\r\n\r\n").as_bytes(), expected);
}

fn check_header(header: &[u8], expected: Option<Refusal>) {
    check(&[b"GET / HTTP/1.1\r\nHost: a\r\n", header, b"\r\n\r\n"].concat(), expected);
}

#[test]
fn d3_a_head_gives_its_parts_and_what_stands_behind_it() {
    let head = read(b"GET /x?y HTTP/1.1\r\nHost: a\r\nX-A: \t1 2\t \r\nx-a:\r\n\r\n\x81\x80")
        .unwrap()
        .unwrap();
    assert_eq!((head.method(), head.target()), ("GET", "/x?y"));
    assert_eq!(head.once("host"), Ok(Some(&b"a"[..])));
    assert_eq!(head.all("x-a").collect::<Vec<_>>(), [&b"1 2"[..], b""]);
    assert_eq!(head.once("x-a"), Err(MALFORMED), "twice");
    assert_eq!(head.once("x-b"), Ok(None));
    assert_eq!(head.rest, b"\x81\x80");
}

#[test]
fn d3_1_request_lines() {
    for (line, expected) in [
        ("GET / HTTP/1.1", None),
        ("POST /x HTTP/1.1", None),
        ("get / HTTP/1.1", Some(MALFORMED)),
        ("GET  / HTTP/1.1", Some(MALFORMED)),
        ("GET / HTTP/1.1 ", Some(MALFORMED)),
        (" GET / HTTP/1.1", Some(MALFORMED)),
        ("GET /", Some(MALFORMED)),
        ("GET / HTTP/1.0", Some(OTHER_VERSION)),
        ("PRI * HTTP/2.0", Some(OTHER_VERSION)),
        ("GET / HTTP/3.0", Some(OTHER_VERSION)),
        ("GET / HTTP/1.10", Some(MALFORMED)),
        ("GET / http/1.1", Some(MALFORMED)),
        ("GET /\u{e9} HTTP/1.1", Some(MALFORMED)),
        ("PROXY TCP4 10.0.0.1 10.0.0.2 1 2", Some(MALFORMED)),
    ] {
        check_line(line, expected);
    }
}

#[test]
fn d3_12_header_lines() {
    for (header, expected) in [
        (&b"A: b"[..], None),
        (b"A:b", None),
        (b"A:", None),
        (b"A: \xe9", None),
        (b"A : b", Some(MALFORMED)),
        (b" A: b", Some(MALFORMED)),
        (b"\tfolded", Some(MALFORMED)),
        (b"A", Some(MALFORMED)),
        (b": b", Some(MALFORMED)),
        (b"A(: b", Some(MALFORMED)),
        (b"\xe9: b", Some(MALFORMED)),
        (b"A: \0", Some(MALFORMED)),
        (b"A: \x1b[31m", Some(MALFORMED)),
        (b"A: b\x7f", Some(MALFORMED)),
        (b"A: b\nC: d", Some(MALFORMED)),
        (b"A: b\rC: d", Some(MALFORMED)),
        (b"A: b\r\rC: d", Some(MALFORMED)),
    ] {
        check_header(header, expected);
    }
}

#[test]
fn d3_12_line_ends() {
    check(b"GET / HTTP/1.1\nHost: a\n\n", Some(MALFORMED));
    check(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(MALFORMED));
    check(b"\nGET", Some(MALFORMED));
}

#[test]
fn d3_12_what_is_too_large_is_refused_as_soon_as_it_is() {
    let lines = |count: usize| {
        let headers = "A: b\r\n".repeat(count);
        format!("GET / HTTP/1.1\r\n{headers}\r\n").into_bytes()
    };
    check(&lines(64), None);
    check(&lines(65), Some(TOO_LARGE));
    let bytes = |count: usize| {
        let begin = "GET / HTTP/1.1\r\nA: ";
        format!("{begin}{}\r\n\r\n", "x".repeat(count - begin.len() - 4)).into_bytes()
    };
    check(&bytes(16 * 1024), None);
    check(&bytes(16 * 1024 + 1), Some(TOO_LARGE));
    check(&[b'x'; 1024 * 1024], Some(TOO_LARGE));
    check(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(64 * 1024)).as_bytes(), Some(TOO_LARGE));
}

#[test]
fn d3_16_the_hello_of_tls_is_refused_at_once() {
    check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Some(MALFORMED));
    check(b"\r\n\r\n\0\r\nQUIT\n", Some(MALFORMED));
}

#[test]
fn d3_15_other_protocols_are_refused_with_their_first_line() {
    check(b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", Some(MALFORMED));
    check(b"SSH-2.0-OpenSSH_9.2\r\n", Some(MALFORMED));
    check(b"PRI * HTTP/2.0\r\n", Some(OTHER_VERSION));
    check(b"*1\r\n$4\r\nPING\r\n", Some(MALFORMED));
}

#[test]
fn bytes_behind_a_refusal_are_never_a_head() {
    let mut reader = HeadReader::new(LIMITS);
    assert_eq!(reader.handle_input(b"get / HTTP/1.1\r\n").err(), Some(MALFORMED));
    let whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(reader.handle_input(whole).err(), Some(MALFORMED));
}

#[test]
fn t4_neither_a_head_nor_its_reader_prints_what_it_holds() {
    let head = read(b"GET /?canary HTTP/1.1\r\nHost: a\r\nCookie: canary\r\n\r\ncanary");
    let head = head.unwrap().unwrap();
    let mut reader = HeadReader::new(LIMITS);
    reader.handle_input(b"GET /?access_token=canary HTTP/1.1").unwrap();
    let printed = format!("{head:?} {reader:?}");
    assert!(printed.contains("headers: 2") && !printed.contains("canary"), "{printed}");
    assert!(!printed.contains("99"), "nor its bytes as numbers: {printed}");
}

#[test]
fn d3_14_an_unfinished_head_is_waited_for() {
    check(b"GET / HTTP/1.1\r\nHost: a\r\n", None);
    assert!(read(b"GET / HTTP/1.1\r\nHost: a\r\n\r").unwrap().is_none());
}
