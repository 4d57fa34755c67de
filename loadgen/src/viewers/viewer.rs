//! One viewer: from the first packet over the upgrade and the subscribe to reading.

use std::os::fd::OwnedFd;

use crate::epoll::{Epoll, Ready, Wish};
use crate::schedule::wall_us;
use crate::sockets::{Dialer, Received, connection_result, receive, send_some};

use super::frames::{CLOSE, PING, Piece, Splitter, TEXT, append_frame};
use super::sight::{Directory, Judge, Sight};
use super::tally::Tally;
use super::{CrowdConfig, Kind};

/// Longest head of an answer to the upgrade.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Longest payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;

/// What the kernel may hold for who reads slowly or not at all.
const SMALL_WINDOW_BYTES: usize = 4 * 1024;

/// The code of an end without a close frame.
const NO_CLOSE: u16 = 1006;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Dialing,
    Upgrading,
    Subscribing,
    Watching,
    Gone,
}

/// How a viewer's connection ended.
#[derive(Debug)]
enum End {
    /// After the upgrade, with a close code.
    Closed(u16),
    /// Before there was a snapshot, for this reason.
    Refused(String),
}

/// What a viewer needs to act.
pub(super) struct Hands<'a> {
    pub(super) now_us: u64,
    pub(super) config: &'a CrowdConfig,
    pub(super) epoll: &'a Epoll,
    pub(super) directory: &'a mut Directory,
    pub(super) tally: &'a mut Tally,
    /// Where bytes are read to, for all viewers.
    pub(super) buffer: &'a mut [u8],
}

/// One viewer. What it holds while it watches: this, and what it has seen if it is checked.
#[derive(Debug)]
pub(super) struct Viewer {
    /// Its place in the crowd, which gives it an address, a user and an event.
    place: u32,
    kind: Kind,
    phase: Phase,
    socket: Option<OwnedFd>,
    splitter: Splitter,
    sight: Option<Box<Sight>>,
    /// The head of the answer, or a control frame, as far as it has come.
    held: Vec<u8>,
    began_us: u64,
    /// What a slow viewer may still read.
    allowance_bytes: u64,
    read_us: u64,
}

impl Viewer {
    /// One that begins now.
    pub(super) fn begin(place: u32, kind: Kind, is_checked: bool, hands: &mut Hands<'_>) -> Self {
        let mut viewer = Self {
            place,
            kind,
            phase: Phase::Dialing,
            socket: None,
            splitter: Splitter::default(),
            sight: is_checked.then(Box::default),
            held: Vec::new(),
            began_us: hands.now_us,
            allowance_bytes: 0,
            read_us: hands.now_us,
        };
        hands.tally.counts.joining += 1;
        hands.tally.counts.checked += u32::from(is_checked);
        let window = (kind != Kind::Brisk).then_some(SMALL_WINDOW_BYTES);
        let dialer = Dialer::new(hands.config.target, hands.config.viewers_per_address);
        let begun = dialer.dial(place, window).and_then(|socket| {
            hands.epoll.add(&socket, place.into(), Wish::Room)?;
            Ok(socket)
        });
        match begun {
            Ok(socket) => viewer.socket = Some(socket),
            Err(error) => viewer.end(End::Refused(error.to_string()), hands),
        }
        viewer
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn is_gone(&self) -> bool {
        self.phase == Phase::Gone
    }

    /// True until the server has answered the upgrade.
    pub(super) fn is_upgrading(&self) -> bool {
        matches!(self.phase, Phase::Dialing | Phase::Upgrading)
    }

    /// True when it reads at its own pace.
    pub(super) fn is_slow_reader(&self) -> bool {
        self.phase == Phase::Watching && matches!(self.kind, Kind::Slow { .. })
    }

    /// Gives up when the server takes too long.
    pub(super) fn handle_time(&mut self, longest_us: u64, hands: &mut Hands<'_>) {
        let is_joining = !matches!(self.phase, Phase::Watching | Phase::Gone);
        if is_joining && hands.now_us.saturating_sub(self.began_us) > longest_us {
            let what = match self.phase {
                Phase::Dialing => "no connection in time",
                Phase::Upgrading => "no answer to the upgrade in time",
                Phase::Subscribing | Phase::Watching | Phase::Gone => "no snapshot in time",
            };
            self.end(End::Refused(what.to_owned()), hands);
        }
    }

    /// Handles news of the connection.
    pub(super) fn handle_ready(&mut self, ready: Ready, hands: &mut Hands<'_>) {
        let result = match self.phase {
            Phase::Gone => return,
            Phase::Dialing => self.request(hands),
            Phase::Watching if self.kind != Kind::Brisk && !ready.is_over => return,
            // Nobody reads what stands before the end.
            Phase::Watching if self.kind == Kind::Stalled => Err(End::Closed(NO_CLOSE)),
            Phase::Upgrading | Phase::Subscribing | Phase::Watching => {
                let most = hands.buffer.len();
                self.read(most, hands).map(drop)
            }
        };
        if let Err(end) = result {
            self.end(end, hands);
        }
    }

    /// Lets a slow viewer read what it may since the last time.
    pub(super) fn read_slowly(&mut self, hands: &mut Hands<'_>) {
        let Kind::Slow { bytes_per_second } = self.kind else { return };
        let passed_us = hands.now_us.saturating_sub(self.read_us);
        self.read_us = hands.now_us;
        let more = u64::from(bytes_per_second) * passed_us / 1_000_000;
        // Who has had nothing to read for long may not read everything at once.
        self.allowance_bytes = (self.allowance_bytes + more).min(bytes_per_second.into());
        let most = usize::try_from(self.allowance_bytes).unwrap_or(0).min(hands.buffer.len());
        if most > 0 {
            match self.read(most, hands) {
                Ok(bytes) => self.allowance_bytes -= bytes as u64,
                Err(end) => self.end(end, hands),
            }
        }
    }

    /// Leaves, with a word.
    pub(super) fn leave(&mut self, hands: &mut Hands<'_>) {
        if let Some(socket) = &self.socket {
            let mut frame = Vec::with_capacity(8);
            append_frame(CLOSE, &1000_u16.to_be_bytes(), &mut frame);
            // Who cannot even send that is as gone.
            send_some(socket, &frame).ok();
        }
        self.forget(hands);
    }

    /// The connection stands: asks for the upgrade.
    fn request(&mut self, hands: &Hands<'_>) -> Result<(), End> {
        let Some(socket) = &self.socket else { return Ok(()) };
        connection_result(socket).map_err(|error| End::Refused(error.to_string()))?;
        let config = hands.config;
        let mut text = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            config.path, config.host
        );
        if let Some(cookie) = &config.cookie {
            let user = 1 + self.place / config.viewers_per_user.max(1);
            text.push_str(&format!("Cookie: {}\r\n", cookie.replace("{user}", &user.to_string())));
        }
        if let Some(origin) = &config.origin {
            text.push_str(&format!("Origin: {origin}\r\n"));
        }
        text.push_str("\r\n");
        self.say(text.as_bytes())?;
        self.phase = Phase::Upgrading;
        self.wish(Wish::Bytes, hands)
    }

