//! What a wire can suffer, and where: the words in which a test tells the proxy.

use std::time::{Duration, Instant};

use loadgen::random::Random;

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer = 0,
    /// From the server to the client.
    ToClient = 1,
}

impl Way {
    /// Both, in the order of their numbers.
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];
}

/// Which connections suffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those there are.
    Existing,
    /// Those to come, until [`super::Proxy::heal`].
    New,
    /// All of them.
    All,
}

/// What one direction of a connection suffers. A second fault of a kind takes the place of the
/// first; faults of different kinds go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bytes come so much later, and up to `jitter_ms` more as the seed will have it, in order.
    Delay {
        /// At least.
        ms: u64,
        /// At most this beyond it.
        jitter_ms: u32,
        /// Decides the jitter, together with the number of the connection.
        seed: u64,
    },
    /// No more bytes a second than these.
    Bandwidth {
        /// At least 1.
        bytes_per_second: u64,
    },
    /// Nothing passes, not even an end; nothing is closed.
    Silence,
    /// So much passes, and then it ends, even if nothing is there to follow.
    Cut {
        /// What still passes.
        at: Place,
        /// How it ends.
        ending: Ending,
    },
    /// One byte is changed.
    Corrupt {
        /// What passes unchanged before it.
        at: Place,
        /// The bits that are flipped.
        mask: u8,
    },
}

/// A place among the bytes that pass in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind so many bytes of the connection.
    FromStart(u64),
    /// Behind so many bytes from now on.
    FromNow(u64),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Both ends see a reset.
    Reset,
    /// Both ends see a clean end.
    Close,
    /// Who is spoken to in this direction sees a clean end; the other direction goes on.
    HalfClose,
    /// Nobody sees anything: nothing passes any more, in either direction, and nothing is closed.
    Silence,
}

/// What newcomers find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// They are led to the server.
    Open,
    /// Nobody listens.
    Closed,
    /// They are accepted and reset at once.
    Resets,
    /// They are accepted, and nothing ever happens; the server hears nothing of it.
    Hangs,
}

/// What one direction of connections to come will suffer.
#[derive(Debug, Default)]
pub(super) struct Standing(Vec<Fault>);

impl Standing {
    /// Adds a fault.
    pub(super) fn keep(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Takes silence away.
    pub(super) fn release(&mut self) {
        self.0.retain(|fault| *fault != Fault::Silence);
    }

    /// What connection number `number` will suffer.
    pub(super) fn of(&self, number: usize) -> Conditions {
        let mut conditions = Conditions::default();
        self.0.iter().for_each(|fault| conditions.add(*fault, number, 0));
        conditions
    }
}

/// What one direction of one connection suffers now.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    delay: Option<Delay>,
    pub(super) bandwidth: Option<u64>,
    pub(super) is_silent: bool,
    /// Behind how many bytes of the connection, and how.
    pub(super) cut: Option<(u64, Ending)>,
    /// Behind how many bytes of the connection, and which bits.
    pub(super) corrupt: Option<(u64, u8)>,
}

#[derive(Clone, Debug)]
struct Delay {
    ms: u64,
    jitter_ms: u32,
    random: Random,
}

impl Conditions {
    /// Adds a fault to a direction of connection number `number` in which so many bytes have passed.
    ///
    /// # Panics
    /// When the bandwidth is 0, which would be [`Fault::Silence`].
    pub(super) fn add(&mut self, fault: Fault, number: usize, passed: u64) {
        let behind = |place| match place {
            Place::FromStart(bytes) => bytes,
            Place::FromNow(bytes) => passed + bytes,
        };
        match fault {
            Fault::Delay { ms, jitter_ms, seed } => {
                let random = Random::of_part(seed, number as u64);
                self.delay = Some(Delay { ms, jitter_ms, random });
            }
            Fault::Bandwidth { bytes_per_second } => {
                assert!(bytes_per_second > 0, "nothing a second is silence");
                self.bandwidth = Some(bytes_per_second);
            }
            Fault::Silence => self.is_silent = true,
            Fault::Cut { at, ending } => self.cut = Some((behind(at), ending)),
            Fault::Corrupt { at, mask } => self.corrupt = Some((behind(at), mask)),
        }
    }

    /// When what has come now is to go on.
    pub(super) fn due(&mut self, now: Instant) -> Instant {
        let Some(delay) = &mut self.delay else { return now };
        let jitter_ms = delay.random.below(delay.jitter_ms.saturating_add(1));
        now + Duration::from_millis(delay.ms + u64::from(jitter_ms))
    }
}
