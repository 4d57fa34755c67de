//! One thread's share of the engine: the events it owns and the viewers it serves.
//!
//! Events are spread over shards by id, viewers by load. The owner of an event judges and encodes its
//! positions once; every shard that has viewers of the event gets the blocks and fans them out to
//! its own. Shards talk by messages that the driver carries, in order, between any two of them.
//!
//! # Order of calls
//!
//! A turn of the driver's loop is:
//!
//! 1. [`Shard::handle_time`] with the clocks;
//! 2. what has come in, in any order: [`Shard::handle_roster`], [`Shard::handle_positions`],
//!    [`Shard::handle_withdrawal`], [`Shard::handle_peer`], [`Shard::handle_open`],
//!    [`Shard::handle_bytes`], [`Shard::handle_writable`], [`Shard::handle_lost`],
//!    [`Shard::handle_decision`], [`Shard::handle_revocation`], [`Shard::handle_close`];
//! 3. [`Shard::handle_flush`], which begins a round if one is due;
//! 4. [`Shard::poll_send`] until it has nothing, each followed by [`Shard::handle_sent`] before any
//!    other call. The driver may stop early to look for input, and go on next turn;
//! 5. [`Shard::poll_peer`], [`Shard::poll_question`], [`Shard::poll_gone`],
//!    [`Shard::poll_resumed`] and [`Shard::poll_round_trip_ms`] until they have nothing;
//! 6. sleep until there is input, but no longer than [`Shard::poll_timeout`] says.
//!
//! The clock that [`Shard::handle_time`] gets must not go back. A viewer is named by its whole
//! [`ViewerId`]: its place may be given to another before the driver has heard of its end, and
//! [`Shard::poll_gone`] may name one that the driver has just reported lost. What a device newly
//! registered to an event was last seen at is offered like any other position.
//!
//! Between a router and its shards, rosters and positions keep their order: positions routed by one
//! roster are handed over before the next roster is.

mod owner;
mod requests;
mod sweep;
mod topics;

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::block::BlockPool;
use crate::event::{Baseline, Event, FeedUpdate};
use crate::fanout::Sending;
use crate::feed::{Feed, NO_LAPS, Snapshot, Subscriber};
use crate::id::{EventId, EventIndex, Sequence, ShardIndex, SlotIndex, ViewerId};
use crate::limits::{
    FLUSH_MAX_MS, FUTURE_TOLERANCE_MS, MESSAGE_RATE, PING_INTERVAL_MS, PING_RATE,
    REPLIES_WAITING_MAX, SUBSCRIBE_RATE, TOPICS_MAX, VIEWERS_MAX, VIOLATIONS_MAX,
};
use crate::position::Position;
use crate::ring::Laps;
use crate::roster::Roster;
use crate::slots::VerdictTally;
use crate::table::Table;
use crate::time::{Now, Rate};
use crate::viewer::{Reply, Viewer};

/// What an operator may set about a shard.
#[derive(Clone, Copy, Debug)]
pub struct ShardConfig {
    /// Which one it is.
    pub index: ShardIndex,
    /// How many there are, 1 to [`SHARDS_MAX`].
    pub shard_count: u8,
    /// See [`FUTURE_TOLERANCE_MS`].
    pub future_tolerance_ms: i64,
    /// See [`FLUSH_MAX_MS`].
    pub flush_max_ms: u64,
    /// Shortest time from one round to the next. 0 flushes as soon as there is something.
    pub flush_min_ms: u64,
    /// See [`PING_INTERVAL_MS`].
    pub ping_interval_ms: u64,
    /// See [`VIEWERS_MAX`].
    pub viewers_max: usize,
    /// See [`TOPICS_MAX`].
    pub topics_max: usize,
    /// See [`MESSAGE_RATE`].
    pub message_rate: Rate,
    /// See [`SUBSCRIBE_RATE`].
    pub subscribe_rate: Rate,
    /// See [`PING_RATE`].
    pub ping_rate: Rate,
    /// See [`VIOLATIONS_MAX`].
    pub violations_max: u8,
}

/// Most shards: an audience is one bit each of a word.
pub const SHARDS_MAX: u8 = 64;

