//! The rules of an upgrade request: what must be in it, and what must not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;

use crate::http::{Authority, Head, Refusal};
use crate::live::session::Cookie;

/// The only path of the listener.
const PATH: &str = "/ws-live";

/// The only subprotocol there is.
const SUBPROTOCOL: &[u8] = b"trm.live.v1";

/// What RFC 6455 hangs on a key before it is hashed.
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes of a key before it becomes text.
const KEY_BYTES: usize = 16;

/// A request that may become a viewer.
#[derive(Debug)]
pub struct Request {
    key: Vec<u8>,
    has_subprotocol: bool,
    /// All `Cookie` headers as one.
    pub(super) cookie: Option<Cookie>,
}

impl Request {
    /// The request of a head, or why it is none.
    pub fn of(head: &Head, cookie_bytes_max: usize) -> Result<Self, Refusal> {
        check_target(head)?;
        if head.once("host")?.and_then(Authority::parse).is_none() {
            return Err(Refusal::new(
                400,
                "Host is not a name or an address, perhaps with a port.",
            ));
        }
        for name in ["content-length", "transfer-encoding", "trailer", "expect"] {
            if head.all(name).next().is_some() {
                return Err(Refusal::new(400, "An upgrade has no body and expects nothing."));
            }
        }
        check_upgrade(head)?;
        let key = head.once("sec-websocket-key")?.filter(|key| is_key(key));
        let key = key.ok_or(Refusal::new(400, "Sec-WebSocket-Key is not 16 bytes in base64."))?;
        let offers = head.all("sec-websocket-protocol").flat_map(elements);
        Ok(Self {
            key: key.to_vec(),
            has_subprotocol: offers.into_iter().any(|offer| offer == SUBPROTOCOL),
            cookie: cookie(head, cookie_bytes_max)?,
        })
    }

    /// The answer that accepts it.
    #[must_use]
    pub fn acceptance(&self) -> Vec<u8> {
        let mut hash = Sha1::new();
        hash.update(&self.key);
        hash.update(KEY_SUFFIX);
        let accept = STANDARD.encode(hash.digest().bytes());
        let subprotocol =
            if self.has_subprotocol { "Sec-WebSocket-Protocol: trm.live.v1\r\n" } else { "" };
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{subprotocol}\r\n"
        )
        .into_bytes()
    }
}

fn check_target(head: &Head) -> Result<(), Refusal> {
    let target = head.target();
    if !target.starts_with('/') || target.contains('#') {
        return Err(Refusal::new(400, "The target of the request is not a path."));
    }
    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
    if path != PATH {
        return Err(Refusal::new(404, "There is nothing here but /ws-live."));
    }
    // What stands in an address ends up in logs.
    if query.is_some() {
        return Err(Refusal::new(400, "/ws-live takes no query; a session travels in its cookie."));
    }
    if head.method() != "GET" {
        return Err(Refusal::of_method("A WebSocket begins with GET.", "GET"));
    }
    Ok(())
}

fn check_upgrade(head: &Head) -> Result<(), Refusal> {
    let required = Refusal::new(426, "Here only WebSockets of version 13 are spoken.");
    let mut upgrades = head.all("upgrade").flat_map(elements);
    let is_websocket = upgrades.next().is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"));
    // Who offers another protocol beside it might get an answer in either.
    if !is_websocket || upgrades.next().is_some() {
        return Err(required);
    }
    let mut connection = head.all("connection").flat_map(elements);
    if !connection.any(|token| token.eq_ignore_ascii_case(b"upgrade")) {
        return Err(Refusal::new(400, "Connection does not name the upgrade."));
    }
    let mut versions = head.all("sec-websocket-version");
    if versions.next() != Some(b"13") || versions.next().is_some() {
        return Err(required);
    }
    Ok(())
}

/// True for 16 bytes in canonical base64.
fn is_key(key: &[u8]) -> bool {
    let mut bytes = [0; KEY_BYTES + 2];
    STANDARD.decode_slice(key, &mut bytes) == Ok(KEY_BYTES)
}

/// All `Cookie` headers, joined as a browser would have sent them.
fn cookie(head: &Head, bytes_max: usize) -> Result<Option<Cookie>, Refusal> {
    let mut all = Vec::new();
    for value in head.all("cookie") {
        if !all.is_empty() {
            all.extend_from_slice(b"; ");
        }
        all.extend_from_slice(value);
        if all.len() > bytes_max {
            return Err(Refusal::new(431, "The cookies are too large."));
        }
    }
    Ok((!all.is_empty()).then(|| Cookie::new(&all)))
}