    /// Says something that always finds room in a fresh connection.
    fn say(&self, bytes: &[u8]) -> Result<(), End> {
        let Some(socket) = &self.socket else { return Ok(()) };
        match send_some(socket, bytes) {
            Ok(sent) if sent == bytes.len() => Ok(()),
            Ok(_) => Err(self.broken("no room to send")),
            Err(error) => Err(self.broken(&error.to_string())),
        }
    }

    fn wish(&self, wish: Wish, hands: &Hands<'_>) -> Result<(), End> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let changed = hands.epoll.modify(socket, self.place.into(), wish);
        changed.map_err(|error| self.broken(&error.to_string()))
    }

    /// An end that the other side has not given a reason for.
    fn broken(&self, what: &str) -> End {
        if self.phase == Phase::Watching {
            End::Closed(NO_CLOSE)
        } else {
            End::Refused(what.to_owned())
        }
    }

    /// Reads once; gives how much.
    fn read(&mut self, most: usize, hands: &mut Hands<'_>) -> Result<usize, End> {
        let Some(socket) = &self.socket else { return Ok(0) };
        // Taken out while it is borrowed from; given back below.
        let buffer = std::mem::take(&mut hands.buffer);
        let result = match receive(socket, &mut buffer[..most]) {
            Ok(Received::Nothing) => Ok(0),
            Ok(Received::End) => Err(self.broken("the server ended the connection")),
            Err(error) => Err(self.broken(&error.to_string())),
            Ok(Received::Bytes(bytes)) => {
                hands.tally.counts.bytes += bytes as u64;
                self.handle_bytes(&buffer[..bytes], hands).map(|()| bytes)
            }
        };
        hands.buffer = buffer;
        result
    }

