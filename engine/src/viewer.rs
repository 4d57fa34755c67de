//! One viewer: what it said, what it is owed, and nothing else while it is idle.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::feed::Snapshot;
use crate::id::EventId;
use crate::protocol::RequestId;
use crate::shard::ShardConfig;
use crate::time::{Bucket, Now};
use crate::websocket::Reader;

/// A connection, from upgrade to close.
#[derive(Debug)]
pub struct Viewer {
    /// What it is in the middle of saying.
    pub reader: Reader,
    /// Requests that wait for an answer from outside, and those behind them. Replies keep the order
    /// of requests, so one that waits holds back the others, but not the stream.
    pub line: VecDeque<Waiting>,
    /// Replies on their way, never dropped. Streams wait for them.
    pub replies: VecDeque<Reply>,
    /// The rest of a frame that the kernel took only in part: nothing may come before it.
    pub tail: Vec<u8>,
    /// How much of `tail`, or else of the first reply, is sent.
    pub sent_bytes: usize,
    /// What it watches.
    pub topics: Vec<Topic>,
    /// Which topic has the next turn.
    pub next_topic: u32,
    /// What it is doing.
    pub state: State,
    /// The kernel takes no more until it says so.
    pub is_blocked: bool,
    /// It is in the list of those that have something to send.
    pub is_ready: bool,
    /// A ping is among its replies.
    pub ping_waits: bool,
    /// No pong has come since its last ping.
    pub pong_awaited: bool,
    /// Violations in a row.
    pub violation_count: u8,
    /// The next ticket for a question about access.
    pub next_ticket: u32,
    /// When a byte last came from it.
    pub heard_ms: u64,
    /// When a ping last went out to it.
    pub pinged_ms: u64,
    /// When the kernel last took anything for it but a whole block, or replies began to wait.
    pub sent_ms: u64,
    /// When a message was last sent to it, newest blocks in a round not counted: see
    /// [`Feed::sent_ms`](crate::feed::Feed::sent_ms).
    pub message_ms: u64,
    /// How many messages it may still send.
    pub messages: Bucket,
    /// How many subscribes it may still send.
    pub subscribes: Bucket,
    /// How many pings it may still send.
    pub pings: Bucket,
}

/// The size the table of viewers is planned with.
pub const VIEWER_BYTES: usize = 256;
const _: () = assert!(size_of::<Viewer>() <= VIEWER_BYTES);

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It may ask and watch.
    Open,
    /// A close is among its replies; it says nothing more that counts.
    Closing {
        /// When the connection is cut at the latest.
        deadline_ms: u64,
        /// The other side has said its close too.
        heard_close: bool,
    },
}

/// One thing a viewer watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Place of the feed in the shard's table.
    pub feed: u32,
    /// Place of the viewer in the feed's list.
    pub subscriber: u32,
}

/// A request that has not been answered yet.
#[derive(Debug)]
pub enum Waiting {
    /// A subscribe.
    Subscribe {
        /// What it wants to watch.
        event: EventId,
        /// To be echoed.
        id: Option<RequestId>,
        /// What it waits for.
        answer: Answer,
    },
    /// An unsubscribe behind a subscribe.
    Unsubscribe {
        /// What it has watched enough.
        event: EventId,
        /// To be echoed.
        id: Option<RequestId>,
    },
    /// The reply to a refused message, behind a subscribe.
    Refusal(Vec<u8>),
}

/// What is known about a subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Access was asked for under this ticket.
    Asked(u32),
    /// The answer.
    Known(Decision),
    /// Allowed, but the owner's picture or memory for a snapshot is still to come. It waits until
    /// this moment, in milliseconds.
    Held(u64),
}

/// May this user see this event?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allowed,
    /// No.
    Forbidden,
    /// The authority says there is no such event.
    NotFound,
    /// It could not be found out.
    Undecided,
}

/// Finished bytes that are owed to one viewer.
#[derive(Debug)]
pub enum Reply {
    /// A message, or several.
    Message(Vec<u8>),
    /// `subscribed`: the private part, then the shared one.
    Subscribed(Vec<u8>, Arc<Snapshot>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// The last bytes of the connection.
    Close(Vec<u8>),
}

impl Viewer {
    /// A viewer who has said nothing yet.
    #[must_use]
    pub fn new(now: Now, config: &ShardConfig) -> Self {
        let now_ms = now.monotonic_ms();
        Self {
            reader: Reader::default(),
            line: VecDeque::new(),
            replies: VecDeque::new(),
            tail: Vec::new(),
            sent_bytes: 0,
            topics: Vec::new(),
            next_topic: 0,
            state: State::Open,
            is_blocked: false,
            is_ready: false,
            ping_waits: false,
            pong_awaited: false,
            violation_count: 0,
            next_ticket: 0,
            heard_ms: now_ms,
            pinged_ms: now_ms,
            sent_ms: now_ms,
            message_ms: now_ms,
            messages: Bucket::full(config.message_rate, now),
            subscribes: Bucket::full(config.subscribe_rate, now),
            pings: Bucket::full(config.ping_rate, now),
        }
    }

    /// A ticket for the next question about access.
    pub const fn ticket(&mut self) -> u32 {
        let ticket = self.next_ticket;
        self.next_ticket = ticket.wrapping_add(1);
        ticket
    }

    /// True when a block can be sent at once: nothing is before it and the kernel takes bytes.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        !self.is_blocked && self.tail.is_empty() && self.replies.is_empty() && self.is_open()
    }

    /// True until a close was queued.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Bytes held on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.reader.heap_bytes()
            + self.line.capacity() * size_of::<Waiting>()
            + self.replies.capacity() * size_of::<Reply>()
            + self.replies.iter().map(Reply::heap_bytes).sum::<usize>()
            + self.tail.capacity()
            + self.topics.capacity() * size_of::<Topic>()
    }
}

impl Reply {
    /// The bytes from `sent_bytes` on that lie in one piece.
    #[must_use]
    pub fn bytes_from(&self, sent_bytes: usize) -> &[u8] {
        match self {
            Self::Message(bytes) | Self::Ping(bytes) | Self::Pong(bytes) | Self::Close(bytes) => {
                &bytes[sent_bytes..]
            }
            Self::Subscribed(prefix, _) if sent_bytes < prefix.len() => &prefix[sent_bytes..],
            Self::Subscribed(prefix, snapshot) => &snapshot.tail[sent_bytes - prefix.len()..],
        }
    }

    /// All its bytes.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        match self {
            Self::Message(bytes) | Self::Ping(bytes) | Self::Pong(bytes) | Self::Close(bytes) => {
                bytes.len()
            }
            Self::Subscribed(prefix, snapshot) => prefix.len() + snapshot.tail.len(),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Message(bytes)
            | Self::Ping(bytes)
            | Self::Pong(bytes)
            | Self::Close(bytes)
            | Self::Subscribed(bytes, _) => bytes.capacity(),
        }
    }
}
