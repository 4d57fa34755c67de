//! Requests and replies: one each, in order, with the id of the request.

use engine::viewer::Decision;

use super::{Asked, Closing, Echo, Expect, State, Watch};
use crate::simulation::model::Model;
use crate::simulation::wire::Scan;
use crate::simulation::{Class, Verdict, Violation, ensure};

/// Most topics of one viewer.
const TOPICS_MAX: usize = 32;
/// Violations in a row that close.
const VIOLATIONS_MAX: u32 = 10;
/// Requests that may wait for an answer; what is answered and unread does not count.
pub(super) const WAITING_MAX: usize = 128;

/// An allowed subscribe is answered by then, if only with an error.
const HELD_MS: u64 = 1_200;
/// The code for limits.
pub(super) const POLICY: u16 = 1008;

/// One whole thing a viewer said.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    /// A subscribe.
    Subscribe { event: usize, id: Option<u32> },
    /// An unsubscribe.
    Unsubscribe { event: usize, id: Option<u32> },
    /// A message that is refused with this code.
    Invalid { code: &'static str, topic: Echo, id: Option<u32> },
    /// A ping with its number.
    Ping(u32),
    /// A pong, asked for or not.
    Pong,
    /// A close.
    Close(Option<u16>),
    /// Bytes for which the server closes with this code at once.
    Failure(u16),
}

/// How much a viewer may say: `burst` at once, `per_second` sustained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    per_second: u64,
    burst: u64,
    level_milli: u64,
    at_ms: u64,
}

impl Budget {
    pub(super) const fn new(per_second: u64, burst: u64, now_ms: u64) -> Self {
        Self { per_second, burst, level_milli: burst * 1000, at_ms: now_ms }
    }

    fn take(&mut self, now_ms: u64) -> bool {
        let refill_milli = (now_ms - self.at_ms) * self.per_second;
        self.level_milli = (self.level_milli + refill_milli).min(self.burst * 1000);
        self.at_ms = now_ms;
        let is_enough = self.level_milli >= 1000;
        if is_enough {
            self.level_milli -= 1000;
        }
        is_enough
    }
}

impl Watch {
    /// The server has got the last byte of this.
    pub(crate) fn hear(&mut self, said: Said, now_ms: u64, offset: u64) {
        if self.is_deaf {
            return;
        }
        match said {
            Said::Close(code) => {
                self.is_deaf = true;
                self.is_close_heard = true;
                self.begin_close(code, now_ms, offset);
            }
            Said::Failure(code) => {
                self.is_deaf = true;
                self.begin_close(Some(code), now_ms, offset);
            }
            _ if self.closing.is_some() => {}
            Said::Ping(number) => {
                if self.pings.take(now_ms) {
                    self.pings_heard = number;
                } else {
                    self.begin_close(Some(POLICY), now_ms, offset);
                }
            }
            Said::Pong => {}
            Said::Subscribe { .. } | Said::Unsubscribe { .. } | Said::Invalid { .. } => {
                if !self.hear_message(said, now_ms) {
                    self.begin_close(Some(POLICY), now_ms, offset);
                }
            }
        }
    }

    /// The server has to close, unless it already does.
    pub(crate) fn begin_close(&mut self, code: Option<u16>, now_ms: u64, offset: u64) {
        if self.closing.is_none() {
            self.closing = Some(Closing { code, since_ms: now_ms, offset });
        }
    }

    /// Says whether the connection stays.
    fn hear_message(&mut self, said: Said, now_ms: u64) -> bool {
        if !self.messages.take(now_ms) {
            let (topic, id) = match said {
                Said::Subscribe { event, id } | Said::Unsubscribe { event, id } => {
                    (Echo::Event(event), id)
                }
                Said::Invalid { topic, id, .. } => (topic, id),
                _ => (Echo::Nothing, None),
            };
            return self.violate("rate-limited", topic, id);
        }
        let (what, id) = match said {
            Said::Subscribe { event, id } => {
                if !self.subscribes.take(now_ms) {
                    return self.violate("rate-limited", Echo::Event(event), id);
                }
                let ticket = self.next_ticket;
                self.next_ticket += 1;
                (Asked::Subscribe { event, ticket, decision: None, is_revoked: false }, id)
            }
            Said::Unsubscribe { event, id } => (Asked::Unsubscribe { event }, id),
            Said::Invalid { code: code @ "protocol-violation", topic, id } => {
                return self.violate(code, topic, id);
            }
            Said::Invalid { code, topic, id } => {
                self.expects.push_back(Expect { what: Asked::Refusal { code, topic }, id });
                return true;
            }
            _ => return true,
        };
        self.violation_count = 0;
        self.expects.push_back(Expect { what, id });
        true
    }

