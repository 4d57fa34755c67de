//! One connection: two sockets, a pipe each way, and what its messages mean.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::fault::{Conditions, Ending, Fault, Way};
use super::pipe::{Pause, Pipe};
use super::protocol::{Answer, Found, Language, Message, Spoken};
use super::trap::{Armed, Moment, Strike, note, strike};
use super::{CHUNK_BYTES, Forgery};

#[derive(Debug)]
pub(super) struct Line {
    number: usize,
    /// The client's and the server's.
    sockets: [Arc<TcpStream>; 2],
    /// To the server and to the client.
    pipes: [Pipe; 2],
    /// What was read of messages that are not yet whole, in each direction.
    partial: [Vec<u8>; 2],
    /// What is still to come of a message that was let pass, or not, before it was whole.
    rest: [(usize, bool); 2],
    language: Language,
    /// The answer that the client is not to hear.
    awaited: Option<(u64, Strike)>,
    /// A trap has chosen the connection and let something pass that the other end will not see: the
    /// client is not listened to until it has ended.
    is_struck: bool,
    is_over: bool,
    /// When something is due.
    pub(super) due: Option<Instant>,
    /// Which sockets are full.
    is_full: [bool; 2],
}

impl Line {
    pub(super) fn new(
        number: usize,
        sockets: [TcpStream; 2],
        spoken: Spoken,
        conditions: [Conditions; 2],
    ) -> Self {
        let now = Instant::now();
        Self {
            number,
            sockets: sockets.map(Arc::new),
            pipes: conditions.map(|conditions| Pipe::new(conditions, now)),
            partial: [Vec::new(), Vec::new()],
            rest: [(0, false); 2],
            language: Language::new(spoken),
            awaited: None,
            is_struck: false,
            is_over: false,
            due: None,
            is_full: [false; 2],
        }
    }

    /// Adds a fault to one direction.
    pub(super) fn add(&mut self, way: Way, fault: Fault) {
        let pipe = &mut self.pipes[way as usize];
        pipe.conditions.add(fault, self.number, pipe.passed);
    }

    /// Takes all faults away that are still to come.
    pub(super) fn heal(&mut self) {
        self.release();
        for pipe in &mut self.pipes {
            pipe.conditions = Conditions::default();
        }
    }

    /// Lets what was silent pass again. Where a trap has taken something out, nothing can go on.
    pub(super) fn release(&mut self) {
        if self.is_struck && self.pipes.iter().all(|pipe| pipe.conditions.is_silent) {
            self.end(Way::ToClient, Ending::Reset);
        }
        for pipe in &mut self.pipes {
            pipe.conditions.is_silent = false;
        }
    }

    /// Bytes that have passed to the server and to the client.
    pub(super) fn passed(&self) -> [u64; 2] {
        [0, 1].map(|way| self.pipes[way].passed)
    }

    /// True when nothing will ever pass any more.
    pub(super) fn is_over(&self) -> bool {
        let is_done = |pipe: &Pipe| pipe.has_ended && pipe.is_shut;
        self.is_over || self.pipes.iter().all(is_done)
    }

    /// The socket of the client (0) or of the server (1), and whether it is awaited that it has
    /// something to read and room to write.
    pub(super) fn socket(&self, side: usize) -> (&Arc<TcpStream>, bool, bool) {
        let wants_more = self.pipes[side].wants_more() && !(side == 0 && self.is_struck);
        (&self.sockets[side], wants_more, self.is_full[side])
    }

