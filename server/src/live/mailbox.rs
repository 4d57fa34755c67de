//! What the rest of the program says to a shard: bounded mailboxes and the bell that wakes it.
//!
//! Each shard has three, so that none can hold up another: the feed (positions, in order with the
//! rosters they were routed by), its peers' messages, and orders about single viewers. A full one is
//! told to the sender, who waits, refuses or gives up; nothing is dropped here.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use engine::id::{EventId, ShardIndex, ViewerId};
use engine::roster::Roster;
use engine::route::Routed;
use engine::shard::{PeerMessage, Question, Withdrawal};
use engine::viewer::Decision;
use engine::websocket::CloseCode;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;

use super::admission::Permit;
use super::session::Session;
use crate::metrics::Gauge;

/// Batches that may wait for a shard: a few rounds' worth. When it is full the source waits, and the
/// stream in Redis is the queue.
pub const FEED_MAIL_MAX: usize = 64;

/// Messages of peers that may wait. A shard that cannot get rid of its own takes no new positions.
pub const PEER_MAIL_MAX: usize = 4_096;

/// Orders that may wait: more than viewers connect or ask in one turn.
pub const ORDER_MAIL_MAX: usize = 16_384;

/// Questions about access that may wait, of all shards together.
pub const ASK_MAIL_MAX: usize = 65_536;

/// What the source says.
#[derive(Debug)]
pub enum FeedMail {
    /// The next roster; everything after it is routed by it.
    Roster(Arc<Roster>),
    /// Positions for events that the shard owns.
    Positions(Batch),
    /// Fixes that operators have flagged, all that one look has found for the shard.
    Withdrawals(Vec<Withdrawal>),
}

/// Positions that were read together.
#[derive(Debug, Default)]
pub struct Batch {
    /// What was routed to this shard.
    pub routed: Vec<Routed>,
    /// When they came out of Redis, on the clock of the process; 0 when they did not.
    pub read_us: u64,
}

/// What is said about one viewer, or asked of a shard.
#[derive(Debug)]
pub enum Order {
    /// A connection that has become a viewer.
    Open(Box<Newcomer>),
    /// May it see the event?
    Decide(ViewerId, u32, Decision),
    /// It may not see the event any more.
    Revoke(ViewerId, EventId),
    /// It is to be closed.
    Close(ViewerId, CloseCode, &'static str),
    /// Who watches what? The answer comes in pieces, see [`Grants`].
    Grants(Sender<Grants>),
    /// All viewers are to be closed with 1012, spread over so many milliseconds; who connects from
    /// now on is closed at once. When the last is gone the shard ends.
    Drain(u64),
}

/// An accepted, upgraded, authenticated connection.
#[derive(Debug)]
pub struct Newcomer {
    /// Its socket, non-blocking, with its options set.
    pub socket: TcpStream,
    /// What it has sent behind its request head.
    pub unread: Vec<u8>,
    /// Who it is.
    pub session: Arc<Session>,
    /// Its place under the limits, free again when dropped.
    pub permit: Permit,
    /// Its place on the shard, free again when dropped.
    pub place: Place,
}

/// A viewer's place on a shard, given back when dropped, whatever ended the viewer.
#[derive(Debug)]
pub struct Place(Arc<Gauge>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

/// One piece of the answer to [`Order::Grants`]; the sender is dropped after the last.
#[derive(Debug)]
pub struct Grants {
    /// Who answers.
    pub shard: ShardIndex,
    /// Some of its viewers.
    pub grants: Vec<Grant>,
}

/// What one viewer watches.
#[derive(Debug)]
pub struct Grant {
    /// Which viewer.
    pub viewer: ViewerId,
    /// Who that is.
    pub session: Arc<Session>,
    /// Since when, on the clock of the process.
    pub connected_ms: u64,
    /// What.
    pub events: Vec<EventId>,
}

/// A shard's question about access.
#[derive(Debug)]
pub struct Ask {
    /// Where the answer goes.
    pub shard: ShardIndex,
    /// What the engine asks.
    pub question: Question,
    /// Who asks.
    pub session: Arc<Session>,
}

/// Rings when there is mail; the shard sleeps on it.
#[derive(Debug)]
pub struct Bell {
    /// Readable when it was rung.
    pub fd: OwnedFd,
    is_awake: AtomicBool,
}

impl Bell {
    fn new() -> std::io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { fd, is_awake: AtomicBool::new(true) })
    }

