//! The judge of one viewer: what it asked, what it must be told, and every byte it was sent.
//!
//! It reads the bytes that the kernel took, in their order, and compares them with the model. It
//! knows nothing of the engine but the wire.

mod requests;
mod snapshot;
mod stream;

use std::collections::VecDeque;

use engine::viewer::Decision;

use super::model::Model;
use super::wire::{self, Frame};
use super::{Class, Verdict, Violation, ensure};

pub(crate) use requests::{Budget, Said};

/// When and where in a viewer's byte stream something begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The shard's clock.
    pub(crate) now_ms: u64,
    /// Bytes the kernel had taken before.
    pub(crate) offset: u64,
}

/// A request that has not been answered on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expect {
    pub(super) what: Asked,
    pub(super) id: Option<u32>,
}

/// What is to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// By `subscribed` or an error, as decided and when.
    Subscribe { event: usize, ticket: u32, decision: Option<(Decision, u64)>, is_revoked: bool },
    /// By `unsubscribed`.
    Unsubscribe { event: usize },
    /// By an error of this code, with this topic.
    Refusal { code: &'static str, topic: Echo },
}

/// The topic of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    /// Left out.
    Nothing,
    /// That of an event.
    Event(usize),
    /// A text that is no topic of v1.
    Text(&'static str),
}

/// What a viewer has of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Off,
    On,
    /// Its `subscribed` was overtaken by a revocation: the end follows, and no frame.
    Ending,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) state: State,
    /// No frame begins here or later.
    pub(super) revoked_at: Option<u64>,
    /// Ends without a request that may be on their way.
    pub(super) revocation_count: u32,
    /// No snapshot is older than this version.
    pub(super) version: usize,
    /// No frame is older than this place in the list of accepted fixes.
    pub(super) least: u32,
    /// Where the next frame lies for a viewer who misses nothing.
    pub(super) next: (u32, u32),
    /// By device: one more than the place of what the viewer last saw; 0 for nothing.
    pub(super) seen: Vec<u32>,
}

/// How the connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing {
    /// The code, or none when a close without one is echoed.
    pub(crate) code: Option<u16>,
    /// Since when the server has to close.
    pub(crate) since_ms: u64,
    /// No position begins here or later.
    pub(crate) offset: u64,
}

/// What the viewer's program has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// A pong.
    Pong,
    /// A close.
    Close(Option<u16>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(super) topics: Vec<Topic>,
    pub(super) expects: VecDeque<Expect>,
    pub(super) next_ticket: u32,
    /// Half of the answer to a revocation has come: `unsubscribed` of this event is next.
    ending: Option<usize>,
    /// Misses nothing as long as the kernel takes everything at once.
    pub(crate) is_strict: bool,
    /// Set when the server has to close.
    pub(crate) closing: Option<Closing>,
    /// The server's close has been taken whole by the kernel.
    pub(crate) is_close_seen: bool,
    /// The viewer's close has been read by the server.
    pub(crate) is_close_heard: bool,
    /// The reader gave up: nothing is heard any more.
    pub(crate) is_deaf: bool,
    pub(super) violation_count: u32,
    pub(super) messages: Budget,
    pub(super) subscribes: Budget,
    pub(super) pings: Budget,
    pub(super) pings_heard: u32,
    pub(super) pongs_seen: u32,
    /// When the last message was through.
    pub(crate) message_ms: u64,
    /// When the server last got a byte.
    pub(crate) heard_ms: u64,
    /// Frames of positions that were begun, repeats left out.
    pub(crate) frame_count: u64,
    /// A frame that was cut when the viewer went, and may have been a position.
    pub(crate) doubt_count: u64,
    /// Frames repeated to break the silence.
    pub(crate) repeat_count: u64,
    /// Snapshots.
    pub(crate) snapshot_count: u64,
}

impl Watch {
    /// A viewer who has just come.
    #[must_use]
    pub(crate) fn new(model: &Model, is_strict: bool, now_ms: u64) -> Self {
        let topic = |at: usize| Topic {
            state: State::Off,
            revoked_at: None,
            revocation_count: 0,
            version: model.events[at].settled_version,
            least: 0,
            next: (0, 0),
            seen: Vec::new(),
        };
        Self {
            topics: (0..model.events.len()).map(topic).collect(),
            expects: VecDeque::new(),
            next_ticket: 0,
            ending: None,
            is_strict,
            closing: None,
            is_close_seen: false,
            is_close_heard: false,
            is_deaf: false,
            violation_count: 0,
            messages: Budget::new(10, 50, now_ms),
            subscribes: Budget::new(5, 20, now_ms),
            pings: Budget::new(5, 20, now_ms),
            pings_heard: 0,
            pongs_seen: 0,
            message_ms: now_ms,
            heard_ms: now_ms,
            frame_count: 0,
            doubt_count: 0,
            repeat_count: 0,
            snapshot_count: 0,
        }
    }

