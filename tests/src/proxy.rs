//! A wire that can break: a TCP proxy on loopback that holds, cuts, forges or leads elsewhere.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Bytes passed on at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// A running proxy; all its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    wire: Arc<Wire>,
}

#[derive(Debug)]
struct Wire {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    upstream: u16,
    /// Connections with a smaller number are held for ever.
    held_below: usize,
    is_held: bool,
    has_ended: bool,
    forgery: Option<Forgery>,
    /// Both ends of every connection, in the order in which they came.
    connections: Vec<[TcpStream; 2]>,
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
    /// A wire to the server on this port of loopback.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn to(upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        let state = State {
            upstream,
            held_below: 0,
            is_held: false,
            has_ended: false,
            forgery: None,
            connections: Vec::new(),
        };
        let wire = Arc::new(Wire { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = wire.clone();
        thread::spawn(move || accepting.accept(&listener));
        Self { port, wire }
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections so far.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.wire.state().connections.len()
    }

    /// Nothing passes any more, in either direction, until [`Self::release`]; nothing is closed.
    pub fn hold(&self) {
        self.wire.change(|state| state.is_held = true);
    }

    /// What was held goes on.
    pub fn release(&self) {
        self.wire.change(|state| state.is_held = false);
    }

    /// Nothing passes any more on the connections there are; new ones work.
    pub fn hold_existing(&self) {
        self.wire.change(|state| state.held_below = state.connections.len());
    }

    /// Cuts all connections there are.
    pub fn cut(&self) {
        self.wire.change(State::cut);
    }

    /// Cuts all connections and leads new ones to another server.
    pub fn lead_to(&self, upstream: u16) {
        self.wire.change(|state| {
            state.upstream = upstream;
            state.cut();
        });
    }

    /// Puts something in the place of the next answer of this kind.
    pub fn forge(&self, forgery: Forgery) {
        self.wire.change(|state| state.forgery = Some(forgery));
    }

    /// True when the forgery has been sent.
    #[must_use]
    pub fn has_forged(&self) -> bool {
        self.wire.state().forgery.is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.change(|state| {
            state.has_ended = true;
            state.cut();
        });
        // Wakes the thread that accepts, so that it sees the end.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

impl State {
    fn cut(&mut self) {
        for socket in self.connections.iter().flatten() {
            // Fails when it is closed already.
            socket.shutdown(Shutdown::Both).ok();
        }
    }

    fn is_held(&self, number: usize) -> bool {
        !self.has_ended && (self.is_held || number < self.held_below)
    }
}

impl Wire {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.state().has_ended {
                return;
            }
            // A server that is not there looks like one that closes at once.
            drop(client.and_then(|client| self.connect(client)));
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let upstream = self.state().upstream;
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let number = {
            let mut state = self.state();
            state.connections.push([client.try_clone()?, server.try_clone()?]);
            state.connections.len() - 1
        };
        let (wire, from, to) = (self.clone(), client.try_clone()?, server.try_clone()?);
        thread::spawn(move || wire.pass(number, from, to, false));
        let wire = self.clone();
        thread::spawn(move || wire.pass(number, server, client, true));
        Ok(())
    }

    /// Passes bytes on in one direction until either end is closed.
    fn pass(&self, number: usize, mut from: TcpStream, mut to: TcpStream, is_answer: bool) {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            let held = self.state();
            let mut state = self
                .changed
                .wait_while(held, |state| state.is_held(number))
                .unwrap_or_else(PoisonError::into_inner);
            let forged = |forgery: &mut Forgery| {
                let mut parts = chunk[..length].windows(forgery.instead_of.len());
                is_answer && parts.any(|part| part == forgery.instead_of)
            };
            let forgery = state.forgery.take_if(forged);
            drop(state);
            let bytes = forgery.as_ref().map_or(&chunk[..length], |forgery| &forgery.bytes);
            let is_over = forgery.as_ref().is_some_and(|forgery| forgery.is_cut);
            if to.write_all(bytes).is_err() || is_over {
                break;
            }
        }
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    }
}
