//! One device: its connection, what it keeps, and what it does next.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use engine::teltonika::{HELLO_ACCEPTED, Imei, encode_hello};

use crate::epoll::{Epoll, Ready, Wish};
use crate::race::{Arrival, Race};
use crate::random::Random;
use crate::schedule::{Clock, Schedule};
use crate::sockets::{Dialer, Received, connection_result, receive, send_some};
use crate::source::Source;
use crate::wire::append_packet;

use super::tally::Tally;

/// Shortest wait before the next connection, doubled with each failure.
const BACKOFF_US: u64 = 200_000;

/// How often it is doubled: the longest wait is 12.8 s.
const BACKOFF_DOUBLINGS: u32 = 6;

/// A packet on its way to a device.
#[derive(Debug)]
pub(super) struct Packet {
    /// The device's place among those of this firehose.
    pub(super) device: u32,
    pub(super) records: u8,
    pub(super) bytes: Box<[u8]>,
}

/// The packets of a race, made up ahead.
pub(super) fn packets(
    race: Race,
    first: u32,
    schedule: Schedule,
    clock: Clock,
) -> io::Result<Source<Packet>> {
    let mut bytes = Vec::new();
    Source::start(race, schedule, clock, move |arrivals: &[Arrival], give| {
        bytes.clear();
        append_packet(arrivals, &mut bytes);
        give(Packet {
            device: arrivals[0].device - first,
            records: u8::try_from(arrivals.len()).expect("a packet was just encoded"),
            bytes: bytes.as_slice().into(),
        });
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No connection; the next one is begun when the deadline is over.
    Resting,
    /// A connection is begun.
    Dialing,
    /// The IMEI is being said, or was said.
    Greeting,
    /// Nothing to send.
    Idle,
    /// The first packet kept is being sent, or was sent.
    Waiting,
}

/// A packet that is not answered yet.
#[derive(Debug)]
struct Kept {
    due_us: u64,
    packet: Packet,
    was_sent: bool,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Broken,
    Refused,
    Unanswered,
    Misanswered,
}

/// What a device needs to act.
pub(super) struct Hands<'a> {
    pub(super) now_us: u64,
    pub(super) answer_us_max: u64,
    pub(super) epoll: &'a Epoll,
    pub(super) tally: &'a mut Tally,
}

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    /// Its place among those of this firehose.
    index: u32,
    imei: Imei,
    stage: Stage,
    socket: Option<OwnedFd>,
    /// Oldest first; the first may be under way.
    kept: VecDeque<Kept>,
    /// What is written of the hello, or of the first packet kept.
    written_bytes: usize,
    answer: [u8; 4],
    answer_bytes: usize,
    /// When to begin a connection, or to give one up.
    deadline_us: u64,
    failures: u32,
}

impl Device {
    pub(super) fn new(index: u32, imei: Imei, first_dial_us: u64) -> Self {
        Self {
            index,
            imei,
            stage: Stage::Resting,
            socket: None,
            kept: VecDeque::new(),
            written_bytes: 0,
            answer: [0; 4],
            answer_bytes: 0,
            deadline_us: first_dial_us,
            failures: 0,
        }
    }

    /// True when it wants to begin a connection now.
    pub(super) fn wants_to_dial(&self, now_us: u64) -> bool {
        self.stage == Stage::Resting && self.deadline_us <= now_us
    }

    /// True when its connection is begun but does not stand.
    pub(super) fn is_dialing(&self) -> bool {
        self.stage == Stage::Dialing
    }

    /// Begins a connection.
    pub(super) fn dial(&mut self, dialer: &Dialer, hands: &mut Hands<'_>) {
        hands.tally.counts.dials += 1;
        let begun = dialer.dial(self.index, None).and_then(|socket| {
            hands.epoll.add(&socket, self.index.into(), Wish::Changes)?;
            Ok(socket)
        });
        match begun {
            Ok(socket) => {
                self.socket = Some(socket);
                self.stage = Stage::Dialing;
                self.deadline_us = hands.now_us + hands.answer_us_max;
            }
            Err(_) => self.fail(Failure::Broken, hands),
        }
    }

    /// Takes a packet that is due; the oldest that was kept is forgotten when there are too many.
    pub(super) fn keep(
        &mut self,
        due_us: u64,
        packet: Packet,
        kept_packets_max: usize,
        hands: &mut Hands<'_>,
    ) {
        let late_us = hands.now_us.saturating_sub(due_us);
        hands.tally.record_due(packet.records.into(), late_us);
        if self.kept.len() >= kept_packets_max.max(2) {
            // The first may be under way; its answer belongs to it.
            let oldest = usize::from(self.stage == Stage::Waiting);
            if let Some(forgotten) = self.kept.remove(oldest) {
                hands.tally.record_forgotten(forgotten.packet.records.into());
            }
        }
        self.kept.push_back(Kept { due_us, packet, was_sent: false });
        if self.stage == Stage::Idle {
            self.step(hands);
        }
    }

