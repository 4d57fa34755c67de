//! What viewers ask of the shard, and the replies they are owed: one each, in order.

use std::collections::VecDeque;

use super::{GoneReason, Question, Shard};
use crate::id::{EventId, ViewerId};
use crate::limits::{CLOSE_WAIT_MS, REQUESTS_WAITING_MAX, ROUND_TRIPS_MAX};
use crate::protocol::{
    ErrorCode, Refusal, Request, RequestId, RequestKind, Topic as ProtocolTopic, parse_request,
    write_error, write_refusal, write_unsubscribed,
};
use crate::viewer::{Answer, Decision, Reply, State, Viewer, Waiting};
use crate::websocket::{CloseCode, Incoming, Input, write_close, write_close_echo, write_pong};

impl Shard {
    /// A viewer who has been let in; `None` when the shard is full.
    pub fn handle_open(&mut self) -> Option<ViewerId> {
        if self.viewers.count() >= self.config.viewers_max {
            return None;
        }
        let viewer = Viewer::new(self.now, &self.config);
        let index = self.viewers.insert(viewer);
        Some(self.id(index))
    }

    /// Bytes from a viewer; they are unmasked in place.
    pub fn handle_bytes(&mut self, viewer: ViewerId, bytes: &mut [u8]) {
        let Some(index) = self.place_of(viewer) else { return };
        let Some(place) = self.viewers.at_mut(index) else { return };
        place.heard_ms = self.now.monotonic_ms();
        let mut reader = std::mem::take(&mut place.reader);
        let mut input = Input::new(bytes);
        while let Some(incoming) = reader.poll(&mut input) {
            match incoming {
                Ok(Incoming::Text(text)) => self.handle_text(index, text),
                Ok(Incoming::Ping(payload)) => self.handle_ping(index, payload),
                Ok(Incoming::Pong(_)) => self.handle_pong(index),
                Ok(Incoming::Close { code, .. }) => self.handle_peer_close(index, code),
                // Its reader is finished, so its own close would not be heard: ours is the last word.
                Err(failure) => self.end(index, failure.close_code(), failure.sentence(), true),
            }
        }
        if self.place_of(viewer).is_some()
            && let Some(place) = self.viewers.at_mut(index)
        {
            place.reader = reader;
        }
    }

    /// The kernel takes bytes for this viewer again.
    pub fn handle_writable(&mut self, viewer: ViewerId) {
        if let Some(index) = self.place_of(viewer)
            && let Some(place) = self.viewers.at_mut(index)
        {
            place.is_blocked = false;
            self.make_ready(index);
        }
    }

    /// The connection has ended; the driver has closed the socket.
    pub fn handle_lost(&mut self, viewer: ViewerId) {
        if let Some(index) = self.place_of(viewer) {
            self.remove(index);
        }
    }

    /// The answer to a question.
    pub fn handle_decision(&mut self, viewer: ViewerId, ticket: u32, decision: Decision) {
        let Some(index) = self.place_of(viewer) else { return };
        let Some(place) = self.viewers.at_mut(index) else { return };
        for waiting in &mut place.line {
            if let Waiting::Subscribe { answer, .. } = waiting
                && *answer == Answer::Asked(ticket)
            {
                *answer = Answer::Known(decision);
            }
        }
        self.advance_line(index);
    }

    /// The viewer's user may no longer see the event.
    pub fn handle_revocation(&mut self, viewer: ViewerId, event: EventId) {
        let Some(index) = self.place_of(viewer) else { return };
        if self.leave(index, event) {
            let mut bytes = Vec::new();
            let code = ErrorCode::Forbidden;
            let topic = ProtocolTopic::Event(event);
            write_error(&mut bytes, code, Some(&topic), None, code.sentence());
            write_unsubscribed(&mut bytes, event, None);
            self.reply(index, Reply::Message(bytes));
        }
        // What was allowed before the revocation and still waits must not begin after it, and an
        // answer that is under way may be older than the revocation: it is asked for again.
        self.questions.retain(|question| question.viewer != viewer || question.event != event);
        let Some(place) = self.viewers.at_mut(index) else { return };
        let mut fresh_ticket = place.next_ticket;
        for waiting in &mut place.line {
            let Waiting::Subscribe { event: wanted, answer, .. } = waiting else { continue };
            match answer {
                _ if *wanted != event => {}
                Answer::Known(Decision::Allowed) | Answer::Held(_) => {
                    *answer = Answer::Known(Decision::Forbidden);
                }
                Answer::Asked(ticket) => {
                    *ticket = fresh_ticket;
                    self.questions.push_back(Question { viewer, ticket: fresh_ticket, event });
                    fresh_ticket = fresh_ticket.wrapping_add(1);
                }
                Answer::Known(_) => {}
            }
        }
        place.next_ticket = fresh_ticket;
        self.advance_line(index);
    }

