//! The hot loop: which bytes go to which viewer next, and what became of them.
//!
//! A round goes once through the subscribers of every feed that has something new, beginning each
//! time with another, so nobody is always last. A viewer who is up to date gets the newest block
//! with one send, straight from the shared bytes. Everybody else (replies to send, behind in the
//! window, catching up) takes a turn of its own, of at most [`TURN_SENDS_MAX`] sends, and queues
//! again; the round and the turns alternate. A blocked viewer costs nothing until the kernel takes
//! bytes again.

mod direct;
mod sending;
mod walk;

use std::collections::VecDeque;

pub(crate) use self::sending::Sending;
use self::sending::Turn;
use self::walk::Walk;
use crate::feed::{Feed, NO_LAPS, Place};
use crate::id::{Sequence, ViewerId};
use crate::limits::{REPLIES_WAITING_MAX, ROUND_SENDS_PER_TURN, TURN_SENDS_MAX};
use crate::ring::Laps;
use crate::shard::{GoneReason, Shard};
use crate::viewer::{Reply, State, Topic, Viewer};

/// Bytes for one viewer, to be given to the kernel with one send.
#[derive(Clone, Copy, Debug)]
pub struct Send<'a> {
    /// Who.
    pub viewer: ViewerId,
    /// What.
    pub bytes: &'a [u8],
}

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The kernel took everything.
    All,
    /// It took this many bytes, perhaps none, and no more until it says so.
    Part(usize),
    /// The connection is broken. The viewer will be reported gone.
    Broken,
}

/// What was handed out by the last [`Shard::poll_send`].
#[derive(Clone, Copy, Debug)]
enum Offer {
    /// The rest of a frame that was cut.
    Tail { viewer: u32 },
    /// The first reply.
    Reply { viewer: u32 },
    /// The whole newest block, in a round.
    Newest { viewer: u32, feed: u32, subscriber: u32 },
    /// Frames of the window, from `frame` of `block` on.
    Block { viewer: u32, feed: u32, subscriber: u32, block: usize, frame: usize },
    /// A chunk of a lap.
    Lap { viewer: u32, feed: u32, subscriber: u32 },
}

