//! One viewer: its program, its network, and the oracle that watches over it.

use std::collections::VecDeque;

use engine::fanout::Sent;
use engine::id::ViewerId;

use super::model::Model;
use super::oracle::{Moment, Reaction, Watch};
use super::random::Random;
use super::speech::Speech;
use super::wire::{self, Frame};
use super::{Class, Verdict, Violation};

/// Most bytes that may be kept for a viewer behind a send that was cut.
const KEPT_BYTES: u64 = 2048;
/// So many frames may be among them; they count as delivered.
const KEPT_FRAMES: u64 = KEPT_BYTES / 150;

/// How a viewer behaves, for its whole life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// The kernel takes everything at once.
    pub(crate) is_fast: bool,
    /// Bytes the kernel holds for a slow one.
    pub(crate) room_bytes: usize,
    /// Bytes a slow one reads at a time, at most.
    pub(crate) read_bytes_max: usize,
    /// It never answers a ping.
    pub(crate) is_mute: bool,
    /// It never answers a close.
    pub(crate) ignores_close: bool,
    /// It gives every request an id.
    pub(crate) gives_ids: bool,
}

impl Manner {
    /// A viewer of some kind.
    pub(crate) fn draw(random: &mut Random) -> Self {
        let is_fast = random.permille(450);
        let room_bytes = match random.below(4) {
            0 => random.between(1, 60),
            1 => random.between(100, 1000),
            _ => random.between(1000, 8000),
        };
        let read_bytes_max = if random.permille(150) { 1 } else { random.between(20, 3000) };
        Self {
            is_fast,
            room_bytes,
            read_bytes_max,
            is_mute: random.permille(60),
            ignores_close: random.permille(200),
            gives_ids: random.permille(700),
        }
    }

