//! Sockets that have been closed politely: kept a moment, so that the last bytes arrive.
//!
//! A socket that is closed while bytes lie unread in it resets the connection, and the reset may
//! overtake the close frame that says why. So what still comes is read away, for a short while.

use std::collections::VecDeque;
use std::net::{Shutdown, TcpStream};

use crate::live::driver::{Received, receive};

/// Sockets kept at most by one shard; beyond it the oldest goes.
pub const LINGERING_MAX: usize = 1_024;

/// How long one is kept at most.
const LINGER_MS: u64 = 2_000;

/// How often they are looked at.
const LOOK_MS: u64 = 50;

/// Reads from one socket per look.
const READS_MAX: usize = 4;

/// All of them, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    sockets: VecDeque<(u64, TcpStream)>,
    looked_ms: u64,
}

impl Lingering {
    /// Ends our side of a connection and keeps it until the other side has ended, too.
    pub(super) fn add(&mut self, socket: TcpStream, now_ms: u64) {
        if socket.shutdown(Shutdown::Write).is_err() {
            return;
        }
        if self.sockets.len() >= LINGERING_MAX {
            self.sockets.pop_front();
        }
        self.sockets.push_back((now_ms + LINGER_MS, socket));
    }

    /// Reads away what has come, and lets go of those that are done.
    pub(super) fn look(&mut self, now_ms: u64, buffer: &mut [u8]) {
        if self.sockets.is_empty() || now_ms < self.looked_ms + LOOK_MS {
            return;
        }
        self.looked_ms = now_ms;
        self.sockets.retain(|(until_ms, socket)| now_ms < *until_ms && !is_done(socket, buffer));
    }

    /// How long the shard may sleep at most.
    pub(super) fn timeout_us(&self) -> u64 {
        if self.sockets.is_empty() { u64::MAX } else { LOOK_MS * 1000 }
    }
}

fn is_done(socket: &TcpStream, buffer: &mut [u8]) -> bool {
    for _ in 0..READS_MAX {
        match receive(socket, buffer) {
            Received::Bytes(_) => {}
            Received::Nothing => return false,
            Received::End => return true,
        }
    }
    false
}
