//! One shard's thread: mail in, frames out, in the order of calls that the engine asks for.
//!
//! It owns its engine shard and the sockets of its viewers, and shares nothing but mailboxes. It
//! never waits for anything but its sockets and its bell. Its early end is the end of the process: a
//! part of the viewers without frames would be a lie.

mod connections;
mod drain;
mod linger;
mod mail;
mod numbers;
mod timing;

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::fanout::Sent;
use engine::id::{ShardIndex, ViewerId};
use engine::shard::{GoneReason, PeerMessage, Shard, ShardConfig};
use rustix::thread::CpuSet;
use tokio::sync::mpsc;

pub use self::linger::LINGERING_MAX;
pub use self::numbers::{Numbers, Window, Windows};

use self::connections::Connections;
use self::drain::Drain;
use self::linger::Lingering;
use self::mail::Granting;
use self::timing::Timing;
use super::driver::epoll::{Epoll, Ready};
use super::driver::{Received, receive, send};
use super::mailbox::{Address, Ask, Mailbox};
use crate::config::LiveConfig;
use crate::context::Context;
use crate::error::Stop;
use crate::status::Heartbeat;

/// Room for one read, one for the whole shard. A message is 4 KiB at most; larger reads take what a
/// crowd sends in fewer calls.
const READ_BYTES: usize = 16 * 1024;

/// Reads from one viewer before others have their turn.
const READS_PER_TURN: usize = 2;

/// Sends before the shard looks for mail again: some 5 ms.
const SENDS_PER_TURN: usize = 1_024;

/// The bell's key; no viewer has it, since no table has so many places.
const BELL_KEY: u64 = u64::MAX;

/// What a shard's thread is started with.
#[derive(Debug)]
pub struct Parts {
    /// Settings, clocks and the rest.
    pub context: Context,
    /// Which shard it is.
    pub shard: ShardIndex,
    /// Its mailboxes.
    pub mailbox: Mailbox,
    /// All shards, itself included.
    pub addresses: Arc<[Address]>,
    /// Where questions about access go.
    pub asks: mpsc::Sender<Ask>,
    /// What others see of it.
    pub window: Arc<Window>,
}

/// Starts the thread of a shard.
pub fn start(parts: Parts) -> io::Result<JoinHandle<()>> {
    let name = format!("shard-{}", parts.shard.0);
    let shutdown = parts.context.shutdown.clone();
    std::thread::Builder::new().name(name.clone()).spawn(move || {
        let turns = || Turning::new(parts)?.run();
        let words = match catch_unwind(AssertUnwindSafe(turns)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "a broken invariant; the panic's message stands above".to_owned(),
        };
        let advice = "The process ends, so that nobody watches a still picture; start it again.";
        shutdown.fail(Stop::Broken(format!("{name} has ended: {words}. {advice}")));
    })
}

/// The state of the thread.
struct Turning {
    context: Context,
    shard: Shard,
    /// When the turn began, for everything in it that milliseconds are good enough for.
    now_ms: u64,
    mailbox: Mailbox,
    addresses: Arc<[Address]>,
    asks: mpsc::Sender<Ask>,
    window: Arc<Window>,
    heartbeat: Arc<Heartbeat>,
    epoll: Epoll,
    connections: Connections,
    buffer: Vec<u8>,
    news: Vec<Ready>,
    /// Viewers from whom there may be more to read.
    to_read: Vec<ViewerId>,
    /// What a peer had no room for; those behind it wait, too, and no positions are taken in.
    peer_waiting: VecDeque<(ShardIndex, PeerMessage)>,
    granting: Option<Granting>,
    lingering: Lingering,
    drain: Option<Drain>,
    /// Viewers whose side has ended. They are let go when what they are owed has been offered: a
    /// close frame may stand before the end, and is answered.
    ended: Vec<ViewerId>,
    timing: Timing,
    numbers: Numbers,
    copied_ms: u64,
    checked_ms: u64,
}

