//! Waiting for many sockets at once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// Sockets of which one wait can tell; more are told by the next one. 12 KiB.
const EVENTS_MAX: usize = 1_024;

/// An epoll instance and what it last told.
pub(crate) struct Epoll {
    fd: OwnedFd,
    events: Vec<Event>,
}

impl std::fmt::Debug for Epoll {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Epoll").field("fd", &self.fd).finish_non_exhaustive()
    }
}

/// What is news of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Everything, each time that something changes.
    Changes,
    /// Room for bytes, as when a connection stands.
    Room,
    /// Bytes to read or the end, as long as there are any.
    Bytes,
    /// The end alone, once.
    End,
}

impl Wish {
    fn flags(self) -> EventFlags {
        match self {
            Self::Changes => EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET,
            Self::Room => EventFlags::OUT,
            Self::Bytes => EventFlags::IN,
            Self::End => EventFlags::RDHUP | EventFlags::ET,
        }
    }
}

/// A socket about which there is news.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// By what it was registered.
    pub(crate) key: u64,
    /// There are bytes, or the end.
    pub(crate) is_readable: bool,
    /// The other side has ended the connection, or it is broken; bytes may stand before that.
    pub(crate) is_over: bool,
    /// There is room for bytes.
    pub(crate) is_writable: bool,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { fd, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Registers a socket; closing it ends that.
    pub(crate) fn add(&self, socket: impl AsFd, key: u64, wish: Wish) -> io::Result<()> {
        Ok(epoll::add(&self.fd, socket, EventData::new_u64(key), wish.flags())?)
    }

    /// Changes what is news of a registered socket.
    pub(crate) fn modify(&self, socket: impl AsFd, key: u64, wish: Wish) -> io::Result<()> {
        Ok(epoll::modify(&self.fd, socket, EventData::new_u64(key), wish.flags())?)
    }

    /// Waits until there is news, but no longer than `timeout`.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.events.clear();
        let timeout = Timespec::try_from(timeout).ok();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.fd, room, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// How many sockets the last wait told of.
    pub(crate) fn ready_count(&self) -> usize {
        self.events.len()
    }

    /// The news of the last wait, by its place.
    pub(crate) fn ready(&self, place: usize) -> Ready {
        let Event { flags, data, .. } = self.events[place];
        let is_over = flags.intersects(EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP);
        Ready {
            key: data.u64(),
            is_readable: flags.contains(EventFlags::IN) || is_over,
            is_over,
            is_writable: flags.contains(EventFlags::OUT),
        }
    }
}
