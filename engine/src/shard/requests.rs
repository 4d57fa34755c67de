//! What viewers ask of the shard, and the replies they are owed: one each, in order.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::{GoneReason, Question, Shard};
use crate::feed::{NO_LAPS, Snapshot, Subscriber};
use crate::id::{EventId, ViewerId};
use crate::limits::{
    CLOSE_WAIT_MS, MESSAGE_RATE, PING_RATE, REQUESTS_WAITING_MAX, SNAPSHOT_BYTES_MAX,
    SUBSCRIBE_RATE, TOPICS_MAX, VIOLATIONS_MAX,
};
use crate::protocol::{
    ErrorCode, Refusal, Request, RequestId, RequestKind, Topic as ProtocolTopic, parse_request,
    write_error, write_refusal, write_subscribed_prefix, write_unsubscribed,
};
use crate::viewer::{Answer, Decision, Reply, State, Topic, Viewer, Waiting};
use crate::websocket::{CloseCode, Incoming, Input, write_close, write_close_echo, write_pong};

/// A snapshot up to this size is copied behind its private part: one send instead of two.
const SNAPSHOT_COPY_BYTES_MAX: usize = 4096;

impl Shard {
    /// A viewer who has been let in; `None` when the shard is full.
    pub fn handle_open(&mut self) -> Option<ViewerId> {
        if self.viewers.count() >= self.config.viewers_max {
            return None;
        }
        let index = self.viewers.insert(Viewer::new(self.now));
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
                Ok(Incoming::Pong(_)) => {}
                Ok(Incoming::Close { code, .. }) => self.handle_peer_close(index, code),
                Err(failure) => self.close(index, failure.close_code(), failure.sentence()),
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
        // What was allowed before the revocation and still waits must not begin after it.
        let Some(place) = self.viewers.at_mut(index) else { return };
        for waiting in &mut place.line {
            if let Waiting::Subscribe { event: wanted, answer, .. } = waiting
                && *wanted == event
                && matches!(answer, Answer::Known(Decision::Allowed) | Answer::Held)
            {
                *answer = Answer::Known(Decision::Forbidden);
            }
        }
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
        if !viewer.messages.take(MESSAGE_RATE, now) {
            self.refuse_rate(index, None, None);
            return;
        }
        match parse_request(text) {
            Ok(request) => self.handle_request(index, request),
            Err(refusal) => self.refuse(index, &refusal),
        }
    }