    fn violate(&mut self, code: &'static str, topic: Echo, id: Option<u32>) -> bool {
        self.expects.push_back(Expect { what: Asked::Refusal { code, topic }, id });
        self.violation_count += 1;
        self.violation_count < VIOLATIONS_MAX
    }

    /// The event the server must ask about under this ticket.
    #[must_use]
    pub(crate) fn asked(&self, ticket: u32) -> Option<usize> {
        self.expects.iter().find_map(|expect| match expect.what {
            Asked::Subscribe { event, ticket: known, .. } if known == ticket => Some(event),
            _ => None,
        })
    }

    /// The authority has answered.
    pub(crate) fn decide(&mut self, wanted: u32, answer: Decision, now_ms: u64) {
        for expect in &mut self.expects {
            if let Asked::Subscribe { ticket, decision: decision @ None, .. } = &mut expect.what
                && *ticket == wanted
            {
                *decision = Some((answer, now_ms));
            }
        }
    }

    /// The viewer may no longer see the event; `offset` bytes were taken before.
    pub(crate) fn revoke(&mut self, wanted: usize, offset: u64) {
        let mut is_concerned = self.topics[wanted].state != State::Off;
        for expect in &mut self.expects {
            let Asked::Subscribe { event, decision, is_revoked, ticket } = &mut expect.what else {
                continue;
            };
            match decision {
                _ if *event != wanted => {}
                Some((Decision::Allowed, _)) => {
                    *is_revoked = true;
                    is_concerned = true;
                }
                Some(_) => {}
                // An answer under way may be older than the revocation: it is asked for again.
                None => {
                    *ticket = self.next_ticket;
                    self.next_ticket += 1;
                }
            }
        }
        if is_concerned {
            let topic = &mut self.topics[wanted];
            topic.revoked_at = topic.revoked_at.or(Some(offset));
            topic.revocation_count += 1;
        }
    }

    /// Judges a message that is no position.
    pub(super) fn reply(&mut self, model: &Model, text: &[u8]) -> Verdict {
        if let Some(event) = self.ending.take() {
            let rest = matches(text, "unsubscribed", model, Echo::Event(event), None);
            self.end(event);
            return ensure(rest == Some(b"}"), Class::Order, || "half a revocation".into());
        }
        if let Some(event) = self.revoked(model, text) {
            self.ending = Some(event);
            return Ok(());
        }
        let Some(Expect { what, id }) = self.expects.pop_front() else {
            return Err(unexpected("nothing", text));
        };
        match what {
            Asked::Refusal { code, topic } => error(text, code, model, topic, id),
            Asked::Unsubscribe { event } => {
                let rest = matches(text, "unsubscribed", model, Echo::Event(event), id);
                self.end(event);
                ensure(rest == Some(b"}"), Class::Order, || {
                    format!("no `unsubscribed`: {}", say(text))
                })
            }
            Asked::Subscribe { event, decision, is_revoked, .. } => {
                self.answer(model, text, (event, id), (decision, is_revoked))
            }
        }
    }

