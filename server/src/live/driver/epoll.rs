//! Waiting for sockets with epoll, edge-triggered: a socket is registered once and never again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// Sockets of which one wait can tell. More are told by the next one. 12 KiB a shard.
const EVENTS_MAX: usize = 1_024;

/// An epoll instance and what it last told.
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<Event>,
}

impl std::fmt::Debug for Epoll {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Epoll").field("fd", &self.fd).finish_non_exhaustive()
    }
}

/// A socket about which there is news.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// By what it was registered.
    pub key: u64,
    /// There are bytes, or the end.
    pub is_readable: bool,
    /// The other side has ended the connection, or it is broken; bytes may stand before that.
    pub is_over: bool,
    /// There is room for bytes again.
    pub is_writable: bool,
}

impl Epoll {
    /// An instance without sockets.
    pub fn new() -> io::Result<Self> {
        let fd = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { fd, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Registers a socket; closing it ends that.
    pub fn add(&self, socket: impl AsFd, key: u64) -> io::Result<()> {
        self.register(socket, key, EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP)
    }

    /// Registers something of which only bytes to read are news.
    pub fn add_reader(&self, reader: impl AsFd, key: u64) -> io::Result<()> {
        self.register(reader, key, EventFlags::IN)
    }

    fn register(&self, fd: impl AsFd, key: u64, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.fd, fd, EventData::new_u64(key), flags | EventFlags::ET)?)
    }

    /// Waits until there is news, but no longer than `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.events.clear();
        let timeout = Timespec::try_from(timeout).ok();
        match epoll::wait(
            &self.fd,
            rustix::buffer::spare_capacity(&mut self.events),
            timeout.as_ref(),
        ) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The news of the last wait.
    pub fn ready(&self) -> impl Iterator<Item = Ready> + '_ {
        self.events.iter().map(|event| {
            let flags = event.flags;
            let is_over = flags.intersects(EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP);
            Ready {
                key: event.data.u64(),
                is_readable: flags.contains(EventFlags::IN) || is_over,
                is_over,
                is_writable: flags.contains(EventFlags::OUT),
            }
        })
    }
}
