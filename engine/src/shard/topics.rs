//! A viewer's topics: how they begin with a snapshot, wait for one, and end.

use std::sync::{Arc, Weak};

use super::Shard;
use crate::feed::{NO_LAPS, Snapshot, Subscriber};
use crate::id::EventId;
use crate::limits::{HELD_MS_MAX, SNAPSHOT_BYTES_MAX, SNAPSHOT_COPY_BYTES_MAX};
use crate::protocol::{ErrorCode, RequestId, write_subscribed_prefix};
use crate::viewer::{Answer, Reply, Topic, Viewer, Waiting};

impl Shard {
    /// Begins, or begins anew, a topic; false when it must wait for the owner's picture or memory.
    pub(super) fn subscribe(&mut self, index: u32, event: EventId, id: Option<&RequestId>) -> bool {
        let feed_index = self.feed_of(event);
        if !self.feeds.at(feed_index).expect("found or made").is_live {
            return false;
        }
        let place = self.viewers.at(index).and_then(|viewer| self.topic_of(viewer, event));
        let Some(snapshot) = self.snapshot_for(feed_index, place.is_none()) else {
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
        if self.has_snapshot_memory() {
            let feed = self.feeds.at_mut(feed_index).expect("the caller has found it");
            let snapshot = feed.snapshot();
            self.snapshots.push(Arc::downgrade(&snapshot));
            return Some(snapshot);
        }
        let feed = self.feeds.at(feed_index).expect("the caller has found it");
        feed.past_snapshot().filter(|_| is_newcomer).cloned()
    }

    fn has_snapshot_memory(&mut self) -> bool {
        self.snapshots.retain(|snapshot| snapshot.strong_count() > 0);
        let alive = self.snapshots.iter().filter_map(Weak::upgrade);
        alive.map(|snapshot| snapshot.tail.len()).sum::<usize>() <= SNAPSHOT_BYTES_MAX
    }

    /// Puts a subscribe back to the head of the line, where it waits, but not for ever.
    pub(super) fn hold(&mut self, index: u32, event: EventId, id: Option<RequestId>) {
        let until_ms = self.now.monotonic_ms() + HELD_MS_MAX;
        let viewer = self.viewers.at_mut(index).expect("the caller has found it");
        viewer.line.push_front(Waiting::Subscribe { event, id, answer: Answer::Held(until_ms) });
        self.held.push_back((until_ms, self.id(index)));
        self.tally.held += 1;
    }

    /// Looks again at the subscribes that were held; those whose time is over are told to try again.
    pub(super) fn retry_held(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let has_memory = self.has_snapshot_memory();
        // What is held on the way, by those who wait in line behind these, is looked at next time.
        let mut held = std::mem::take(&mut self.held);
        for _ in 0..held.len() {
            let (until_ms, viewer) = held.pop_front().expect("counted");
            let Some(index) = self.place_of(viewer) else { continue };
            let line = &mut self.viewers.at_mut(index).expect("found").line;
            let is_held = matches!(line.front(), Some(Waiting::Subscribe { answer, .. })
                if *answer == Answer::Held(until_ms));
            if !is_held {
                continue;
            }
            let Some(Waiting::Subscribe { event, id, .. }) = line.pop_front() else { continue };
            let is_done = if self.now.monotonic_ms() >= until_ms {
                let code = ErrorCode::Error;
                let sentence = "The event could not be shown in time. Try again.";
                self.reply_error(index, (event, id.as_ref()), code, sentence);
                true
            } else {
                has_memory && self.subscribe(index, event, id.as_ref())
            };
            if is_done {
                self.advance_line(index);
                continue;
            }
            let waiting = Waiting::Subscribe { event, id, answer: Answer::Held(until_ms) };
            self.viewers.at_mut(index).expect("found").line.push_front(waiting);
            held.push_back((until_ms, viewer));
        }
        held.append(&mut self.held);
        self.held = held;
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

    pub(super) fn topic_of(&self, viewer: &Viewer, event: EventId) -> Option<Topic> {
        let watches = |topic: &&Topic| self.feeds.at(topic.feed).is_some_and(|f| f.event == event);
        viewer.topics.iter().find(watches).copied()
    }

    /// Ends one topic of a viewer; says whether it had it.
    pub(super) fn leave(&mut self, index: u32, event: EventId) -> bool {
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