impl ShardConfig {
    /// The defaults for shard `index` of `shard_count`.
    #[must_use]
    pub const fn new(index: ShardIndex, shard_count: u8) -> Self {
        Self {
            index,
            shard_count,
            future_tolerance_ms: FUTURE_TOLERANCE_MS,
            flush_max_ms: FLUSH_MAX_MS,
            flush_min_ms: 0,
            ping_interval_ms: PING_INTERVAL_MS,
            viewers_max: VIEWERS_MAX,
            topics_max: TOPICS_MAX,
            message_rate: MESSAGE_RATE,
            subscribe_rate: SUBSCRIBE_RATE,
            ping_rate: PING_RATE,
            violations_max: VIOLATIONS_MAX,
        }
    }
}

/// What shards say to each other.
#[derive(Clone, Debug)]
pub enum PeerMessage {
    /// To the owner: the sender has viewers of the event now.
    Join(EventId, ShardIndex),
    /// To the owner: the sender has none any more.
    Leave(EventId, ShardIndex),
    /// From the owner: the picture that the following updates build on.
    Baseline(EventId, Arc<Baseline>),
    /// From the owner: what is new.
    Update(EventId, FeedUpdate),
}

/// A fix that operators have flagged as faulty.
#[derive(Clone, Copy, Debug)]
pub struct Withdrawal {
    /// The event.
    pub event: EventIndex,
    /// The device's slot in it.
    pub slot: SlotIndex,
    /// Device time of the faulty fix; nothing happens if the slot shows another.
    pub faulty_ms: i64,
    /// The newest fix that is not faulty.
    pub good: Option<Position>,
}

/// A question to the access authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub viewer: ViewerId,
    /// To be given back with the answer.
    pub ticket: u32,
    /// What it wants to watch.
    pub event: EventId,
}

/// A viewer that is no more; its socket is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Who.
    pub viewer: ViewerId,
    /// Why.
    pub reason: GoneReason,
}

/// Why a viewer is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneReason {
    /// Both sides have said close.
    Closed,
    /// The other side did not answer our close.
    CloseIgnored,
    /// It was not heard of for too long.
    Silent,
    /// Writing failed.
    Broken,
    /// It has left replies unread for too long.
    Stalled,
}

/// What became of the frames that were due to viewers.
///
/// `due = delivered + conflated + abandoned + pending`, where pending is what lies between each
/// cursor and its feed's newest frame: see [`Shard::residual`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Frames times viewers subscribed when they appeared.
    pub due: u64,
    /// Handed to the kernel, or cut and kept for the viewer.
    pub delivered: u64,
    /// Passed over, because a newer one of the same device was sent instead.
    pub conflated: u64,
    /// Left when the viewer unsubscribed or went.
    pub abandoned: u64,
}

/// What happened to viewers, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewerTally {
    /// Frames repeated to break a silence.
    pub repeated: u64,
    /// Subscribes that had to wait for the owner's picture or for memory.
    pub held: u64,
    /// Messages and subscribes beyond their rate.
    pub rate_limited: u64,
    /// How often a viewer fell out of a window and began to catch up.
    pub fell_behind: u64,
    /// Viewers who left replies unread for too long.
    pub stalled: u64,
    /// Viewers who were not heard of for too long.
    pub silent: u64,
}

/// What is in use of the bounds of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of `viewers_max`.
    pub viewers: usize,
    /// Of [`crate::limits::FEEDS_MAX`].
    pub feeds: usize,
    /// Viewers and topics catching up.
    pub laps: usize,
    /// Of [`crate::limits::SNAPSHOT_BYTES_MAX`].
    pub snapshot_bytes: usize,
    /// Subscribes that are held.
    pub held: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Shard {
    pub(crate) config: ShardConfig,
    pub(crate) now: Now,
    roster: Arc<Roster>,
    events: Table<Event>,
    event_by_id: HashMap<EventId, u32>,
    /// By [`EventIndex`]: the place in `events`, or `u32::MAX` for those of other shards.
    event_by_index: Vec<u32>,
    dirty_events: Vec<u32>,
    verdicts: VerdictTally,
    pub(crate) pool: BlockPool,
    pub(crate) feeds: Table<Feed>,
    feed_by_id: HashMap<EventId, u32>,
    pub(crate) dirty_feeds: Vec<u32>,
    pub(crate) viewers: Table<Viewer>,
    pub(crate) laps: Table<Laps>,
    snapshots: Vec<std::sync::Weak<Snapshot>>,
    /// Viewers whose subscribe is held, and until when.
    held: VecDeque<(u64, ViewerId)>,
    pub(crate) sending: Sending,
    pub(crate) ledger: Ledger,
    pub(crate) tally: ViewerTally,
    sweep: sweep::Sweep,
    peer_out: VecDeque<(ShardIndex, PeerMessage)>,
    questions: VecDeque<Question>,
    gone: VecDeque<Gone>,
    resumed: VecDeque<ViewerId>,
    /// From ping to pong, of viewers whose pong has just come.
    round_trips_ms: Vec<u64>,
}