    fn handle_bytes(&mut self, bytes: &[u8], hands: &mut Hands<'_>) -> Result<(), End> {
        let mut rest = bytes;
        if self.phase == Phase::Upgrading {
            rest = self.handle_head(bytes, hands)?;
        }
        while let Some(piece) = self.splitter.next(&mut rest).map_err(|_| {
            hands.tally.counts.unreadable += 1;
            End::Closed(1002)
        })? {
            match piece.opcode {
                TEXT => self.handle_text(&piece, hands)?,
                CLOSE | PING => self.handle_control(&piece)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads the answer to the upgrade; gives what follows it.
    fn handle_head<'b>(&mut self, bytes: &'b [u8], hands: &mut Hands<'_>) -> Result<&'b [u8], End> {
        let before = self.held.len();
        self.held.extend_from_slice(bytes);
        let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") else {
            if self.held.len() > HEAD_BYTES_MAX {
                return Err(End::Refused("an endless answer to the upgrade".to_owned()));
            }
            return Ok(&[]);
        };
        let status = String::from_utf8_lossy(self.held.get(9..12).unwrap_or_default()).into_owned();
        if status != "101" {
            return Err(End::Refused(format!("HTTP {status}")));
        }
        let rest = &bytes[end + 4 - before..];
        self.held = Vec::new();
        let events = &hands.config.events;
        let event = &events[self.place as usize % events.len()];
        let mut frame = Vec::with_capacity(96);
        let message = format!(r#"{{"type":"subscribe","topic":"event:{event}"}}"#);
        append_frame(TEXT, message.as_bytes(), &mut frame);
        self.say(&frame)?;
        self.phase = Phase::Subscribing;
        if self.kind == Kind::Stalled {
            self.watch(hands)?;
        }
        Ok(rest)
    }

    fn handle_text(&mut self, piece: &Piece<'_>, hands: &mut Hands<'_>) -> Result<(), End> {
        if self.phase == Phase::Subscribing && piece.is_first {
            if piece.bytes.starts_with(b"{\"type\":\"e") {
                let text = String::from_utf8_lossy(piece.bytes);
                let code = text.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
                return Err(End::Refused(format!("error {}", code.unwrap_or("unknown"))));
            }
            self.watch(hands)?;
        }
        hands.tally.counts.texts += u64::from(piece.is_last);
        if let Some(sight) = &mut self.sight {
            let is_brisk = self.kind == Kind::Brisk;
            let tally = &mut *hands.tally;
            let mut judge = Judge {
                directory: hands.directory,
                findings: &mut tally.findings,
                freshness: if is_brisk { &mut tally.freshness } else { &mut tally.slow_freshness },
                wall_us: wall_us(),
                gap_ms: is_brisk.then_some(hands.config.gap_ms),
                viewer: self.place,
            };
            sight.handle_text(piece, &mut judge);
        }
        Ok(())
    }

    /// It has begun to watch.
    fn watch(&mut self, hands: &mut Hands<'_>) -> Result<(), End> {
        if self.kind != Kind::Brisk {
            self.wish(Wish::End, hands)?;
        }
        self.phase = Phase::Watching;
        self.read_us = hands.now_us;
        let tally = &mut *hands.tally;
        tally.counts.joining -= 1;
        tally.counts.watching += 1;
        match self.kind {
            Kind::Brisk => tally.joined.record_us(hands.now_us.saturating_sub(self.began_us)),
            Kind::Slow { .. } => tally.counts.slow += 1,
            Kind::Stalled => tally.counts.stalled += 1,
        }
        Ok(())
    }

    fn handle_control(&mut self, piece: &Piece<'_>) -> Result<(), End> {
        if self.held.len() + piece.bytes.len() > CONTROL_BYTES_MAX {
            return Err(End::Closed(1002));
        }
        self.held.extend_from_slice(piece.bytes);
        if !piece.is_last {
            return Ok(());
        }
        let payload = std::mem::take(&mut self.held);
        if piece.opcode == CLOSE {
            let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
            return Err(End::Closed(code));
        }
        let mut pong = Vec::with_capacity(8 + payload.len());
        append_frame(0xA, &payload, &mut pong);
        self.say(&pong)
    }

    /// The connection has ended.
    fn end(&mut self, end: End, hands: &mut Hands<'_>) {
        let counts = &mut hands.tally.counts;
        match end {
            End::Closed(code) => *counts.closes.entry(code).or_default() += 1,
            End::Refused(reason) => *counts.refusals.entry(reason).or_default() += 1,
        }
        self.forget(hands);
    }

    fn forget(&mut self, hands: &mut Hands<'_>) {
        let counts = &mut hands.tally.counts;
        if self.phase == Phase::Watching {
            counts.watching -= 1;
            match self.kind {
                Kind::Brisk => {}
                Kind::Slow { .. } => counts.slow -= 1,
                Kind::Stalled => counts.stalled -= 1,
            }
        } else if self.phase != Phase::Gone {
            counts.joining -= 1;
        }
        self.phase = Phase::Gone;
        self.socket = None;
        self.sight = None;
        self.held = Vec::new();
    }
}