    fn answer(
        &mut self,
        model: &Model,
        text: &[u8],
        (event, id): (usize, Option<u32>),
        (decision, is_revoked): (Option<(Decision, u64)>, bool),
    ) -> Verdict {
        let echo = Echo::Event(event);
        let code = match decision {
            None => return Err(unexpected("an answer before the decision", text)),
            Some((Decision::Forbidden, _)) => "forbidden",
            Some((Decision::NotFound, _)) => "not-found",
            Some((Decision::Undecided, _)) => "error",
            Some((Decision::Allowed, decided_ms)) => {
                let is_overdue = self.message_ms >= decided_ms + HELD_MS;
                if is_overdue && error(text, "error", model, echo, id).is_ok() {
                    return Ok(());
                }
                let is_known = self.topics[event].state != State::Off;
                let count = self.topics.iter().filter(|t| t.state != State::Off).count();
                if is_revoked && error(text, "forbidden", model, echo, id).is_ok() {
                    return Ok(());
                }
                if is_known || count < TOPICS_MAX {
                    let rest = matches(text, "subscribed", model, echo, id);
                    let rest = rest.and_then(|rest| rest.strip_prefix(br#","snapshot":"#));
                    let Some(snapshot) = rest else { return Err(unexpected("`subscribed`", text)) };
                    self.begin(event, is_revoked)?;
                    return self.snapshot(model, event, snapshot);
                }
                "too-many-topics"
            }
        };
        error(text, code, model, echo, id)
    }

    fn begin(&mut self, event: usize, is_revoked: bool) -> Verdict {
        let topic = &mut self.topics[event];
        if is_revoked {
            topic.state = State::Ending;
            return Ok(());
        }
        let is_clear = topic.state == State::Off || topic.revoked_at.is_none();
        topic.state = State::On;
        topic.revoked_at = None;
        ensure(is_clear, Class::Foreign, || format!("event {event}: a revocation had no effect"))
    }

    fn end(&mut self, event: usize) {
        let topic = &mut self.topics[event];
        topic.state = State::Off;
        topic.revoked_at = None;
    }

    /// The event whose revocation this message announces. Viewers who are ever revoked give an id
    /// with every request, so an error without one is no reply.
    fn revoked(&mut self, model: &Model, text: &[u8]) -> Option<usize> {
        let revoked = |(_, topic): &(usize, &super::Topic)| topic.revocation_count > 0;
        let event = self.topics.iter().enumerate().filter(revoked).find_map(|(event, _)| {
            error(text, "forbidden", model, Echo::Event(event), None).is_ok().then_some(event)
        })?;
        self.topics[event].revocation_count -= 1;
        Some(event)
    }
}

fn error(text: &[u8], code: &str, model: &Model, topic: Echo, id: Option<u32>) -> Verdict {
    let rest = text.strip_prefix(br#"{"type":"error","code":""#);
    let rest = rest.and_then(|rest| rest.strip_prefix(code.as_bytes()));
    let rest = rest.and_then(|rest| rest.strip_prefix(b"\""));
    let rest = rest.and_then(|rest| echoes(rest, model, topic, id));
    let mut scan = Scan::new(rest.unwrap_or(&[]));
    let is_whole = scan.eat(br#","message":""#)
        && scan.string().is_some_and(|sentence| sentence.ends_with(b"."))
        && scan.rest() == b"}";
    ensure(is_whole, Class::Order, || {
        format!("no error {code} for {topic:?} {id:?}: {}", say(text))
    })
}

/// What follows the type, topic and id, if they are these.
fn matches<'a>(
    text: &'a [u8],
    kind: &str,
    model: &Model,
    topic: Echo,
    id: Option<u32>,
) -> Option<&'a [u8]> {
    let rest = text.strip_prefix(br#"{"type":""#)?;
    let rest = rest.strip_prefix(kind.as_bytes())?.strip_prefix(b"\"")?;
    echoes(rest, model, topic, id)
}

fn echoes<'a>(text: &'a [u8], model: &Model, topic: Echo, id: Option<u32>) -> Option<&'a [u8]> {
    let mut rest = text;
    match topic {
        Echo::Nothing => {}
        Echo::Event(event) => {
            rest = rest.strip_prefix(br#","topic":"event:"#)?;
            rest = rest.strip_prefix(&model.events[event].uuid)?.strip_prefix(b"\"")?;
        }
        Echo::Text(topic) => {
            rest = rest.strip_prefix(br#","topic":""#)?;
            rest = rest.strip_prefix(topic.as_bytes())?.strip_prefix(b"\"")?;
        }
    }
    let Some(id) = id else { return Some(rest) };
    let (digits, rest) = rest.strip_prefix(br#","id":"r"#)?.split_first_chunk::<4>()?;
    let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number == id).then_some(rest)?.strip_prefix(b"\"")
}

fn unexpected(wanted: &str, text: &[u8]) -> Violation {
    Violation::new(Class::Order, &format!("{wanted} was due, and this came: {}", say(text)))
}

fn say(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().take(200).collect()
}