    /// Closes a viewer: what it is owed first, then the close.
    pub fn handle_close(&mut self, viewer: ViewerId, code: CloseCode, reason: &str) {
        if let Some(index) = self.place_of(viewer) {
            self.close(index, code, reason);
        }
    }

    fn handle_text(&mut self, index: u32, text: &str) {
        let now = self.now;
        let Some(viewer) = self.viewers.at_mut(index).filter(|viewer| viewer.is_open()) else {
            return;
        };
        let is_allowed = viewer.messages.take(self.config.message_rate, now);
        match parse_request(text) {
            Ok(request) if is_allowed => self.handle_request(index, request),
            Err(refusal) if is_allowed => self.refuse(index, &refusal),
            Ok(request) => {
                self.refuse_rate(index, Some(&ProtocolTopic::Event(request.event)), request.id);
            }
            Err(refusal) => self.refuse_rate(index, refusal.topic.as_ref(), refusal.id),
        }
    }

    fn handle_request(&mut self, index: u32, request: Request) {
        let now = self.now;
        let Request { kind, event, id } = request;
        let Some(viewer) = self.viewers.at_mut(index) else { return };
        match kind {
            RequestKind::Subscribe => {
                if !viewer.subscribes.take(self.config.subscribe_rate, now) {
                    self.refuse_rate(index, Some(&ProtocolTopic::Event(event)), id);
                    return;
                }
                viewer.violation_count = 0;
                let ticket = viewer.ticket();
                let answer = Answer::Asked(ticket);
                if self.queue(index, Waiting::Subscribe { event, id, answer }) {
                    let viewer = self.id(index);
                    self.questions.push_back(Question { viewer, ticket, event });
                }
            }
            RequestKind::Unsubscribe => {
                viewer.violation_count = 0;
                self.queue(index, Waiting::Unsubscribe { event, id });
            }
        }
    }

    fn refuse(&mut self, index: u32, refusal: &Refusal) {
        let mut bytes = Vec::new();
        write_refusal(&mut bytes, refusal);
        self.queue(index, Waiting::Refusal(bytes));
        if refusal.cause.code() == ErrorCode::ProtocolViolation {
            self.count_violation(index);
        }
    }

    fn refuse_rate(&mut self, index: u32, topic: Option<&ProtocolTopic>, id: Option<RequestId>) {
        self.tally.rate_limited += 1;
        let mut bytes = Vec::new();
        let code = ErrorCode::RateLimited;
        write_error(&mut bytes, code, topic, id.as_ref(), code.sentence());
        self.queue(index, Waiting::Refusal(bytes));
        self.count_violation(index);
    }

    fn count_violation(&mut self, index: u32) {
        let Some(viewer) = self.viewers.at_mut(index) else { return };
        viewer.violation_count += 1;
        if viewer.violation_count >= self.config.violations_max {
            self.close(index, CloseCode::POLICY, "Too many violations in a row.");
        }
    }

    fn handle_ping(&mut self, index: u32, payload: &[u8]) {
        let now = self.now;
        let Some(viewer) = self.viewers.at_mut(index).filter(|viewer| viewer.is_open()) else {
            return;
        };
        if !viewer.pings.take(self.config.ping_rate, now) {
            self.close(index, CloseCode::POLICY, "Too many pings.");
            return;
        }
        let mut pong = Vec::new();
        write_pong(&mut pong, payload);
        // Only the newest ping needs an answer (RFC 6455, 5.5.3): an unsent pong makes room.
        let in_flight = usize::from(viewer.sent_bytes > 0 && viewer.tail.is_empty());
        let old = viewer.replies.iter().skip(in_flight).position(|r| matches!(r, Reply::Pong(_)));
        if let Some(at) = old {
            viewer.replies[in_flight + at] = Reply::Pong(pong);
            return;
        }
        self.reply(index, Reply::Pong(pong));
    }

    /// The first pong after a ping says how long the way there and back is.
    fn handle_pong(&mut self, index: u32) {
        let now_ms = self.now.monotonic_ms();
        let Some(viewer) = self.viewers.at_mut(index) else { return };
        if std::mem::replace(&mut viewer.pong_awaited, false)
            && self.round_trips_ms.len() < ROUND_TRIPS_MAX
        {
            self.round_trips_ms.push(now_ms.saturating_sub(viewer.pinged_ms));
        }
    }