    /// Judges one whole frame; says what the viewer's program has to answer once it has read it.
    ///
    /// # Errors
    /// When it breaks a promise.
    pub(crate) fn frame(
        &mut self,
        model: &Model,
        frame: Frame<'_>,
        began: Moment,
        now_ms: u64,
    ) -> Result<Option<Reaction>, Violation> {
        ensure(!self.is_close_seen, Class::Wire, || "a frame after the close".into())?;
        match frame {
            Frame::Ping => return Ok(Some(Reaction::Pong)),
            Frame::Pong(payload) => self.pong(payload)?,
            Frame::Close(payload) => return self.close(payload).map(Some),
            Frame::Text(text) if text.starts_with(wire::POSITION) => {
                ensure(self.ending.is_none(), Class::Order, || "a revocation cut in two".into())?;
                self.position(model, text, began)?;
                self.message_ms = now_ms;
            }
            Frame::Text(text) => {
                self.message_ms = now_ms;
                self.reply(model, text)?;
            }
        }
        Ok(None)
    }

    /// The viewer has gone with `rest` of a frame taken by the kernel, and up to `kept_count` more
    /// frames that were never offered to it.
    pub(crate) fn gone(&mut self, rest: &[u8], kept_count: u64) {
        let is_cut = wire::beginning(rest) != wire::Beginning::Other;
        self.doubt_count += kept_count + u64::from(is_cut);
    }

    /// True when it may be closed for requests that wait, which are not seen from here.
    #[must_use]
    pub(crate) fn may_overflow(&self) -> bool {
        self.expects.len() >= requests::WAITING_MAX
    }

    fn pong(&mut self, payload: &[u8]) -> Verdict {
        let number = payload.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        let is_new = number.is_some_and(|n| n > self.pongs_seen && n <= self.pings_heard);
        ensure(is_new, Class::Order, || {
            format!("pong {number:?} after {} of {}", self.pongs_seen, self.pings_heard)
        })?;
        self.pongs_seen = number.unwrap_or(0);
        Ok(())
    }

    fn close(&mut self, payload: &[u8]) -> Result<Reaction, Violation> {
        let code = payload.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes));
        if code == Some(requests::POLICY) && self.may_overflow() {
            // Which of several causes came first cannot be seen from here either.
            self.closing = Some(Closing { code, since_ms: self.message_ms, offset: 0 });
        }
        let Some(expected) = self.closing else {
            return Err(Violation::new(Class::Order, &format!("a close {code:?} without a cause")));
        };
        ensure(payload.len() != 1, Class::Wire, || "a close with one byte".into())?;
        ensure(std::str::from_utf8(payload.get(2..).unwrap_or(&[])).is_ok(), Class::Wire, || {
            "the reason of a close is no text".into()
        })?;
        ensure(expected.code == code, Class::Order, || {
            format!("closed with {code:?} instead of {:?}", expected.code)
        })?;
        self.is_close_seen = true;
        Ok(Reaction::Close(code))
    }

    /// Everything has come to rest and the viewer has read all there was: is it complete?
    ///
    /// # Errors
    /// When something is missing.
    pub(crate) fn settled(&self, model: &Model) -> Verdict {
        if self.closing.is_some() {
            return ensure(self.is_close_seen, Class::Lost, || "a close was never sent".into());
        }
        ensure(self.expects.is_empty() && self.ending.is_none(), Class::Lost, || {
            format!(
                "{} requests without a reply, first {:?}",
                self.expects.len(),
                self.expects.front()
            )
        })?;
        ensure(self.pongs_seen == self.pings_heard, Class::Lost, || {
            "the last ping got no pong".into()
        })?;
        for (at, topic) in self.topics.iter().enumerate() {
            let is_over = topic.state != State::Ending
                && (topic.state == State::Off || topic.revoked_at.is_none());
            ensure(is_over, Class::Foreign, || format!("event {at}: a revocation had no effect"))?;
            if topic.state == State::On {
                topic.settled(model, at, self.is_strict)?;
            }
        }
        Ok(())
    }

    /// True when a silent connection is owed a repeat: it watches a topic with a fix to repeat.
    #[must_use]
    pub(crate) fn is_owed_repeat(&self, model: &Model) -> bool {
        let watched = self.topics.iter().zip(&model.events).filter(|(t, _)| t.state == State::On);
        let mut shown = watched.map(|(_, event)| {
            (0..event.seats.len()).any(|device| event.must_have(super::small(device)).is_some())
        });
        self.closing.is_none() && shown.any(|shown| shown)
    }
}

impl Topic {
    fn settled(&self, model: &Model, at: usize, is_strict: bool) -> Verdict {
        let event = &model.events[at];
        for device in 0..event.seats.len() {
            let Some(newest) = event.must_have(super::small(device)) else { continue };
            let seen = self.seen.get(device).copied().unwrap_or(0);
            ensure(seen == newest + 1, Class::Lost, || {
                format!(
                    "event {at} device {device}: the newest is {newest}, last seen {seen} less 1"
                )
            })?;
        }
        let count = super::small(event.accepted.len());
        ensure(!is_strict || self.next.1 == count, Class::Lost, || {
            format!("event {at}: a fast viewer stands at {:?} of {count}", self.next)
        })
    }
}