    /// Looks at the time: a connection that says nothing is given up.
    pub(super) fn handle_time(&mut self, hands: &mut Hands<'_>) {
        let is_waiting = !matches!(self.stage, Stage::Resting | Stage::Idle);
        if is_waiting && self.deadline_us <= hands.now_us {
            let is_answer = self.stage == Stage::Waiting;
            self.fail(if is_answer { Failure::Unanswered } else { Failure::Broken }, hands);
        }
    }

    /// Handles news of the connection.
    pub(super) fn handle_ready(&mut self, ready: Ready, hands: &mut Hands<'_>) {
        let Some(socket) = &self.socket else { return };
        if self.stage == Stage::Dialing {
            if connection_result(socket).is_err() {
                return self.fail(Failure::Broken, hands);
            }
            if !ready.is_writable {
                return;
            }
            self.stage = Stage::Greeting;
            self.written_bytes = 0;
        }
        if ready.is_readable
            && let Err(failure) = self.read(hands)
        {
            return self.fail(failure, hands);
        }
        if ready.is_over {
            return self.fail(Failure::Broken, hands);
        }
        self.step(hands);
    }

    /// Sends what is to be sent next, as far as there is room.
    fn step(&mut self, hands: &mut Hands<'_>) {
        let Some(socket) = &self.socket else { return };
        let hello;
        let bytes = match self.stage {
            Stage::Resting | Stage::Dialing => return,
            Stage::Greeting => {
                let mut text = Vec::with_capacity(20);
                encode_hello(&self.imei, &mut text);
                hello = text;
                &hello[..]
            }
            Stage::Idle | Stage::Waiting => {
                let Some(first) = self.kept.front_mut() else { return };
                if self.stage == Stage::Idle {
                    self.stage = Stage::Waiting;
                    self.deadline_us = hands.now_us + hands.answer_us_max;
                    self.written_bytes = 0;
                    hands.tally.record_sent(first.packet.records.into(), first.was_sent);
                    first.was_sent = true;
                }
                &first.packet.bytes
            }
        };
        if self.written_bytes < bytes.len() {
            match send_some(socket, &bytes[self.written_bytes..]) {
                Ok(sent) => self.written_bytes += sent,
                Err(_) => self.fail(Failure::Broken, hands),
            }
        }
    }

    fn read(&mut self, hands: &mut Hands<'_>) -> Result<(), Failure> {
        loop {
            let Some(socket) = &self.socket else { return Ok(()) };
            let awaited = if self.stage == Stage::Greeting { 1 } else { self.answer.len() };
            let room = &mut self.answer[self.answer_bytes..awaited];
            match receive(socket, room).map_err(|_| Failure::Broken)? {
                Received::Nothing => return Ok(()),
                Received::End => return Err(Failure::Broken),
                Received::Bytes(bytes) => self.answer_bytes += bytes,
            }
            if self.answer_bytes < awaited {
                continue;
            }
            self.answer_bytes = 0;
            match self.stage {
                Stage::Greeting if self.answer[0] == HELLO_ACCEPTED => {
                    hands.tally.counts.connected += 1;
                    self.stage = Stage::Idle;
                }
                Stage::Greeting => return Err(Failure::Refused),
                Stage::Waiting => self.handle_answer(hands)?,
                Stage::Resting | Stage::Dialing | Stage::Idle => return Err(Failure::Misanswered),
            }
            // The next answer comes after the next packet, and then there is news again.
            return Ok(());
        }
    }

    fn handle_answer(&mut self, hands: &mut Hands<'_>) -> Result<(), Failure> {
        let first = self.kept.front().ok_or(Failure::Misanswered)?;
        let records = first.packet.records;
        if u32::from_be_bytes(self.answer) != u32::from(records) {
            return Err(Failure::Misanswered);
        }
        hands.tally.record_answered(records.into(), hands.now_us.saturating_sub(first.due_us));
        self.kept.pop_front();
        self.failures = 0;
        self.stage = Stage::Idle;
        Ok(())
    }

    /// Ends the connection; the next one is begun after a while, longer with each failure.
    fn fail(&mut self, failure: Failure, hands: &mut Hands<'_>) {
        let counts = &mut hands.tally.counts;
        match failure {
            Failure::Broken => counts.broken += 1,
            Failure::Refused => counts.refused += 1,
            Failure::Unanswered => counts.unanswered += 1,
            Failure::Misanswered => counts.misanswered += 1,
        }
        if matches!(self.stage, Stage::Idle | Stage::Waiting) {
            counts.connected -= 1;
        }
        self.socket = None;
        self.stage = Stage::Resting;
        self.answer_bytes = 0;
        let longest_us = BACKOFF_US << self.failures.min(BACKOFF_DOUBLINGS);
        self.failures = self.failures.saturating_add(1);
        // From a half of it to the whole, another for each device and failure.
        let part = u64::from(self.index) << 32 | u64::from(self.failures);
        let half_us = u32::try_from(longest_us / 2).unwrap_or(u32::MAX);
        let spread_us = Random::of_part(hands.now_us, part).below(half_us.max(1));
        self.deadline_us = hands.now_us + longest_us / 2 + u64::from(spread_us);
    }
}