impl Shard {
    /// A shard without events and viewers.
    #[must_use]
    pub fn new(config: ShardConfig, now: Now) -> Self {
        assert!((1..=SHARDS_MAX).contains(&config.shard_count), "1 to 64 shards");
        assert!(config.index.0 < config.shard_count, "the index is below the count");
        Self {
            config,
            now,
            roster: Arc::default(),
            events: Table::default(),
            event_by_id: HashMap::new(),
            event_by_index: Vec::new(),
            dirty_events: Vec::new(),
            verdicts: VerdictTally::default(),
            pool: BlockPool::default(),
            feeds: Table::default(),
            feed_by_id: HashMap::new(),
            dirty_feeds: Vec::new(),
            viewers: Table::default(),
            laps: Table::default(),
            snapshots: Vec::new(),
            held: VecDeque::new(),
            sending: Sending::default(),
            ledger: Ledger::default(),
            tally: ViewerTally::default(),
            sweep: sweep::Sweep::new(now),
            peer_out: VecDeque::new(),
            questions: VecDeque::new(),
            gone: VecDeque::new(),
            resumed: VecDeque::new(),
            round_trips_ms: Vec::new(),
        }
    }

    /// Which shard it is.
    #[must_use]
    pub const fn index(&self) -> ShardIndex {
        self.config.index
    }

    /// A message for another shard.
    pub fn poll_peer(&mut self) -> Option<(ShardIndex, PeerMessage)> {
        self.peer_out.pop_front()
    }

    /// A question whose answer is to come by [`Shard::handle_decision`].
    pub fn poll_question(&mut self) -> Option<Question> {
        self.questions.pop_front()
    }

    /// A viewer whose socket is to be closed.
    pub fn poll_gone(&mut self) -> Option<Gone> {
        self.gone.pop_front()
    }

    /// A viewer from which bytes are wanted again.
    pub fn poll_resumed(&mut self) -> Option<ViewerId> {
        self.resumed.pop_front()
    }

    /// How long a ping and its pong took, of one viewer whose pong has come.
    pub fn poll_round_trip_ms(&mut self) -> Option<u64> {
        self.round_trips_ms.pop()
    }

