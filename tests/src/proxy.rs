//! A wire that can break: a TCP proxy on loopback with every fault that a network has.
//!
//! It delays, throttles, silences, corrupts, cuts and resets, each direction apart, connections
//! there are or those to come; it refuses newcomers or lets them hang. One made for PostgreSQL or
//! for Redis understands what passes, and so can cut exactly where it hurts: when a server has been
//! asked to commit and the client has not heard the answer, see [`Trap`]. One thread does all of
//! it. What a test asks for has come into force when the call returns.

mod fault;
mod line;
mod pipe;
mod postgres;
mod protocol;
mod resp;
mod trap;
mod turn;

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::net::{AddressFamily, SocketType, sockopt};

pub use fault::{Door, Ending, Fault, Place, Way, Which};
pub use trap::{Event, Moment, Rule, Trap};

use protocol::Spoken;
use trap::Armed;
use turn::{Shared, State};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// A running proxy; all its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Keeps the port while nobody listens on it.
    _reservation: OwnedFd,
}

/// What is to be put in the place of an answer.
#[derive(Clone, Debug)]
pub struct Forgery {
    /// Only an answer that contains this.
    pub instead_of: Vec<u8>,
    /// What is sent in its place.
    pub bytes: Vec<u8>,
    /// Whether the connection is cut behind it.
    pub is_cut: bool,
}

impl Proxy {
    /// A wire to the server on this port of loopback, whatever it speaks.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn to(upstream: u16) -> Self {
        Self::new(upstream, Spoken::Unknown)
    }

    /// A wire to a PostgreSQL on this port of loopback, for its [`Event`]s.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn to_postgres(upstream: u16) -> Self {
        Self::new(upstream, Spoken::Postgres)
    }

    /// A wire to a Redis on this port of loopback, for its [`Event`]s.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn to_redis(upstream: u16) -> Self {
        Self::new(upstream, Spoken::Redis)
    }

    fn new(upstream: u16, spoken: Spoken) -> Self {
        let (port, reservation) = reserve();
        let shared = Arc::new(Shared::new(State::new(spoken, upstream, listen(port))));
        let turning = shared.clone();
        let thread = thread::spawn(move || turning.run());
        Self { port, shared, thread: Some(thread), _reservation: reservation }
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections so far that were led to a server. They are numbered from 0.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.shared.state().passed.len()
    }

    /// Connections that have not ended.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.shared.state().lines.len()
    }

    /// The numbers of the connections that have not ended.
    #[must_use]
    pub fn open_connections(&self) -> Vec<usize> {
        self.shared.state().lines.keys().copied().collect()
    }

    /// Bytes that have passed over a connection, whether it has ended or not.
    ///
    /// # Panics
    /// When there has been no such connection.
    #[must_use]
    pub fn bytes_passed(&self, connection: usize, way: Way) -> u64 {
        self.shared.state().passed[connection][way as usize]
    }

    /// Lets connections suffer a fault in one direction.
    pub fn set(&self, which: Which, way: Way, fault: Fault) {
        self.shared.change(|state| {
            if which != Which::New {
                state.lines.values_mut().for_each(|line| line.add(way, fault));
            }
            if which != Which::Existing {
                state.conditions[way as usize].keep(fault);
            }
        });
    }

    /// Lets connections suffer a fault in both directions.
    pub fn set_both(&self, which: Which, fault: Fault) {
        Way::BOTH.into_iter().for_each(|way| self.set(which, way, fault));
    }

    /// Decides what newcomers find. Whoever was left hanging is reset.
    pub fn set_door(&self, door: Door) {
        self.shared.change(|state| state.set_door(door, self.port));
    }

    /// Sets a trap, for connections there are and those to come.
    #[must_use]
    pub fn trap(&self, rule: Rule) -> Trap {
        let mut number = 0;
        self.shared.change(|state| {
            number = state.traps.len();
            state.traps.push(Armed::new(rule));
        });
        Trap { shared: self.shared.clone(), number }
    }

    /// All is well again: no fault is left, no trap is armed, the door is open, and what was held
    /// goes on. Connections that have ended stay ended.
    pub fn heal(&self) {
        self.shared.change(|state| {
            state.lines.values_mut().for_each(line::Line::heal);
            state.conditions = Default::default();
            state.traps.iter_mut().for_each(Armed::disarm);
            state.forgery = None;
            state.set_door(Door::Open, self.port);
        });
    }

    /// Nothing passes any more, in either direction, until [`Self::release`]; nothing is closed.
    pub fn hold(&self) {
        self.set_both(Which::All, Fault::Silence);
    }

    /// Nothing passes any more on the connections there are; new ones work.
    pub fn hold_existing(&self) {
        self.set_both(Which::Existing, Fault::Silence);
    }

    /// What was held goes on.
    pub fn release(&self) {
        self.shared.change(|state| {
            state.lines.values_mut().for_each(line::Line::release);
            state.conditions.iter_mut().for_each(fault::Standing::release);
        });
    }

    /// Ends all connections there are, cleanly.
    pub fn cut(&self) {
        self.end(Ending::Close);
    }

    /// Resets all connections there are.
    pub fn reset(&self) {
        self.end(Ending::Reset);
    }

    fn end(&self, ending: Ending) {
        self.shared.change(|state| state.end(ending));
    }

    /// Cuts all connections and leads new ones to another server.
    pub fn lead_to(&self, upstream: u16) {
        self.shared.change(|state| {
            state.upstream = upstream;
            state.end(Ending::Close);
        });
    }

    /// Puts something in the place of the next answer of this kind.
    pub fn forge(&self, forgery: Forgery) {
        self.shared.change(|state| state.forgery = Some(forgery));
    }

    /// True when the forgery has been sent.
    #[must_use]
    pub fn has_forged(&self) -> bool {
        self.shared.state().forgery.is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.end();
        let ended = self.thread.take().map(JoinHandle::join);
        // A test that fails for its own reasons should tell those.
        assert!(thread::panicking() || !matches!(ended, Some(Err(_))), "the proxy has failed");
    }
}

impl Forgery {
    fn replaces(&self, answer: &[u8]) -> bool {
        answer.windows(self.instead_of.len()).any(|part| part == self.instead_of)
    }
}

/// A port that nobody else gets, and what keeps it.
pub(crate) fn reserve() -> (u16, OwnedFd) {
    let socket =
        rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    sockopt::set_socket_reuseaddr(&socket, true).expect("a socket");
    let any = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    rustix::net::bind(&socket, &any).expect("loopback has ports");
    let bound = rustix::net::getsockname(&socket).expect("it is bound");
    let bound = std::net::SocketAddr::try_from(bound).expect("an address of loopback");
    (bound.port(), socket)
}

/// Listens on a reserved port.
fn listen(port: u16) -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is ours");
    listener.set_nonblocking(true).expect("a socket");
    listener
}