/// The elements of a list in a header.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::Request;
    use crate::http::{HeadLimits, HeadReader};

    const LIMITS: HeadLimits = HeadLimits { bytes_max: 16 * 1024, headers_max: 64 };

    const USUAL: [&str; 5] = [
        "Host: a",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];

    fn request(line: &str, headers: &[&str]) -> Result<Request, u16> {
        let text = format!("{line} HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n"));
        let head = HeadReader::new(LIMITS).handle_input(text.as_bytes()).unwrap().unwrap();
        Request::of(&head, 8 * 1024).map_err(|refusal| refusal.status)
    }

    /// The usual request with lines in place of those of the same name, or in addition.
    fn check(lines: &[&str], expected: u16) {
        let name = |line: &str| line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let is_kept = |usual: &&&str| !lines.iter().any(|line| name(line) == name(usual));
        let mut headers: Vec<&str> = USUAL.iter().filter(is_kept).copied().collect();
        headers.extend(lines.iter().filter(|line| line.contains(": ")));
        let status = request("GET /ws-live", &headers).err().unwrap_or(101);
        assert_eq!(status, expected, "{lines:?}");
    }

    #[test]
    fn the_accept_key_is_that_of_rfc_6455() {
        let request = request("GET /ws-live", &USUAL).unwrap();
        let answer = String::from_utf8(request.acceptance()).unwrap();
        assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    }

    #[test]
    fn d3_1_7_methods_and_targets() {
        for (line, expected) in [
            ("GET /ws-live", 101),
            ("GET /ws-live/", 404),
            ("GET //ws-live", 404),
            ("GET /ws-live%20", 404),
            ("GET /%77s-live", 404),
            ("GET /x/%2e%2e/ws-live", 404),
            ("GET /WS-LIVE", 404),
            ("GET /ws-live?", 400),
            ("GET /ws-live?x=1", 400),
            ("GET /ws-live?access_token=secret", 400),
            ("GET /ws-live#x", 400),
            ("GET http://evil.test/ws-live", 400),
            ("OPTIONS *", 400),
            ("CONNECT a:80", 400),
            ("POST /ws-live", 405),
            ("PUT /ws-live", 405),
            ("HEAD /ws-live", 405),
            ("OPTIONS /ws-live", 405),
            ("POST /other", 404),
        ] {
            let status = request(line, &USUAL).err().unwrap_or(101);
            assert_eq!(status, expected, "{line}");
        }
    }

    #[test]
    fn d3_2_3_upgrade_connection_and_version() {
        check(&["upgrade:"], 426);
        check(&["Upgrade: WebSocket"], 101);
        check(&["Upgrade: h2c"], 426);
        check(&["Upgrade: websocket, h2c"], 426);
        check(&["Upgrade: websocket", "Upgrade: h2c"], 426);
        check(&["Connection: keep-alive, Upgrade"], 101);
        check(&["Connection: keep-alive", "Connection: UPGRADE"], 101);
        check(&["Connection: close"], 400);
        check(&["Connection:"], 400);
        for version in ["8", "0", "13.0", "13, 8", "013", "x"] {
            check(&[&format!("Sec-WebSocket-Version: {version}")], 426);
        }
        check(&["Sec-WebSocket-Version:   13  "], 101);
        check(&["sec-websocket-version:"], 426);
        check(&["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"], 426);
    }

    #[test]
    fn d3_4_keys() {
        for key in ["dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZWU=", "dGhlIHNhbXBsZSBub25jZR=="]
        {
            check(&[&format!("Sec-WebSocket-Key: {key}")], 400);
        }
        check(&["Sec-WebSocket-Key: not base64 at all!!!"], 400);
        check(&["sec-websocket-key:"], 400);
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        check(&[key, key], 400);
    }

    #[test]
    fn d3_5_6_extensions_are_ignored_and_one_subprotocol_is_known() {
        check(&["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"], 101);
        check(&[&format!("Sec-WebSocket-Extensions: {}", "x".repeat(10_000))], 101);
        for (offer, expected) in [
            ("trm.live.v1", true),
            ("a,trm.live.v1 ,b", true),
            ("TRM.LIVE.V1", false),
            ("trm.live.v1x", false),
        ] {
            let line = format!("Sec-WebSocket-Protocol: {offer}");
            let headers = [&USUAL[..], &[line.as_str()]].concat();
            let accepted = request("GET /ws-live", &headers).unwrap();
            assert_eq!(accepted.has_subprotocol, expected, "{offer}");
        }
        let many = vec!["x"; 100].join(", ");
        check(&[&format!("Sec-WebSocket-Protocol: {many}")], 101);
    }

    #[test]
    fn d3_8_hosts() {
        check(&["host:"], 400);
        check(&["Host: a", "Host: b"], 400);
        for host in ["a", "a:8081", "[::1]:8081", "a."] {
            check(&[&format!("Host: {host}")], 101);
        }
        for host in ["a b", "a,b", "u@a", "a:x", "a:65536", "::1", "http://a", "a/b"] {
            check(&[&format!("Host: {host}")], 400);
        }
    }

    #[test]
    fn t7_d3_10_cookies() {
        for (lines, expected) in [
            (&[][..], None),
            (&["Cookie: "], None),
            (&["Cookie: a=1"], Some(&b"a=1"[..])),
            (&["Cookie: a=1", "Cookie: b=2"], Some(b"a=1; b=2")),
            (&["Cookie: a=\"1 2\";b=;;"], Some(b"a=\"1 2\";b=;;")),
        ] {
            let headers = [&USUAL[..], lines].concat();
            let request = request("GET /ws-live", &headers).unwrap();
            assert_eq!(
                request.cookie.as_ref().map(|cookie| cookie.expose()),
                expected,
                "{lines:?}"
            );
        }
        check(&[&format!("Cookie: {}", "x".repeat(8 * 1024))], 101);
        check(&[&format!("Cookie: {}", "x".repeat(8 * 1024 + 1))], 431);
        let half = format!("Cookie: {}", "x".repeat(4 * 1024));
        check(&[&half, &half], 431);
    }

    #[test]
    fn t9_d3_11_bodies_are_refused() {
        for line in [
            "Content-Length: 0",
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            "Transfer-Encoding: xchunked",
            "Trailer: X",
            "Expect: 100-continue",
        ] {
            check(&[line], 400);
        }
    }
}