    /// Reads what has come on one side.
    pub(super) fn read(
        &mut self,
        side: usize,
        now: Instant,
        traps: &mut [Armed],
        forgery: &mut Option<Forgery>,
    ) {
        if !self.socket(side).1 {
            return;
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        match (&*self.sockets[side]).read(&mut chunk) {
            Ok(0) => {
                // What was never whole passes as it is.
                let partial = std::mem::take(&mut self.partial[side]);
                self.pipes[side].push_bytes(partial, now);
                self.pipes[side].push_end(now);
            }
            Ok(length) => {
                chunk.truncate(length);
                if side == 0 {
                    self.hear_client(&chunk, now, traps);
                } else if let Some(forged) = forgery.take_if(|forgery| forgery.replaces(&chunk)) {
                    self.pipes[1].push_bytes(forged.bytes, now);
                    if forged.is_cut {
                        self.pipes[1].push_end(now);
                    }
                } else {
                    self.hear_server(&chunk, now);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.end(Way::BOTH[side], Ending::Reset),
        }
    }

    /// Takes requests apart, shows them to the traps and lets them pass.
    fn hear_client(&mut self, chunk: &[u8], now: Instant, traps: &mut [Armed]) {
        let mut bytes = std::mem::take(&mut self.partial[0]);
        bytes.extend_from_slice(chunk);
        let mut at = self.rest[0].0.min(bytes.len());
        self.rest[0].0 -= at;
        let mut struck = None;
        while struck.is_none() && at < bytes.len() {
            let found = self.language.request(&bytes[at..]);
            let Some(message) = self.understood(found) else {
                at = bytes.len();
                break;
            };
            let Some(Message { bytes: length, what: request }) = message else { break };
            struck = strike(traps, &request);
            if struck.is_some_and(|strike| strike.moment == Moment::Before) {
                break;
            }
            let here = length.min(bytes.len() - at);
            at += here;
            self.rest[0].0 = length - here;
            // Whatever follows passes, too; only its answer does not.
            if let Some(strike) = struck.take_if(|strike| strike.moment == Moment::Answered) {
                self.awaited.get_or_insert((request.answer, strike));
            }
        }
        let partial = bytes.split_off(at);
        self.pipes[0].push_bytes(bytes, now);
        if let Some(strike) = struck {
            self.is_struck = true;
            self.pipes[0].push_strike(strike, now);
        } else {
            self.partial[0] = partial;
        }
    }

    /// Takes answers apart and lets them pass, up to the one that the client is not to hear.
    fn hear_server(&mut self, chunk: &[u8], now: Instant) {
        let mut bytes = std::mem::take(&mut self.partial[1]);
        bytes.extend_from_slice(chunk);
        let (rest, is_heard) = self.rest[1];
        let mut at = rest.min(bytes.len());
        self.rest[1].0 -= at;
        let mut passing = if is_heard { bytes[..at].to_vec() } else { Vec::new() };
        while at < bytes.len() {
            let found = self.language.answer(&bytes[at..]);
            let Some(message) = self.understood(found) else {
                passing.extend_from_slice(&bytes[at..]);
                at = bytes.len();
                break;
            };
            let Some(Message { bytes: length, what: Answer { number, is_last } }) = message else {
                break;
            };
            let here = length.min(bytes.len() - at);
            let is_heard = self.awaited.is_none_or(|(awaited, _)| number < awaited);
            if is_heard {
                passing.extend_from_slice(&bytes[at..at + here]);
            }
            at += here;
            self.rest[1] = (length - here, is_heard);
            if let Some((_, strike)) = self.awaited.take_if(|_| !is_heard && is_last) {
                self.is_struck = true;
                self.pipes[1].push_bytes(std::mem::take(&mut passing), now);
                self.pipes[1].push_strike(strike, now);
            }
        }
        self.partial[1] = bytes.split_off(at);
        self.pipes[1].push_bytes(passing, now);
    }

    /// What was found; `None` when nothing is understood any more, and so everything passes.
    #[expect(clippy::option_option, reason = "not understood, not yet whole, and whole")]
    fn understood<T>(&mut self, found: Found<T>) -> Option<Option<Message<T>>> {
        if found.is_err() {
            (self.language, self.awaited) = (Language::Unknown, None);
        }
        found.ok()
    }

    /// Passes on what is due in both directions.
    pub(super) fn pass(&mut self, now: Instant, traps: &mut [Armed]) {
        self.due = None;
        for way in Way::BOTH {
            if self.is_over {
                return;
            }
            let to = 1 - way as usize;
            let pause = self.pipes[way as usize].pass(&self.sockets[to], now);
            self.is_full[to] = matches!(pause, Pause::Full);
            match pause {
                Pause::Idle | Pause::Full => {}
                Pause::Until(due) => {
                    self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
                }
                Pause::Over(ending, strike) => {
                    if let Some(strike) = strike {
                        note(traps, strike);
                    }
                    self.pipes[way as usize].conditions.cut = None;
                    self.end(way, ending);
                }
            }
        }
    }

    /// Ends the connection, or one direction of it.
    pub(super) fn end(&mut self, way: Way, ending: Ending) {
        self.is_struck &= ending == Ending::Silence;
        match ending {
            Ending::Reset => {
                self.is_over = true;
                for socket in &self.sockets {
                    // Closing then discards what was not sent and resets.
                    set_socket_linger(socket, Some(Duration::ZERO)).ok();
                }
            }
            Ending::Close => {
                for (pipe, socket) in self.pipes.iter_mut().zip(self.sockets.iter().rev()) {
                    pipe.conditions.is_silent = false;
                    pipe.shut(socket);
                }
            }
            Ending::HalfClose => {
                let to = 1 - way as usize;
                self.pipes[way as usize].shut(&self.sockets[to]);
            }
            Ending::Silence => {
                for pipe in &mut self.pipes {
                    pipe.conditions.is_silent = true;
                }
            }
        }
    }
}