    /// Wakes the shard, with a system call only when it may be asleep.
    pub fn ring(&self) {
        if !self.is_awake.swap(true, Ordering::SeqCst) {
            // Fails only when it has been rung four billion times unheard.
            rustix::io::write(&self.fd, &1_u64.to_le_bytes()).ok();
        }
    }

    /// The shard is about to look at its mailboxes for the last time before it sleeps.
    pub fn fall_asleep(&self) {
        self.is_awake.store(false, Ordering::SeqCst);
    }

    /// The shard is awake: it looks at its mailboxes anyway.
    pub fn wake_up(&self) {
        if !self.is_awake.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut count = [0; 8];
        // Nothing to read when nobody rang.
        rustix::io::read(&self.fd, &mut count).ok();
    }
}

/// The senders' end of a shard's mailboxes.
#[derive(Clone, Debug)]
pub struct Address {
    /// Which shard.
    pub shard: ShardIndex,
    feed: Sender<FeedMail>,
    peers: Sender<PeerMessage>,
    orders: Sender<Order>,
    bell: Arc<Bell>,
    /// Viewers of the shard and those on their way to it, see [`Address::place`].
    load: Arc<Gauge>,
}

impl Address {
    /// Counts one more viewer, for as long as what is returned lives.
    #[must_use]
    pub fn place(&self) -> Place {
        self.load.add(1);
        Place(self.load.clone())
    }

    /// How many viewers the shard has or is about to have.
    #[must_use]
    pub fn load(&self) -> i64 {
        self.load.value()
    }

    /// Puts mail of the source in, or gives it back when there is no room.
    pub fn feed(&self, mail: FeedMail) -> Result<(), TrySendError<FeedMail>> {
        self.feed.try_send(mail)?;
        self.bell.ring();
        Ok(())
    }

    /// Puts a peer's message in, or gives it back when there is no room.
    pub fn tell(&self, message: PeerMessage) -> Result<(), TrySendError<PeerMessage>> {
        self.peers.try_send(message)?;
        self.bell.ring();
        Ok(())
    }

    /// Puts an order in, or gives it back when there is no room.
    pub fn order(&self, order: Order) -> Result<(), TrySendError<Order>> {
        self.orders.try_send(order)?;
        self.bell.ring();
        Ok(())
    }
}

/// The shard's end of its mailboxes.
#[derive(Debug)]
pub struct Mailbox {
    /// From the source.
    pub feed: Receiver<FeedMail>,
    /// From other shards.
    pub peers: Receiver<PeerMessage>,
    /// About viewers.
    pub orders: Receiver<Order>,
    /// Wakes it.
    pub bell: Arc<Bell>,
}

/// A shard's mailboxes, both ends.
pub fn mailbox(shard: ShardIndex) -> std::io::Result<(Address, Mailbox)> {
    let (feed_in, feed) = crossbeam_channel::bounded(FEED_MAIL_MAX);
    let (peers_in, peers) = crossbeam_channel::bounded(PEER_MAIL_MAX);
    let (orders_in, orders) = crossbeam_channel::bounded(ORDER_MAIL_MAX);
    let bell = Arc::new(Bell::new()?);
    let address = Address {
        shard,
        feed: feed_in,
        peers: peers_in,
        orders: orders_in,
        bell: bell.clone(),
        load: Arc::default(),
    };
    Ok((address, Mailbox { feed, peers, orders, bell }))
}