    fn handle_peer_close(&mut self, index: u32, code: Option<CloseCode>) {
        let Some(viewer) = self.viewers.at_mut(index) else { return };
        match &mut viewer.state {
            State::Open => {
                self.begin_close(index, true);
                let mut bytes = Vec::new();
                write_close_echo(&mut bytes, code);
                self.reply(index, Reply::Close(bytes));
            }
            State::Closing { heard_close, .. } => {
                *heard_close = true;
                if viewer.replies.is_empty() {
                    self.lose(index, GoneReason::Closed);
                }
            }
        }
    }

    fn close(&mut self, index: u32, code: CloseCode, reason: &str) {
        self.end(index, code, reason, false);
    }

    fn end(&mut self, index: u32, code: CloseCode, reason: &str, heard_close: bool) {
        if self.viewers.at(index).is_some_and(Viewer::is_open) {
            self.begin_close(index, heard_close);
            let mut bytes = Vec::new();
            write_close(&mut bytes, code, reason);
            self.reply(index, Reply::Close(bytes));
        }
    }

    fn begin_close(&mut self, index: u32, heard_close: bool) {
        self.leave_all(index);
        let deadline_ms = self.now.monotonic_ms() + CLOSE_WAIT_MS;
        if let Some(viewer) = self.viewers.at_mut(index) {
            viewer.line.clear();
            viewer.state = State::Closing { deadline_ms, heard_close };
        }
    }

    /// Puts a request into the line; false when that was one too many.
    fn queue(&mut self, index: u32, waiting: Waiting) -> bool {
        let Some(viewer) = self.viewers.at_mut(index) else { return false };
        if viewer.line.len() >= REQUESTS_WAITING_MAX {
            self.close(index, CloseCode::POLICY, "Too many requests at once.");
            return false;
        }
        viewer.line.push_back(waiting);
        self.advance_line(index);
        true
    }

    /// Answers the requests at the head of the line, up to one that has to wait.
    pub(super) fn advance_line(&mut self, index: u32) {
        loop {
            let Some(viewer) = self.viewers.at_mut(index) else { return };
            let Some(first) = viewer.line.pop_front() else {
                // An idle viewer holds no room for requests.
                viewer.line = VecDeque::new();
                return;
            };
            match first {
                Waiting::Subscribe { event, id, answer: Answer::Known(decision) } => {
                    if !self.decide(index, event, id.as_ref(), decision) {
                        self.hold(index, event, id);
                        return;
                    }
                }
                waiting @ Waiting::Subscribe { .. } => {
                    viewer.line.push_front(waiting);
                    return;
                }
                Waiting::Unsubscribe { event, id } => {
                    self.leave(index, event);
                    let mut bytes = Vec::new();
                    write_unsubscribed(&mut bytes, event, id.as_ref());
                    self.reply(index, Reply::Message(bytes));
                }
                Waiting::Refusal(bytes) => self.reply(index, Reply::Message(bytes)),
            }
        }
    }

    /// Answers a subscribe; false when it must wait for the owner's picture or for memory.
    fn decide(
        &mut self,
        index: u32,
        event: EventId,
        id: Option<&RequestId>,
        decision: Decision,
    ) -> bool {
        let code = match decision {
            Decision::Allowed => {
                let viewer = self.viewers.at(index).expect("the caller has found it");
                let is_known = self.topic_of(viewer, event).is_some();
                if !is_known && viewer.topics.len() >= self.config.topics_max {
                    ErrorCode::TooManyTopics
                } else if !self.has_room_for(event) {
                    let sentence = "This server serves as many events as it can. Try again.";
                    self.reply_error(index, (event, id), ErrorCode::Error, sentence);
                    return true;
                } else {
                    return self.subscribe(index, event, id);
                }
            }
            Decision::Forbidden => ErrorCode::Forbidden,
            Decision::NotFound => ErrorCode::NotFound,
            Decision::Undecided => ErrorCode::Error,
        };
        self.reply_error(index, (event, id), code, code.sentence());
        true
    }

    pub(super) fn reply_error(
        &mut self,
        index: u32,
        request: (EventId, Option<&RequestId>),
        code: ErrorCode,
        sentence: &str,
    ) {
        let mut bytes = Vec::new();
        let (event, id) = request;
        write_error(&mut bytes, code, Some(&ProtocolTopic::Event(event)), id, sentence);
        self.reply(index, Reply::Message(bytes));
    }
}