    fn handle_request(&mut self, index: u32, request: Request) {
        let now = self.now;
        let Request { kind, event, id } = request;
        let Some(viewer) = self.viewers.at_mut(index) else { return };
        match kind {
            RequestKind::Subscribe => {
                if !viewer.subscribes.take(SUBSCRIBE_RATE, now) {
                    self.refuse_rate(index, Some(event), id);
                    return;
                }
                viewer.violation_count = 0;
                let ticket = viewer.next_ticket;
                viewer.next_ticket = ticket.wrapping_add(1);
                let viewer = self.id(index);
                self.questions.push_back(Question { viewer, ticket, event });
                let answer = Answer::Asked(ticket);
                self.queue(index, Waiting::Subscribe { event, id, answer });
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

    fn refuse_rate(&mut self, index: u32, event: Option<EventId>, id: Option<RequestId>) {
        let mut bytes = Vec::new();
        let code = ErrorCode::RateLimited;
        let topic = event.map(ProtocolTopic::Event);
        write_error(&mut bytes, code, topic.as_ref(), id.as_ref(), code.sentence());
        self.queue(index, Waiting::Refusal(bytes));
        self.count_violation(index);
    }

    fn count_violation(&mut self, index: u32) {
        let Some(viewer) = self.viewers.at_mut(index) else { return };
        viewer.violation_count += 1;
        if viewer.violation_count >= VIOLATIONS_MAX {
            self.close(index, CloseCode::POLICY, "Too many violations in a row.");
        }
    }

    fn handle_ping(&mut self, index: u32, payload: &[u8]) {
        let now = self.now;
        let Some(viewer) = self.viewers.at_mut(index).filter(|viewer| viewer.is_open()) else {
            return;
        };
        if !viewer.pings.take(PING_RATE, now) {
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
        if self.viewers.at(index).is_some_and(Viewer::is_open) {
            self.begin_close(index, false);
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

    fn queue(&mut self, index: u32, waiting: Waiting) {
        let Some(viewer) = self.viewers.at_mut(index) else { return };
        if viewer.line.len() >= REQUESTS_WAITING_MAX {
            self.close(index, CloseCode::POLICY, "Too many requests at once.");
            return;
        }
        viewer.line.push_back(waiting);
        self.advance_line(index);
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
                    let done = self.decide(index, event, id.as_ref(), decision);
                    if !done {
                        let waiting = Waiting::Subscribe { event, id, answer: Answer::Held };
                        let viewer = self.viewers.at_mut(index).expect("nobody has left");
                        viewer.line.push_front(waiting);
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
                if !is_known && viewer.topics.len() >= TOPICS_MAX {
                    ErrorCode::TooManyTopics
                } else if !self.has_room_for(event) {
                    ErrorCode::Error
                } else {
                    return self.subscribe(index, event, id);
                }
            }
            Decision::Forbidden => ErrorCode::Forbidden,
            Decision::NotFound => ErrorCode::NotFound,
            Decision::Undecided => ErrorCode::Error,
        };
        let mut bytes = Vec::new();
        write_error(&mut bytes, code, Some(&ProtocolTopic::Event(event)), id, code.sentence());
        self.reply(index, Reply::Message(bytes));
        true
    }

    fn subscribe(&mut self, index: u32, event: EventId, id: Option<&RequestId>) -> bool {
        let feed_index = self.feed_of(event);
        let viewer_id = self.id(index);
        let feed = self.feeds.at_mut(feed_index).expect("found or made");
        if !feed.is_live {
            feed.waiting.push(viewer_id);
            return false;
        }
        let place = self.viewers.at(index).and_then(|viewer| self.topic_of(viewer, event));
        let Some(snapshot) = self.snapshot_for(feed_index, place.is_none()) else {
            self.deferred.push_back(viewer_id);
            return false;
        };
        match place {
            Some(topic) => self.move_cursor(topic, &snapshot),
            None => self.add_subscriber(index, feed_index, &snapshot),
        }
        let mut prefix = Vec::new();
        write_subscribed_prefix(&mut prefix, event, id, snapshot.tail.len());
        if snapshot.tail.len() <= SNAPSHOT_COPY_BYTES_MAX {
            prefix.extend_from_slice(&snapshot.tail);
            self.reply(index, Reply::Message(prefix));
        } else {
            self.reply(index, Reply::Subscribed(prefix, snapshot));
        }
        true
    }

    /// The snapshot of this moment, or an older one for a newcomer when memory is short.
    fn snapshot_for(&mut self, feed_index: u32, is_newcomer: bool) -> Option<Arc<Snapshot>> {
        let feed = self.feeds.at_mut(feed_index).expect("the caller has found it");
        if feed.has_fresh_snapshot() {
            return Some(feed.snapshot());
        }
        self.snapshots.retain(|snapshot| snapshot.strong_count() > 0);
        let alive = self.snapshots.iter().filter_map(Weak::upgrade);
        let alive_bytes: usize = alive.map(|snapshot| snapshot.tail.len()).sum();
        if alive_bytes <= SNAPSHOT_BYTES_MAX {
            let snapshot = feed.snapshot();
            self.snapshots.push(Arc::downgrade(&snapshot));
            return Some(snapshot);
        }
        feed.past_snapshot().filter(|_| is_newcomer).cloned()
    }

    /// Viewers whose subscribe waited for memory.
    pub(super) fn retry_deferred(&mut self) {
        for _ in 0..self.deferred.len() {
            let viewer = self.deferred.pop_front().expect("counted");
            self.release(viewer);
        }
    }

    /// Goes on with a subscribe that was held.
    pub(super) fn release(&mut self, viewer: ViewerId) {
        let Some(index) = self.place_of(viewer) else { return };
        let first = self.viewers.at_mut(index).and_then(|viewer| viewer.line.front_mut());
        if let Some(Waiting::Subscribe { answer: answer @ Answer::Held, .. }) = first {
            *answer = Answer::Known(Decision::Allowed);
            self.advance_line(index);
        }
    }

    fn add_subscriber(&mut self, index: u32, feed_index: u32, snapshot: &Snapshot) {
        let generation = self.viewers.generation(index);
        let viewer = self.viewers.at_mut(index).expect("the caller has found it");
        let feed = self.feeds.at_mut(feed_index).expect("the caller has found it");
        let place = |count: usize| u32::try_from(count).expect("bounded by VIEWERS_MAX");
        viewer.topics.push(Topic { feed: feed_index, subscriber: place(feed.subscribers.len()) });
        feed.subscribers.push(Subscriber {
            viewer: index,
            generation,
            topic: place(viewer.topics.len() - 1),
            cursor: snapshot.last,
            laps: NO_LAPS,
        });
        self.ledger.due += feed.last().0 - snapshot.last.0;
    }

    /// A repeated subscribe: the snapshot takes the place of whatever was still to come.
    fn move_cursor(&mut self, topic: Topic, snapshot: &Snapshot) {
        let feed = self.feeds.at(topic.feed).expect("topics name feeds");
        let mut subscriber = feed.subscribers[topic.subscriber as usize];
        self.ledger.conflated += self.owed(snapshot.last, &subscriber);
        if subscriber.laps != NO_LAPS {
            self.laps.remove(subscriber.laps);
        }
        subscriber.cursor = snapshot.last;
        subscriber.laps = NO_LAPS;
        let feed = self.feeds.at_mut(topic.feed).expect("topics name feeds");
        feed.subscribers[topic.subscriber as usize] = subscriber;
    }

    fn topic_of(&self, viewer: &Viewer, event: EventId) -> Option<Topic> {
        let watches = |topic: &&Topic| self.feeds.at(topic.feed).is_some_and(|f| f.event == event);
        viewer.topics.iter().find(watches).copied()
    }

    /// Ends one topic of a viewer; says whether it had it.
    fn leave(&mut self, index: u32, event: EventId) -> bool {
        let Some(viewer) = self.viewers.at(index) else { return false };
        let Some(topic) = self.topic_of(viewer, event) else { return false };
        self.drop_topic(index, topic);
        true
    }

    /// Ends every topic of a viewer.
    pub(super) fn leave_all(&mut self, index: u32) {
        while let Some(&topic) = self.viewers.at(index).and_then(|viewer| viewer.topics.last()) {
            self.drop_topic(index, topic);
        }
    }

    fn drop_topic(&mut self, index: u32, topic: Topic) {
        let now_ms = self.now.monotonic_ms();
        let feed = self.feeds.at_mut(topic.feed).expect("topics name feeds");
        let last = feed.last();
        let subscriber = feed.subscribers.swap_remove(topic.subscriber as usize);
        assert_eq!(subscriber.viewer, index, "topic and subscriber name each other");
        let moved = feed.subscribers.get(topic.subscriber as usize).copied();
        if feed.subscribers.is_empty() {
            feed.idle_since_ms = now_ms;
        }
        if let Some(moved) = moved {
            let viewer = self.viewers.at_mut(moved.viewer).expect("subscribers name viewers");
            viewer.topics[moved.topic as usize].subscriber = topic.subscriber;
            // A round may already have passed its new place.
            self.make_ready(moved.viewer);
        }
        self.ledger.abandoned += self.owed(last, &subscriber);
        if subscriber.laps != NO_LAPS {
            self.laps.remove(subscriber.laps);
        }
        let viewer = self.viewers.at_mut(index).expect("the caller has found it");
        viewer.topics.swap_remove(subscriber.topic as usize);
        if let Some(&moved) = viewer.topics.get(subscriber.topic as usize) {
            let feed = self.feeds.at_mut(moved.feed).expect("topics name feeds");
            feed.subscribers[moved.subscriber as usize].topic = subscriber.topic;
        }
    }
}
