//! One request in, one answer out, over a connection that is then closed.
//!
//! Bounded in bytes here and in time by the caller. Only GET is served; whoever sends a body, or what
//! is no HTTP, is refused.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::http::{Answer, Head, HeadLimits, HeadReader, Refusal, last_word};
use crate::secret::Secret;

/// Longest request head. Probes and scrapers send a few hundred bytes, browsers some 2 KiB.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Most header lines.
const HEADERS_MAX: usize = 64;

/// What is asked.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) path: String,
    /// Behind the `?`; empty when there is none.
    pub(super) query: String,
    pub(super) host: String,
    pub(super) accept: String,
    /// `Authorization`.
    pub(super) authorization: Option<Secret>,
    /// It says on whose behalf it comes: a proxy has passed it on.
    pub(super) is_forwarded: bool,
}

/// A page of text; a line feed is added if it has none.
pub(super) fn text(status: u16, words: &str) -> Answer {
    let end = if words.ends_with('\n') { "" } else { "\n" };
    Answer::new(status, "text/plain; charset=utf-8", format!("{words}{end}"))
}

/// A page of JSON.
pub(super) fn json(status: u16, value: &sonic_rs::Value) -> Answer {
    Answer::new(status, "application/json", format!("{value}\n"))
}

impl Request {
    /// The value of a parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
    }
}

/// Reads a request; `None` when the peer has gone before it was complete.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Request, Option<Answer>> {
    let limits = HeadLimits { bytes_max: HEAD_BYTES_MAX, headers_max: HEADERS_MAX };
    let mut reader = HeadReader::new(limits);
    let mut piece = [0; 1024];
    loop {
        let Ok(count @ 1..) = stream.read(&mut piece).await else { return Err(None) };
        let refused = |refusal: Refusal| Some(refusal.into());
        if let Some(head) = reader.handle_input(&piece[..count]).map_err(refused)? {
            return request(&head).map_err(refused);
        }
    }
}

/// Writes the answer and ends the connection so that it arrives.
pub(super) async fn write(stream: &mut TcpStream, answer: Answer) -> io::Result<()> {
    last_word(stream, &answer.into_bytes()).await
}

/// What a head asks for.
fn request(head: &Head) -> Result<Request, Refusal> {
    const BAD: Refusal =
        Refusal::new(400, "An admin page is asked for by its path, without a body.");
    if head.method() != "GET" {
        return Err(Refusal::of_method("Admin pages are only read: use GET.", "GET"));
    }
    let has_body = head.all("content-length").any(|length| length != b"0")
        || head.all("transfer-encoding").next().is_some();
    if has_body || !head.target().starts_with('/') {
        return Err(BAD);
    }
    let text = |name| -> Result<String, Refusal> {
        let value = head.once(name)?.unwrap_or_default();
        Ok(std::str::from_utf8(value).map_err(|_not_text| BAD)?.to_owned())
    };
    let target = head.target();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Request {
        path: path.to_owned(),
        query: query.to_owned(),
        host: text("host")?,
        accept: text("accept")?,
        authorization: Some(Secret::new(text("authorization")?)),
        is_forwarded: head.is_forwarded(),
    })
}

#[cfg(test)]
mod tests {
    use super::{HeadLimits, HeadReader, Refusal, Request, request};

    fn parse(head: &str) -> Result<Request, Refusal> {
        let mut reader = HeadReader::new(HeadLimits { bytes_max: 1_000, headers_max: 10 });
        let head = reader.handle_input(format!("{head}\r\n\r\n").as_bytes())?;
        request(&head.expect("whole"))
    }

    fn check(head: &str, expected: u16) {
        let status = parse(head).map_or_else(|refusal| refusal.status, |_| 200);
        assert_eq!(status, expected, "{head:?}");
    }

    #[test]
    fn only_a_plain_get_of_a_path_is_understood() {
        check("GET / HTTP/1.1", 200);
        check("GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0", 200);
        check("GET http://a/ HTTP/1.1", 400);
        check("GET * HTTP/1.1", 400);
        check("GET / HTTP/1.1\r\nContent-Length: 5", 400);
        check("GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 5", 400);
        check("GET / HTTP/1.1\r\nTransfer-Encoding: chunked", 400);
        check("GET / HTTP/1.1\r\nHost: a\r\nHost: b", 400);
        check("GET / HTTP/1.0", 505);
        for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"] {
            check(&format!("{method} /healthz HTTP/1.1"), 405);
        }
    }

    #[test]
    fn parameters_are_found_by_their_name() {
        let request = parse("GET /a?seconds=5&format=text&x HTTP/1.1").unwrap();
        assert_eq!((request.path.as_str(), request.parameter("seconds")), ("/a", Some("5")));
        assert_eq!(request.parameter("format"), Some("text"));
        assert_eq!((request.parameter("x"), request.parameter("econds")), (None, None));
    }
}
