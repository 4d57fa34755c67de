//! What a shard does with its mail: bounded per turn, so that sockets have their turn as well.

use engine::fanout::Sent;
use engine::websocket::{CloseCode, write_close};

use super::connections::Connection;
use super::{Turning, key_of};
use crate::live::driver::send;
use crate::live::mailbox::{FeedMail, Grant, Grants, Newcomer, Order};

/// Batches of one turn.
const FEED_PER_TURN: usize = 16;

/// Peers' messages of one turn.
const PEERS_PER_TURN: usize = 1_024;

/// Orders of one turn.
const ORDERS_PER_TURN: usize = 1_024;

/// Viewers of one piece of an answer to [`Order::Grants`].
const GRANTS_PER_PIECE: usize = 1_024;

/// An answer to [`Order::Grants`] that is being given.
#[derive(Debug)]
pub(super) struct Granting {
    to: crossbeam_channel::Sender<Grants>,
    next_place: usize,
}

impl Turning {
    pub(super) fn has_mail(&self) -> bool {
        let may_feed = self.peer_waiting.is_empty();
        !self.mailbox.orders.is_empty()
            || !self.mailbox.peers.is_empty()
            || may_feed && !self.mailbox.feed.is_empty()
    }

    pub(super) fn take_mail(&mut self) {
        self.tell_peers();
        for _ in 0..PEERS_PER_TURN {
            let Ok(message) = self.mailbox.peers.try_recv() else { break };
            self.shard.handle_peer(message);
        }
        for _ in 0..ORDERS_PER_TURN {
            let Ok(order) = self.mailbox.orders.try_recv() else { break };
            self.obey(order);
        }
        // A peer that is behind holds this shard back, and through it the source: what a shard takes
        // in it must be able to pass on.
        for _ in 0..FEED_PER_TURN {
            if !self.peer_waiting.is_empty() {
                break;
            }
            let Ok(mail) = self.mailbox.feed.try_recv() else { break };
            self.feed(mail);
        }
        self.grant();
    }

    fn feed(&mut self, mail: FeedMail) {
        match mail {
            FeedMail::Roster(roster) => self.shard.handle_roster(roster),
            FeedMail::Positions(batch) => {
                self.shard.handle_positions(&batch.routed);
                if batch.read_us > 0 {
                    let now_us = self.context.clock.monotonic_us();
                    let took_us = now_us.saturating_sub(batch.read_us);
                    self.window.applied.observe_many_us(took_us, batch.routed.len() as u64);
                    self.numbers.untimed += u64::from(!self.timing.taken(batch.read_us));
                }
            }
            FeedMail::Withdrawals(withdrawals) => {
                for withdrawal in &withdrawals {
                    self.shard.handle_withdrawal(withdrawal);
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Open(newcomer) => self.open(*newcomer),
            Order::Decide(viewer, ticket, decision) => {
                self.shard.handle_decision(viewer, ticket, decision);
            }
            Order::Revoke(viewer, event) => self.shard.handle_revocation(viewer, event),
            Order::Close(viewer, code, reason) => self.shard.handle_close(viewer, code, reason),
            // A new asker takes the place of one that has not waited for its answer.
            Order::Grants(to) => self.granting = Some(Granting { to, next_place: 0 }),
            Order::Drain(over_ms) => self.begin_drain(over_ms),
        }
    }

    fn open(&mut self, newcomer: Newcomer) {
        let Newcomer { socket, mut unread, session, permit, place } = newcomer;
        let is_draining = self.drain.is_some();
        let opened = if is_draining { None } else { self.shard.handle_open() };
        let Some(viewer) = opened else {
            let code = if is_draining { CloseCode::RESTART } else { CloseCode::TRY_AGAIN_LATER };
            let mut bytes = Vec::new();
            write_close(&mut bytes, code, code.reason());
            // Its kernel buffers are empty: it has been sent nothing but the answer to its upgrade.
            if send(&socket, &bytes) == Sent::All {
                self.lingering.add(socket, self.now_ms);
            }
            return;
        };
        if self.epoll.add(&socket, key_of(viewer)).is_err() {
            self.shard.handle_lost(viewer);
            return;
        }
        self.numbers.opened += 1;
        let connection = Connection {
            generation: viewer.generation,
            socket,
            session,
            _permit: permit,
            _place: place,
            connected_ms: self.now_ms,
            is_to_read: false,
        };
        self.connections.insert(viewer, connection);
        if !unread.is_empty() {
            self.shard.handle_bytes(viewer, &mut unread);
        }
    }

    /// Gives the next piece of an answer about who watches what.
    fn grant(&mut self) {
        let Some(granting) = &mut self.granting else { return };
        if granting.to.is_full() {
            return;
        }
        let first = granting.next_place;
        let end = self.connections.places().min(first + GRANTS_PER_PIECE);
        granting.next_place = end;
        let shard = &self.shard;
        let grants = self.connections.range(first..end).map(|(viewer, connection)| Grant {
            viewer,
            session: connection.session.clone(),
            connected_ms: connection.connected_ms,
            events: shard.topics(viewer).collect(),
        });
        let piece = Grants { shard: shard.index(), grants: grants.collect() };
        let is_heard = granting.to.try_send(piece).is_ok();
        if !is_heard || end == self.connections.places() {
            self.granting = None;
        }
    }
}