    /// The events that a viewer watches.
    pub fn topics(&self, viewer: ViewerId) -> impl Iterator<Item = EventId> + '_ {
        let place = self.place_of(viewer).and_then(|index| self.viewers.at(index));
        let topics = place.map_or(&[][..], |viewer| &viewer.topics);
        topics.iter().filter_map(|topic| self.feeds.at(topic.feed)).map(|feed| feed.event)
    }

    /// What happened to viewers.
    #[must_use]
    pub const fn viewer_tally(&self) -> &ViewerTally {
        &self.tally
    }

    /// What is in use of the shard's bounds.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let snapshots = self.snapshots.iter().filter_map(std::sync::Weak::upgrade);
        Usage {
            viewers: self.viewers.count(),
            feeds: self.feeds.count(),
            laps: self.laps.count(),
            snapshot_bytes: snapshots.map(|snapshot| snapshot.tail.len()).sum(),
            held: self.held.len(),
        }
    }

    /// Number of viewers.
    #[must_use]
    pub fn viewer_count(&self) -> usize {
        self.viewers.count()
    }

    /// How many rounds have begun. What was taken in before one began is sent when it is over.
    #[must_use]
    pub const fn round_count(&self) -> u64 {
        self.sending.round_count
    }

    /// True while a round has begun and is not over.
    #[must_use]
    pub const fn is_in_round(&self) -> bool {
        self.sending.is_in_round()
    }

    /// How positions were judged.
    #[must_use]
    pub const fn verdicts(&self) -> &VerdictTally {
        &self.verdicts
    }

    /// What became of the frames.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What the ledger cannot explain: always 0. It looks at every subscriber, so not for hot loops.
    #[must_use]
    pub fn residual(&self) -> i128 {
        let of = |count: u64| i128::from(count);
        let ledger = &self.ledger;
        let explained = of(ledger.delivered) + of(ledger.conflated) + of(ledger.abandoned);
        of(ledger.due) - explained - of(self.pending_count())
    }

    /// Frames that are due and neither sent nor passed over yet.
    #[must_use]
    pub fn pending_count(&self) -> u64 {
        let feeds = self.feeds.iter().map(|(_, feed)| feed);
        feeds.flat_map(|f| f.subscribers.iter().map(|s| self.owed(f.last(), s))).sum()
    }

    /// Bytes on the heap for viewers and feeds; the driver's and the allocator's own come on top.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let viewers = self.viewers.iter().map(|(_, viewer)| viewer.heap_bytes()).sum::<usize>();
        let feeds = self.feeds.iter().map(|(_, feed)| feed.heap_bytes()).sum::<usize>();
        let laps = self.laps.places() as usize * size_of::<Laps>();
        let places = self.viewers.places() as usize * size_of::<Viewer>();
        viewers + feeds + laps + places + self.sending.heap_bytes()
    }

    /// What a subscriber is owed when the feed's newest sequence is `last`.
    pub(crate) fn owed(&self, last: Sequence, subscriber: &Subscriber) -> u64 {
        match self.laps.at(subscriber.laps) {
            Some(laps) if subscriber.laps != NO_LAPS => laps.conflated_count(last),
            _ => last.0 - subscriber.cursor.0,
        }
    }

    pub(crate) fn id(&self, index: u32) -> ViewerId {
        ViewerId { index, generation: self.viewers.generation(index) }
    }

    /// The place of a viewer who is still there.
    pub(crate) fn place_of(&self, viewer: ViewerId) -> Option<u32> {
        let present = self.viewers.generation(viewer.index) == viewer.generation
            && self.viewers.at(viewer.index).is_some();
        present.then_some(viewer.index)
    }

    /// Owes a reply to a viewer.
    pub(crate) fn reply(&mut self, index: u32, reply: Reply) {
        if let Some(viewer) = self.viewers.at_mut(index) {
            if viewer.replies.is_empty() {
                viewer.sent_ms = self.now.monotonic_ms();
            }
            viewer.replies.push_back(reply);
            self.sending.look_again(index);
            self.make_ready(index);
        }
    }

    /// Puts a viewer into the list of those that have something to send.
    pub(crate) fn make_ready(&mut self, index: u32) {
        if let Some(viewer) = self.viewers.at_mut(index)
            && !viewer.is_ready
        {
            viewer.is_ready = true;
            self.sending.ready.push_back(index);
        }
    }

    /// True unless the viewer has so many unread replies that it must read first.
    #[must_use]
    pub fn wants_bytes(&self, viewer: ViewerId) -> bool {
        let place = self.place_of(viewer).and_then(|index| self.viewers.at(index));
        place.is_some_and(|viewer| viewer.replies.len() < REPLIES_WAITING_MAX)
    }

    /// Takes a viewer out of everything; the caller tells the driver if it does not know.
    pub(crate) fn remove(&mut self, index: u32) {
        self.leave_all(index);
        if let Some(viewer) = self.viewers.remove(index) {
            self.sending.look_again(index);
            self.sending.reuse_tail(viewer.tail);
        }
    }

    /// Takes a viewer out and has its socket closed.
    pub(crate) fn lose(&mut self, index: u32, reason: GoneReason) {
        match reason {
            GoneReason::Stalled => self.tally.stalled += 1,
            GoneReason::Silent => self.tally.silent += 1,
            GoneReason::Closed | GoneReason::CloseIgnored | GoneReason::Broken => {}
        }
        let viewer = self.id(index);
        self.remove(index);
        self.gone.push_back(Gone { viewer, reason });
    }

    pub(crate) fn resume(&mut self, index: u32) {
        self.resumed.push_back(self.id(index));
    }
}