impl Shard {
    /// The next bytes to send. [`Shard::handle_sent`] must follow at once.
    pub fn poll_send(&mut self) -> Option<Send<'_>> {
        let offer = self.next_offer()?;
        self.sending.offer = Some(offer);
        let viewer = match offer {
            Offer::Newest { feed, subscriber, .. } => {
                self.feeds.at(feed).expect("was just found").subscribers[subscriber as usize].id()
            }
            _ => self.id(offer.viewer()),
        };
        Some(Send { viewer, bytes: self.offered(offer) })
    }

    /// What became of the last send.
    ///
    /// # Panics
    /// When there was none.
    pub fn handle_sent(&mut self, sent: Sent) {
        let offer = self.sending.offer.take().expect("an outcome follows a send");
        match (offer, sent) {
            (Offer::Newest { feed, subscriber, .. }, Sent::All) => {
                return self.newest_sent(Topic { feed, subscriber });
            }
            (Offer::Block { viewer, feed, subscriber, block, .. }, Sent::All) => {
                return self.block_sent(viewer, Topic { feed, subscriber }, block);
            }
            _ => {}
        }
        let (bytes, is_blocked) = match sent {
            Sent::All => (self.offered(offer).len(), false),
            Sent::Part(bytes) => (bytes, true),
            Sent::Broken => {
                self.sending.turn = None;
                self.lose(offer.viewer(), GoneReason::Broken);
                return;
            }
        };
        let viewer = self.viewers.at_mut(offer.viewer()).expect("was offered bytes");
        viewer.is_blocked = is_blocked;
        if bytes > 0 {
            viewer.sent_ms = self.now.monotonic_ms();
        }
        if is_blocked {
            self.sending.look_again(offer.viewer());
        }
        match offer {
            Offer::Tail { viewer } => self.tail_sent(viewer, bytes),
            Offer::Reply { viewer } => self.reply_sent(viewer, bytes),
            Offer::Newest { viewer, feed, subscriber } => {
                let block = self.feeds.at(feed).expect("was offered bytes of").newest_block();
                self.block_cut(viewer, Topic { feed, subscriber }, (block, 0), bytes);
            }
            Offer::Block { viewer, feed, subscriber, block, frame } => {
                self.block_cut(viewer, Topic { feed, subscriber }, (block, frame), bytes);
            }
            Offer::Lap { viewer, feed, subscriber } => {
                self.lap_sent(viewer, Topic { feed, subscriber }, bytes);
            }
        }
    }

    fn next_offer(&mut self) -> Option<Offer> {
        loop {
            if let Some(turn) = &mut self.sending.turn {
                let viewer = turn.viewer;
                if turn.sends_left > 0 {
                    turn.sends_left -= 1;
                    if let Some(offer) = self.next_for(viewer) {
                        return Some(offer);
                    }
                    self.sending.turn = None;
                } else {
                    self.sending.turn = None;
                    self.make_ready(viewer);
                }
            } else if self.sending.round_credit > 0
                && let Some(offer) = self.next_in_round()
            {
                self.sending.round_credit -= 1;
                return Some(offer);
            } else if let Some(viewer) = self.sending.ready.pop_front() {
                self.sending.round_credit = ROUND_SENDS_PER_TURN;
                if let Some(place) = self.viewers.at_mut(viewer) {
                    place.is_ready = false;
                    self.sending.turn = Some(Turn { viewer, sends_left: TURN_SENDS_MAX });
                }
            } else if let Some(offer) = self.next_in_round() {
                return Some(offer);
            } else if self.sending.ready.is_empty() {
                return None;
            }
        }
    }

    /// Goes on with the round to the next viewer that a block can be sent to at once, or to the end
    /// of a feed some of whose viewers need a turn of their own.
    fn next_in_round(&mut self) -> Option<Offer> {
        while let Some(&feed_index) = self.sending.round.feeds.get(self.sending.round.feed) {
            let round = &mut self.sending.round;
            if let Some(feed) = self.feeds.at(feed_index) {
                let count = feed.subscribers.len();
                let rotation = round.rotation;
                let walk = round.walk.get_or_insert_with(|| Walk::begin(rotation, count));
                while let Some(at) = walk.step(count) {
                    let subscriber = &feed.subscribers[at];
                    let is_next = subscriber.laps == NO_LAPS
                        && feed.newest_block_after(subscriber.cursor).is_some();
                    if !is_next || !self.sending.direct.contains(subscriber.viewer) {
                        let viewer = self.viewers.at_mut(subscriber.viewer).expect("subscribed");
                        if viewer.is_blocked {
                            continue;
                        }
                        if !is_next || !viewer.is_clear() {
                            if !viewer.is_ready {
                                viewer.is_ready = true;
                                self.sending.ready.push_back(subscriber.viewer);
                            }
                            continue;
                        }
                        self.sending.direct.insert(subscriber.viewer);
                    }
                    debug_assert!(self.viewers.at(subscriber.viewer).is_some_and(Viewer::is_clear));
                    return Some(Offer::Newest {
                        viewer: subscriber.viewer,
                        feed: feed_index,
                        subscriber: u32::try_from(at).expect("bounded by VIEWERS_MAX"),
                    });
                }
            }
            round.feed += 1;
            round.walk = None;
            if !self.sending.ready.is_empty() {
                return None;
            }
        }
        if self.sending.round.is_running {
            self.sending.round.is_running = false;
            self.sending.round.ended = true;
        }
        None
    }

    /// What is next for one viewer: the rest of a cut frame, then replies, then its topics in turn.
    fn next_for(&mut self, viewer: u32) -> Option<Offer> {
        let place = self.viewers.at(viewer)?;
        if place.is_blocked {
            return None;
        }
        if !place.tail.is_empty() {
            return Some(Offer::Tail { viewer });
        }
        if !place.replies.is_empty() {
            return Some(Offer::Reply { viewer });
        }
        let count = u32::try_from(place.topics.len()).expect("bounded by TOPICS_MAX");
        for step in 0..count {
            let place = self.viewers.at(viewer)?;
            let at = (place.next_topic + step) % count;
            let topic = place.topics[at as usize];
            if let Some(offer) = self.next_of_topic(viewer, topic) {
                self.viewers.at_mut(viewer)?.next_topic = at + 1;
                return Some(offer);
            }
        }
        None
    }

    fn next_of_topic(&mut self, viewer: u32, topic: Topic) -> Option<Offer> {
        let Topic { feed: feed_index, subscriber } = topic;
        let feed = self.feeds.at_mut(feed_index).expect("topics name feeds");
        let place = feed.subscribers[subscriber as usize];
        if place.laps == NO_LAPS {
            match feed.place(place.cursor) {
                Place::UpToDate => return None,
                Place::Inside { block, frame } => {
                    return Some(Offer::Block {
                        viewer,
                        feed: feed_index,
                        subscriber,
                        block,
                        frame,
                    });
                }
                Place::FellOut => {
                    let laps = Laps::begin(place.cursor, feed.board(), feed.last());
                    feed.subscribers[subscriber as usize].laps = self.laps.insert(laps);
                    self.tally.fell_behind += 1;
                }
            }
        }
        let laps_index = feed.subscribers[subscriber as usize].laps;
        let laps = self.laps.at(laps_index).expect("subscribers name laps");
        laps.gather(feed.board(), feed.last(), &mut self.sending.chunk);
        if self.sending.chunk.bytes().is_empty() {
            // Everything that changed was withdrawn meanwhile.
            self.lap_sent(viewer, topic, 0);
            return None;
        }
        Some(Offer::Lap { viewer, feed: feed_index, subscriber })
    }

    fn offered(&self, offer: Offer) -> &[u8] {
        let place = |viewer| self.viewers.at(viewer).expect("was offered bytes");
        match offer {
            Offer::Tail { viewer } => &place(viewer).tail[place(viewer).sent_bytes..],
            Offer::Reply { viewer } => {
                place(viewer).replies[0].bytes_from(place(viewer).sent_bytes)
            }
            Offer::Newest { feed, .. } => {
                let feed = self.feeds.at(feed).expect("was offered bytes of");
                feed.block(feed.newest_block()).bytes()
            }
            Offer::Block { feed, block, frame, .. } => {
                let feed = self.feeds.at(feed).expect("was offered bytes of");
                feed.block(block).bytes_from(frame)
            }
            Offer::Lap { .. } => self.sending.chunk.bytes(),
        }
    }

    fn tail_sent(&mut self, index: u32, bytes: usize) {
        let viewer = self.viewers.at_mut(index).expect("was offered bytes");
        viewer.sent_bytes += bytes;
        if viewer.sent_bytes == viewer.tail.len() {
            viewer.sent_bytes = 0;
            viewer.message_ms = self.now.monotonic_ms();
            let tail = std::mem::take(&mut viewer.tail);
            self.sending.reuse_tail(tail);
        }
    }

    fn reply_sent(&mut self, index: u32, bytes: usize) {
        let viewer = self.viewers.at_mut(index).expect("was offered bytes");
        viewer.sent_bytes += bytes;
        if viewer.sent_bytes < viewer.replies[0].total_bytes() {
            return;
        }
        viewer.sent_bytes = 0;
        let reply = viewer.replies.pop_front().expect("was offered");
        match reply {
            Reply::Message(_) | Reply::Subscribed(..) => viewer.message_ms = viewer.sent_ms,
            Reply::Ping(_) => {
                viewer.ping_waits = false;
                viewer.pinged_ms = viewer.sent_ms;
                viewer.pong_awaited = true;
            }
            Reply::Pong(_) | Reply::Close(_) => {}
        }
        if viewer.replies.is_empty() {
            // An idle viewer holds no room for replies.
            viewer.replies = VecDeque::new();
        }
        let is_over = matches!(reply, Reply::Close(_))
            && matches!(viewer.state, State::Closing { heard_close: true, .. });
        let resumes = viewer.replies.len() == REPLIES_WAITING_MAX / 2;
        if is_over {
            self.lose(index, GoneReason::Closed);
        } else if resumes {
            self.resume(index);
        }
    }

    /// The usual case: nothing but the subscriber and the feed is touched.
    fn newest_sent(&mut self, topic: Topic) {
        let feed = self.feeds.at_mut(topic.feed).expect("was offered bytes of");
        let last = feed.last();
        let subscriber = &mut feed.subscribers[topic.subscriber as usize];
        self.ledger.delivered += last.0 - subscriber.cursor.0;
        subscriber.cursor = last;
        feed.sent_ms = self.now.monotonic_ms();
    }

    fn block_sent(&mut self, viewer: u32, topic: Topic, block: usize) {
        let feed = self.feeds.at_mut(topic.feed).expect("was offered bytes of");
        let last = feed.block(block).last();
        self.advance(viewer, topic, last);
    }

    fn block_cut(&mut self, viewer: u32, topic: Topic, from: (usize, usize), bytes: usize) {
        let (block, frame) = from;
        let feed = self.feeds.at(topic.feed).expect("was offered bytes of");
        let block = feed.block(block);
        let progress = block.progress(frame, bytes);
        let mut last = Sequence(block.first().0 + (frame + progress.whole_count) as u64 - 1);
        if progress.cut_bytes > 0 {
            let cut = &block.frame(frame + progress.whole_count)[progress.cut_bytes..];
            let mut tail = self.sending.spare_tail();
            tail.extend_from_slice(cut);
            self.viewers.at_mut(viewer).expect("was offered bytes").tail = tail;
            last.0 += 1;
        }
        self.advance(viewer, topic, last);
    }

    fn advance(&mut self, viewer: u32, topic: Topic, last: Sequence) {
        let feed = self.feeds.at_mut(topic.feed).expect("was offered bytes of");
        let subscriber = &mut feed.subscribers[topic.subscriber as usize];
        if last > subscriber.cursor {
            self.ledger.delivered += last.0 - subscriber.cursor.0;
            subscriber.cursor = last;
            let now_ms = self.now.monotonic_ms();
            self.viewers.at_mut(viewer).expect("was offered bytes").message_ms = now_ms;
        }
    }

    fn lap_sent(&mut self, viewer: u32, topic: Topic, bytes: usize) {
        let feed: &mut Feed = self.feeds.at_mut(topic.feed).expect("was offered bytes of");
        let last = feed.last();
        let subscriber = &mut feed.subscribers[topic.subscriber as usize];
        let laps = self.laps.at_mut(subscriber.laps).expect("subscribers name laps");
        let chunk = &self.sending.chunk;
        let progress = laps.commit(last, chunk, bytes);
        self.ledger.delivered += progress.sent_count as u64;
        if progress.caught_up {
            self.ledger.conflated += laps.conflated_count(last);
            self.laps.remove(subscriber.laps);
            subscriber.laps = NO_LAPS;
            subscriber.cursor = last;
        }
        let place = self.viewers.at_mut(viewer).expect("was offered bytes");
        if progress.sent_count > 0 {
            place.message_ms = self.now.monotonic_ms();
        }
        let (from, to) = progress.rest;
        if from < to {
            let mut tail = self.sending.spare_tail();
            tail.extend_from_slice(&self.sending.chunk.bytes()[from..to]);
            place.tail = tail;
        }
    }
}

impl Offer {
    const fn viewer(self) -> u32 {
        match self {
            Self::Tail { viewer }
            | Self::Reply { viewer }
            | Self::Newest { viewer, .. }
            | Self::Block { viewer, .. }
            | Self::Lap { viewer, .. } => viewer,
        }
    }
}
