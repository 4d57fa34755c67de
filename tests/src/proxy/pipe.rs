//! One direction of one connection: what waits in it, and what it suffers.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::fault::{Conditions, Ending};
use super::trap::Strike;

/// What may wait in one direction; beyond it the sender has to.
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// The same where bytes are few: what waits here should not hide that the way is slow.
const WAITING_SLOW_BYTES_MAX: usize = 16 * 1024;

/// Pieces a second in which a bandwidth is kept.
const PIECES_PER_SECOND: u64 = 50;

#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) conditions: Conditions,
    waiting: VecDeque<(Instant, Piece)>,
    waiting_bytes: usize,
    /// When the last piece is due; what follows it is not due before.
    last_due: Instant,
    /// When the bandwidth lets something pass again.
    free_at: Instant,
    /// Bytes that have passed.
    pub(super) passed: u64,
    /// The sender has ended.
    pub(super) has_ended: bool,
    /// The receiver has been told that it is the end: whatever else comes is thrown away.
    pub(super) is_shut: bool,
}

#[derive(Debug)]
enum Piece {
    /// Bytes, and how many of them have passed.
    Bytes(Vec<u8>, usize),
    /// The sender's own end.
    End,
    /// The end that a trap has set.
    Strike(Strike),
}

/// Why a pipe passes nothing more for now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pause {
    /// Nothing waits, or nothing may pass.
    Idle,
    /// What waits is not due before this.
    Until(Instant),
    /// The receiver takes no more.
    Full,
    /// The connection is to end like this, on account of a trap or not.
    Over(Ending, Option<Strike>),
}

impl Pipe {
    pub(super) fn new(conditions: Conditions, now: Instant) -> Self {
        Self {
            conditions,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            last_due: now,
            free_at: now,
            passed: 0,
            has_ended: false,
            is_shut: false,
        }
    }

    /// True when the sender is to be listened to.
    pub(super) fn wants_more(&self) -> bool {
        let slow = self.conditions.bandwidth.is_some();
        let most = if slow { WAITING_SLOW_BYTES_MAX } else { WAITING_BYTES_MAX };
        !self.has_ended && !self.conditions.is_silent && self.waiting_bytes < most
    }

    /// Takes what is to pass.
    pub(super) fn push_bytes(&mut self, bytes: Vec<u8>, now: Instant) {
        if !bytes.is_empty() && !self.is_shut {
            self.waiting_bytes += bytes.len();
            self.push(Piece::Bytes(bytes, 0), now);
        }
    }

    /// Takes the sender's end.
    pub(super) fn push_end(&mut self, now: Instant) {
        self.has_ended = true;
        self.push(Piece::End, now);
    }

    /// Takes the end that a trap has set.
    pub(super) fn push_strike(&mut self, strike: Strike, now: Instant) {
        self.push(Piece::Strike(strike), now);
    }

    fn push(&mut self, piece: Piece, now: Instant) {
        if !self.is_shut {
            self.last_due = self.conditions.due(now).max(self.last_due);
            self.waiting.push_back((self.last_due, piece));
        }
    }

    /// Tells the receiver that it is the end, and throws away what waits.
    pub(super) fn shut(&mut self, to: &TcpStream) {
        self.is_shut = true;
        self.waiting.clear();
        self.waiting_bytes = 0;
        // Fails when the receiver has gone, and then it needs not be told.
        to.shutdown(Shutdown::Write).ok();
    }

    /// Passes on what is due.
    pub(super) fn pass(&mut self, to: &TcpStream, now: Instant) -> Pause {
        loop {
            if self.conditions.is_silent || self.is_shut {
                return Pause::Idle;
            }
            if let Some((at, ending)) = self.conditions.cut
                && self.passed >= at
            {
                return Pause::Over(ending, None);
            }
            let Some((due, piece)) = self.waiting.front_mut() else { return Pause::Idle };
            let mut due = *due;
            if matches!(piece, Piece::Bytes(..)) && self.conditions.bandwidth.is_some() {
                due = due.max(self.free_at);
            }
            if due > now {
                return Pause::Until(due);
            }
            match piece {
                Piece::Bytes(..) => match self.pass_bytes(to, now) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Pause::Full,
                    Err(_) => return Pause::Over(Ending::Reset, None),
                },
                Piece::End => self.shut(to),
                Piece::Strike(strike) => {
                    let strike = *strike;
                    self.waiting.pop_front();
                    return Pause::Over(strike.ending, Some(strike));
                }
            }
        }
    }

    /// Passes on some of the bytes at the front.
    fn pass_bytes(&mut self, mut to: &TcpStream, now: Instant) -> io::Result<()> {
        let Some((_, Piece::Bytes(bytes, begin))) = self.waiting.front_mut() else {
            return Ok(());
        };
        let mut most = u64::MAX;
        if let Some((at, _)) = self.conditions.cut {
            most = at - self.passed;
        }
        if let Some(bytes_per_second) = self.conditions.bandwidth {
            most = most.min((bytes_per_second / PIECES_PER_SECOND).max(1));
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len() - *begin);
        if let Some((at, mask)) = self.conditions.corrupt
            && let Some(ahead) = at.checked_sub(self.passed)
            && ahead < most as u64
        {
            let ahead = usize::try_from(ahead).expect("below a length");
            bytes[*begin + ahead] ^= mask;
            self.conditions.corrupt = None;
        }
        let passed = to.write(&bytes[*begin..*begin + most])?;
        *begin += passed;
        if *begin == bytes.len() {
            self.waiting.pop_front();
        }
        self.waiting_bytes -= passed;
        self.passed += passed as u64;
        if let Some(bytes_per_second) = self.conditions.bandwidth {
            let took_us = passed as u64 * 1_000_000 / bytes_per_second;
            self.free_at = self.free_at.max(now) + Duration::from_micros(took_us);
        }
        Ok(())
    }
}
