//! A WebSocket client of few words: it sends the bytes it is told to, and shows what comes back.
//!
//! It shares no code with the server, so that an error in one does not hide in the other.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::schema;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client's connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
    /// The head of the answer to the upgrade.
    pub head: String,
}

/// One frame from the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Heard {
    /// Opcode: 1 text, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl fmt::Debug for Heard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "opcode {}: {}", self.opcode, String::from_utf8_lossy(&self.payload))
    }
}

impl Client {
    /// Connects, and upgrades with these header lines beside the usual ones; otherwise the status of
    /// the refusal and its head.
    ///
    /// # Panics
    /// When the server does not answer in time.
    pub fn connect(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Self, (u16, String)> {
        Self::over(TcpStream::connect(address).expect("the server listens"), headers)
    }

    /// The same over a connection that stands already.
    ///
    /// # Panics
    /// When the server does not answer in time.
    pub fn over(stream: TcpStream, headers: &[(&str, &str)]) -> Result<Self, (u16, String)> {
        let mut request = "GET /ws-live HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            .to_owned();
        if headers.iter().all(|(name, _)| *name != "Host") {
            request.push_str("Host: live.test\r\n");
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        Self::with_request(stream, request.as_bytes())
    }

    /// Sends these bytes in place of a well-formed request.
    ///
    /// # Panics
    /// When the server does not answer in time.
    pub fn with_request(mut stream: TcpStream, request: &[u8]) -> Result<Self, (u16, String)> {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        // A server that has already refused may have closed.
        stream.write_all(request).ok();
        let (head, unread) = read_head(&mut stream);
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        if status == 101 { Ok(Self { stream, unread, head }) } else { Err((status, head)) }
    }

    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The socket, for whoever reads on by himself; nothing that has come may be lost by that.
    ///
    /// # Panics
    /// When bytes have come that were not read.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        assert!(self.unread.is_empty(), "nothing has come yet");
        self.stream
    }

    /// Sends raw bytes.
    ///
    /// # Panics
    /// When the connection is broken.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Sends a masked frame.
    ///
    /// # Panics
    /// When the connection is broken.
    pub fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.send_bytes(&masked(0x80 | opcode, payload));
    }

    /// Sends a text message.
    pub fn say(&mut self, text: &str) {
        self.send(1, text.as_bytes());
    }

    /// Subscribes to the event, with an `id` unless it is empty.
    pub fn subscribe(&mut self, event: &str, id: &str) {
        self.request("subscribe", event, id);
    }

    /// Unsubscribes from the event, with an `id` unless it is empty.
    pub fn unsubscribe(&mut self, event: &str, id: &str) {
        self.request("unsubscribe", event, id);
    }

    fn request(&mut self, kind: &str, event: &str, id: &str) {
        let mut message = json!({"type": kind, "topic": format!("event:{event}")});
        if !id.is_empty() {
            message["id"] = id.into();
        }
        self.say(&message.to_string());
    }

    /// The next frame of any kind; `None` when the connection ended.
    ///
    /// # Panics
    /// When nothing comes in time.
    pub fn hear(&mut self) -> Option<Heard> {
        self.hear_within(PATIENCE).expect("a frame in time")
    }

    /// The next frame of any kind within this time: an error when nothing came, `None` when the
    /// connection ended.
    ///
    /// # Panics
    /// When a frame of the server is malformed.
    pub fn hear_within(&mut self, patience: Duration) -> io::Result<Option<Heard>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some((heard, bytes)) = parse(&self.unread) {
                self.unread.drain(..bytes);
                return Ok(Some(heard));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next message; pings on the way to it are answered.
    ///
    /// # Panics
    /// When something else comes, or nothing in time.
    pub fn message(&mut self) -> Value {
        loop {
            let heard = self.hear().expect("a message before the end");
            match heard.opcode {
                1 => {
                    let message =
                        serde_json::from_slice(&heard.payload).expect("messages are JSON");
                    assert_eq!(schema::complaint(&message), None, "{message}");
                    return message;
                }
                9 => self.send(10, &heard.payload),
                _ => panic!("a message was awaited, not {heard:?}"),
            }
        }
    }

    /// The next message of this type; positions on the way are passed over.
    ///
    /// # Panics
    /// When another comes, or nothing in time.
    pub fn reply(&mut self, kind: &str) -> Value {
        loop {
            let message = self.message();
            if message["type"] == kind {
                return message;
            }
            assert_eq!(message["type"], "position", "{kind} was awaited, not {message}");
        }
    }

    /// Code and reason of the close that must come; messages on the way are passed over. The close is
    /// answered, as RFC 6455 asks.
    ///
    /// # Panics
    /// When none comes.
    pub fn closed(&mut self) -> (u16, String) {
        loop {
            let heard = self.hear().expect("a close before the end");
            if heard.opcode == 8 {
                let code =
                    heard.payload.get(..2).map_or(1005, |c| u16::from_be_bytes([c[0], c[1]]));
                let reason = heard.payload.get(2..).unwrap_or_default();
                let reason = String::from_utf8(reason.to_vec()).expect("reasons are UTF-8");
                self.stream.write_all(&masked(0x88, &heard.payload)).ok();
                return (code, reason);
            }
        }
    }

    /// Asserts that no message comes for a while.
    ///
    /// # Panics
    /// When one comes.
    pub fn hears_nothing_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.hear_within(left) {
                Ok(Some(heard)) if heard.opcode == 9 => self.send(10, &heard.payload),
                Ok(heard) => panic!("nothing was to come, but {heard:?}"),
                Err(_) => return,
            }
        }
    }
}

/// A masked frame with this first byte.
#[must_use]
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0xa2, 0x33, 0xc4];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | u8::try_from(length).expect("it is small")),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).expect("it is small").to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The first whole frame of these bytes, and its length. Frames of a server are not masked.
fn parse(bytes: &[u8]) -> Option<(Heard, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & 0xf0, 0x80, "whole frames without reserved bits");
    assert_eq!(second & 0x80, 0, "frames of a server are not masked");
    let (length, from) = match second {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (usize::try_from(length).expect("it fits into memory"), 10)
        }
        length => (usize::from(length), 2),
    };
    let payload = bytes.get(from..from + length)?.to_vec();
    Some((Heard { opcode: first & 0x0f, payload }, from + length))
}

/// The head of the answer, up to where the connection ends if that comes first, and what follows it.
fn read_head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return (String::from_utf8(bytes).expect("heads are ASCII"), rest);
        }
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("no answer to the upgrade: {error}"),
        }
    }
    (String::from_utf8_lossy(&bytes).into_owned(), Vec::new())
}

/// What the admin listener answers to a GET, head and body; empty when it does not.
#[must_use]
pub fn page(admin: SocketAddr, path: &str) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(admin) {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).ok();
        stream.read_to_string(&mut text).ok();
    }
    text
}