impl Turning {
    fn new(parts: Parts) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add_reader(&parts.mailbox.bell.fd, BELL_KEY)?;
        let config = shard_config(&parts.context.config.live, parts.shard);
        let name = format!("shard {}", parts.shard.0);
        Ok(Self {
            shard: Shard::new(config, parts.context.clock.now()),
            now_ms: 0,
            heartbeat: parts.context.status.heartbeat(&name, 5_000),
            context: parts.context,
            mailbox: parts.mailbox,
            addresses: parts.addresses,
            asks: parts.asks,
            window: parts.window,
            epoll,
            connections: Connections::default(),
            buffer: vec![0; READ_BYTES],
            news: Vec::new(),
            to_read: Vec::new(),
            peer_waiting: VecDeque::new(),
            granting: None,
            lingering: Lingering::default(),
            drain: None,
            ended: Vec::new(),
            timing: Timing::default(),
            numbers: Numbers::default(),
            copied_ms: 0,
            checked_ms: 0,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        pin(self.shard.index(), self.context.config.live.shard_count);
        while !self.is_over() {
            self.heartbeat.beat();
            let now = self.context.clock.now();
            self.now_ms = now.monotonic_ms();
            self.shard.handle_time(now);
            self.take_mail();
            self.take_input();
            self.close_wave();
            self.shard.handle_flush();
            self.timing.flushed(&self.shard);
            let is_done = self.give_output();
            self.timing.sent(&self.shard, &self.window, self.context.clock);
            if is_done {
                self.let_go_of_ended();
            }
            self.pass_on();
            self.copy_numbers();
            self.sleep(is_done)?;
        }
        Ok(())
    }

    /// Reads from the sockets that have something, and tells of those that have room again.
    fn take_input(&mut self) {
        let mut to_read = std::mem::take(&mut self.to_read);
        for viewer in to_read.drain(..) {
            if let Some(connection) = self.connections.of(viewer) {
                connection.is_to_read = false;
                self.read(viewer, true);
            }
        }
        // Whoever was not read to the end is in `self.to_read` again, for the next turn.
        to_read.append(&mut self.to_read);
        self.to_read = to_read;
        let mut news = std::mem::take(&mut self.news);
        for ready in news.drain(..) {
            let viewer = viewer_of(ready.key);
            if ready.is_writable {
                self.shard.handle_writable(viewer);
            }
            if ready.is_readable {
                self.read(viewer, ready.is_over);
            }
        }
        self.news = news;
    }

    /// Reads what has come in. A short read has emptied the socket, unless its end stands behind it,
    /// of which there would be no more news.
    fn read(&mut self, viewer: ViewerId, to_the_end: bool) {
        for _ in 0..READS_PER_TURN {
            // What is not wanted stays with the kernel, which holds the sender back.
            if !self.shard.wants_bytes(viewer) {
                return;
            }
            let Some(connection) = self.connections.of(viewer) else { return };
            match receive(&connection.socket, &mut self.buffer) {
                Received::Bytes(count) => {
                    self.shard.handle_bytes(viewer, &mut self.buffer[..count]);
                    if count < READ_BYTES && !to_the_end {
                        return;
                    }
                }
                Received::Nothing => return,
                Received::End => {
                    self.ended.push(viewer);
                    return;
                }
            }
        }
        self.read_later(viewer);
    }

    fn let_go_of_ended(&mut self) {
        while let Some(viewer) = self.ended.pop() {
            self.shard.handle_lost(viewer);
            drop(self.forget(viewer));
        }
    }

    fn read_later(&mut self, viewer: ViewerId) {
        if let Some(connection) = self.connections.of(viewer)
            && !std::mem::replace(&mut connection.is_to_read, true)
        {
            self.to_read.push(viewer);
        }
    }

    /// Sends what is due, up to a turn's worth; true when nothing is left.
    fn give_output(&mut self) -> bool {
        let (shard, connections) = (&mut self.shard, &mut self.connections);
        for _ in 0..SENDS_PER_TURN {
            let Some(due) = shard.poll_send() else { return true };
            let bytes_count = due.bytes.len();
            let sent = match connections.of(due.viewer) {
                Some(connection) => send(&connection.socket, due.bytes),
                None => Sent::Broken,
            };
            self.numbers.sends += 1;
            self.numbers.sent_bytes += match sent {
                Sent::All => bytes_count as u64,
                Sent::Part(count) => count as u64,
                Sent::Broken => 0,
            };
            shard.handle_sent(sent);
        }
        false
    }

    /// Drains what the engine has to say to others.
    fn pass_on(&mut self) {
        while let Some(message) = self.shard.poll_peer() {
            self.peer_waiting.push_back(message);
        }
        self.tell_peers();
        while let Some(question) = self.shard.poll_question() {
            let Some(connection) = self.connections.of(question.viewer) else { continue };
            let session = connection.session.clone();
            let ask = Ask { shard: self.shard.index(), question, session };
            if self.asks.try_send(ask).is_err() {
                self.numbers.asks_refused += 1;
                let undecided = engine::viewer::Decision::Undecided;
                self.shard.handle_decision(question.viewer, question.ticket, undecided);
            }
        }
        while let Some(gone) = self.shard.poll_gone() {
            let socket = self.forget(gone.viewer);
            if let (GoneReason::Closed, Some(socket)) = (gone.reason, socket) {
                self.lingering.add(socket, self.now_ms);
            }
        }
        self.lingering.look(self.now_ms, &mut self.buffer);
        while let Some(viewer) = self.shard.poll_resumed() {
            self.read_later(viewer);
        }
        while let Some(took_ms) = self.shard.poll_round_trip_ms() {
            self.window.round_trip.observe_us(took_ms * 1000);
        }
    }

    fn tell_peers(&mut self) {
        while let Some((to, message)) = self.peer_waiting.pop_front() {
            if let Err(refused) = self.addresses[usize::from(to.0)].tell(message) {
                self.peer_waiting.push_front((to, refused.into_inner()));
                return;
            }
        }
    }

    /// Gives the viewer's socket back, which is closed if nobody takes it.
    fn forget(&mut self, viewer: ViewerId) -> Option<TcpStream> {
        self.connections.remove(viewer).map(|connection| connection.socket)
    }

    fn copy_numbers(&mut self) {
        let now_ms = self.now_ms;
        if now_ms < self.copied_ms + numbers::COPY_MS {
            return;
        }
        self.copied_ms = now_ms;
        if now_ms >= self.checked_ms + numbers::CHECK_MS {
            self.checked_ms = now_ms;
            self.numbers.residual = i64::try_from(self.shard.residual()).unwrap_or(i64::MAX);
            self.numbers.heap_bytes = self.shard.heap_bytes();
            self.numbers.usage = self.shard.usage();
        }
        self.numbers.usage.viewers = self.shard.viewer_count();
        self.numbers.ledger = *self.shard.ledger();
        self.numbers.verdicts = *self.shard.verdicts();
        self.numbers.tally = *self.shard.viewer_tally();
        let mut shown = self.window.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clone_from(&self.numbers);
    }

    /// Waits for news, unless there is something left to do.
    fn sleep(&mut self, is_done: bool) -> io::Result<()> {
        let rest_us = self.shard.poll_timeout();
        let is_busy = !is_done || !self.to_read.is_empty() || !self.ended.is_empty();
        let mut timeout_us = if is_busy { 0 } else { rest_us.min(numbers::COPY_MS * 1000) };
        timeout_us = timeout_us.min(self.lingering.timeout_us());
        if self.drain.is_some() || self.granting.is_some() || !self.peer_waiting.is_empty() {
            timeout_us = timeout_us.min(1_000);
        }
        self.mailbox.bell.fall_asleep();
        if self.has_mail() {
            timeout_us = 0;
        }
        self.epoll.wait(Duration::from_micros(timeout_us))?;
        self.mailbox.bell.wake_up();
        self.news.extend(self.epoll.ready().filter(|ready| ready.key != BELL_KEY));
        Ok(())
    }
}

/// The engine's settings of a shard.
fn shard_config(live: &LiveConfig, shard: ShardIndex) -> ShardConfig {
    ShardConfig {
        future_tolerance_ms: live.future_tolerance_ms,
        flush_max_ms: live.flush_max_ms,
        ping_interval_ms: live.ping_interval_ms,
        viewers_max: live.limits.viewers_max,
        topics_max: live.limits.topics_max,
        message_rate: live.limits.message_rate,
        subscribe_rate: live.limits.subscribe_rate,
        ..ShardConfig::new(shard, live.shard_count)
    }
}

fn viewer_of(key: u64) -> ViewerId {
    let [index, generation] = [key, key >> 32]
        .map(|half| u32::try_from(half & u64::from(u32::MAX)).expect("half of the bits"));
    ViewerId { index, generation }
}

fn key_of(viewer: ViewerId) -> u64 {
    u64::from(viewer.generation) << 32 | u64::from(viewer.index)
}

/// Keeps the thread on one core, when the shards have as many cores as they are and nobody else is
/// meant to use them: otherwise the scheduler knows better, and several processes of one machine would
/// all choose the same cores. It is a hint, so failing changes nothing.
fn pin(shard: ShardIndex, shard_count: u8) {
    let Ok(allowed) = rustix::thread::sched_getaffinity(None) else { return };
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
    // A quota may allow less time than there are cores.
    let usable = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if cores.len() > 1 && cores.len() == usable && cores.len() == usize::from(shard_count) {
        let mut own = CpuSet::new();
        own.set(cores[usize::from(shard.0)]);
        rustix::thread::sched_setaffinity(None, &own).ok();
    }
}