    /// A viewer without any trouble.
    #[must_use]
    pub(crate) const fn model() -> Self {
        Self {
            is_fast: true,
            room_bytes: 0,
            read_bytes_max: 0,
            is_mute: false,
            ignores_close: false,
            gives_ids: true,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Client {
    /// Whose it is.
    pub(crate) shard: usize,
    /// Its name there.
    pub(crate) id: ViewerId,
    /// False once it has gone, by whatever way.
    pub(crate) is_there: bool,
    /// The server was told, or has said, that the connection is broken.
    pub(crate) is_broken: bool,
    /// How it behaves.
    pub(crate) manner: Manner,
    /// What it has to say.
    pub(crate) speech: Speech,
    /// Judges what it is sent.
    pub(crate) watch: Watch,
    /// It does not read.
    pub(crate) is_stalled: bool,
    /// The server does not want its bytes until it says so.
    pub(crate) is_paused: bool,
    /// The kernel has told the server that it is full.
    pub(crate) is_blocked: bool,
    /// Bytes in the kernel.
    fill_bytes: usize,
    /// Bytes the kernel has taken so far.
    taken: u64,
    /// When it last took any.
    pub(crate) taken_ms: u64,
    /// Bytes of whole frames among them.
    judged: u64,
    rest: Vec<u8>,
    rest_began_ms: u64,
    reactions: VecDeque<(u64, Reaction)>,
}

impl Client {
    /// A viewer the server has just let in.
    #[must_use]
    pub(crate) fn new(shard: usize, id: ViewerId, manner: Manner, watch: Watch) -> Self {
        Self {
            shard,
            id,
            is_there: true,
            is_broken: false,
            manner,
            speech: Speech::default(),
            watch,
            is_stalled: false,
            is_paused: false,
            is_blocked: false,
            fill_bytes: 0,
            taken: 0,
            taken_ms: 0,
            judged: 0,
            rest: Vec::new(),
            rest_began_ms: 0,
            reactions: VecDeque::new(),
        }
    }

    /// Bytes the kernel has taken so far.
    #[must_use]
    pub(crate) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Where frames of a topic that ends now must have begun. A slow viewer who was sent a part of
    /// something may have a little more of the same moment on its way already.
    #[must_use]
    pub(crate) const fn end(&self) -> u64 {
        self.taken + if self.manner.is_fast { 0 } else { KEPT_BYTES }
    }

    /// It is no more; a frame may be left cut.
    pub(crate) fn leave(&mut self) {
        self.is_there = false;
        self.watch.gone(&self.rest, if self.manner.is_fast { 0 } else { KEPT_FRAMES });
    }

    /// The kernel is offered bytes.
    pub(crate) fn offer(&mut self, bytes: &[u8], random: &mut Random) -> Sent {
        if self.manner.is_fast {
            return Sent::All;
        }
        let free = self.manner.room_bytes.saturating_sub(self.fill_bytes);
        if bytes.len() < free {
            return Sent::All;
        }
        // A kernel may take less than it has room for; all of it and no more also happens.
        let part = if random.permille(100) { random.between(0, free) } else { free };
        Sent::Part(part.min(bytes.len()))
    }

    /// The kernel has taken `bytes`: they are judged, and will be read.
    ///
    /// # Errors
    /// When they break a promise.
    pub(crate) fn take(&mut self, model: &Model, bytes: &[u8], now_ms: u64) -> Verdict {
        self.taken += bytes.len() as u64;
        if !bytes.is_empty() {
            self.taken_ms = now_ms;
        }
        if !self.manner.is_fast {
            self.fill_bytes += bytes.len();
        }
        if self.rest.is_empty() {
            let used = self.judge(model, bytes, now_ms, now_ms)?;
            self.rest.extend_from_slice(&bytes[used..]);
            self.rest_began_ms = now_ms;
        } else {
            let mut rest = std::mem::take(&mut self.rest);
            rest.extend_from_slice(bytes);
            let used = self.judge(model, &rest, self.rest_began_ms, now_ms)?;
            if used > 0 {
                self.rest_began_ms = now_ms;
            }
            rest.drain(..used);
            self.rest = rest;
        }
        Ok(())
    }

    /// The viewer's program reads up to `bytes` and answers what it read. Says whether the kernel
    /// has room again after it was full.
    pub(crate) fn read(&mut self, bytes: usize, random: &mut Random) -> bool {
        self.fill_bytes -= bytes.min(self.fill_bytes);
        let read = self.taken - self.fill_bytes as u64;
        while let Some(&(offset, reaction)) = self.reactions.front()
            && offset <= read
        {
            self.reactions.pop_front();
            match reaction {
                Reaction::Pong if !self.manner.is_mute => self.speech.pong(random),
                Reaction::Close(code) if !self.manner.ignores_close => {
                    self.speech.close(code, random);
                }
                Reaction::Pong | Reaction::Close(_) => {}
            }
        }
        let is_free = self.is_blocked && self.fill_bytes < self.manner.room_bytes.max(1);
        if is_free {
            self.is_blocked = false;
        }
        is_free
    }

    fn judge(
        &mut self,
        model: &Model,
        bytes: &[u8],
        began_ms: u64,
        now_ms: u64,
    ) -> Result<usize, Violation> {
        let mut used = 0;
        loop {
            let frame = wire::frame(&bytes[used..]).map_err(|w| Violation::new(Class::Wire, w))?;
            let Some((frame, length)) = frame else { return Ok(used) };
            let began_ms = if used == 0 { began_ms } else { now_ms };
            let began = Moment { now_ms: began_ms, offset: self.judged };
            let reaction = self.watch.frame(model, frame, began, now_ms)?;
            used += length;
            self.judged += length as u64;
            if let Some(reaction) = reaction {
                self.reactions.push_back((self.judged, reaction));
            }
            if matches!(frame, Frame::Close(_)) && used < bytes.len() {
                return Err(Violation::new(Class::Wire, "bytes after the close"));
            }
        }
    }
}
