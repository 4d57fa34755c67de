//! One request in, one answer out, over a connection that is then closed.
//!
//! Bounded in bytes here and in time by the caller. Only GET is served; whoever sends a body, or what
//! is no HTTP, is refused.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::secret::Secret;

/// Longest request head. Probes and scrapers send a few hundred bytes, browsers some 2 KiB.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// What may still come after a refusal before the connection is cut; reading it lets the answer
/// arrive.
const REST_BYTES_MAX: usize = 64 * 1024;
const REST_WAIT: Duration = Duration::from_millis(500);

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

/// What is answered.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) body: String,
}

impl Response {
    /// A page of text; a line feed is added if it has none.
    pub(super) fn text(status: u16, words: &str) -> Self {
        let end = if words.ends_with('\n') { "" } else { "\n" };
        Self { status, kind: "text/plain; charset=utf-8", body: format!("{words}{end}") }
    }

    /// A page of JSON.
    pub(super) fn json(status: u16, value: &sonic_rs::Value) -> Self {
        Self { status, kind: "application/json", body: format!("{value}\n") }
    }
}

impl Request {
    /// The value of a parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
    }
}

/// Reads a request; `None` when the peer has gone before it was complete.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Request, Option<Response>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            return parse(&head[..end]).map_err(Some);
        }
        if head.len() >= HEAD_BYTES_MAX {
            return Err(Some(Response::text(431, "The request is too long for an admin page.")));
        }
        let mut room = (&mut *stream).take((HEAD_BYTES_MAX - head.len()) as u64);
        match room.read_buf(&mut head).await {
            Ok(0) | Err(_) => return Err(None),
            Ok(_) => {}
        }
    }
}

/// Writes the answer and ends the connection so that it arrives.
pub(super) async fn write(stream: &mut TcpStream, response: &Response) -> io::Result<()> {
    let mut head = String::with_capacity(256);
    let (status, phrase) = (response.status, phrase(response.status));
    let Response { kind, body, .. } = response;
    write!(
        head,
        "HTTP/1.1 {status} {phrase}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n",
        body.len()
    )
    .expect("text grows");
    head.push_str(if status == 405 { "Allow: GET\r\n\r\n" } else { "\r\n" });
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(REST_BYTES_MAX as u64);
    let mut sink = tokio::io::sink();
    // Until the peer has closed, too; whoever does not is cut.
    timeout(REST_WAIT, tokio::io::copy(&mut rest, &mut sink)).await.ok();
    Ok(())
}

const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    }
}

/// Understands a head, given without the empty line at its end.
fn parse(head: &[u8]) -> Result<Request, Response> {
    let bad = || Response::text(400, "This is not a request that an admin page understands.");
    let head = std::str::from_utf8(head).map_err(|_not_text| bad())?;
    let mut lines = head.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.1" | "HTTP/1.0"] = words[..] else { return Err(bad()) };
    if !target.starts_with('/') || head.contains(['\0', '\x7f']) {
        return Err(bad());
    }
    if method != "GET" {
        return Err(Response::text(405, "Admin pages are only read: use GET."));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request =
        Request { path: path.to_owned(), query: query.to_owned(), ..Request::default() };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad());
        }
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_str() {
            "host" => value.clone_into(&mut request.host),
            "accept" => value.clone_into(&mut request.accept),
            "authorization" => request.authorization = Some(Secret::new(value)),
            "forwarded" | "x-forwarded-for" | "x-real-ip" | "via" => request.is_forwarded = true,
            "transfer-encoding" => return Err(bad()),
            "content-length" if value != "0" => return Err(bad()),
            _ => {}
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn check(head: &str, expected: u16) {
        let status = parse(head.as_bytes()).map_or_else(|refusal| refusal.status, |_| 200);
        assert_eq!(status, expected, "{head:?}");
    }

    #[test]
    fn only_a_plain_get_is_understood() {
        check("GET / HTTP/1.1", 200);
        check("GET /metrics HTTP/1.0\r\nHost: a\r\nX-Long:  b \r\nContent-Length: 0", 200);
        for head in ["", "GET", "GET /", "GET / HTTP/2.0", "GET  / HTTP/1.1", "GET / HTTP/1.1 "] {
            check(head, 400);
        }
        check("GET http://a/ HTTP/1.1", 400);
        check("GET / HTTP/1.1\r\nno colon", 400);
        check("GET / HTTP/1.1\r\n: empty", 400);
        check("GET / HTTP/1.1\r\nHost: a\r\n folded", 400);
        check("GET / HTTP/1.1\r\nHost : a", 400);
        check("GET / HTTP/1.1\r\nContent-Length: 5", 400);
        check("GET / HTTP/1.1\r\nTransfer-Encoding: chunked", 400);
        for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "get"] {
            check(&format!("{method} /healthz HTTP/1.1"), 405);
        }
    }

    #[test]
    fn parameters_are_found_by_their_name() {
        let request = parse(b"GET /a?seconds=5&format=text&x HTTP/1.1").unwrap();
        assert_eq!((request.path.as_str(), request.parameter("seconds")), ("/a", Some("5")));
        assert_eq!(request.parameter("format"), Some("text"));
        assert_eq!((request.parameter("x"), request.parameter("econds")), (None, None));
    }
}
