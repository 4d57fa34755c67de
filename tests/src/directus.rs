//! A Directus of one test: a stub that does what it is told, and the real one.
//!
//! The stub is for tests of access alone. It breaks in every way in which a server can break, says
//! how many requests are in flight, compares every request with the bytes that it must consist of,
//! and fails the test that dropped it when one differs. Tests of the whole program take the one of
//! the scene, which is plainer.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;

pub mod real;
mod serve;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the stub does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Answers as it knows: who holds which cookie, and what they may see.
    Knows,
    /// Like [`Mode::Knows`], but closes a connection when it is used a second time.
    Forgets,
    /// Says nothing until the mode changes; then it answers by the new one.
    Holds,
    /// Answers with this status, and errors in the form of Directus.
    Status(u16),
    /// Answers 200 with this body.
    Body(String),
    /// Answers 302 to a page that would log somebody in.
    Redirects,
    /// Answers 200 with a body of 10 MB.
    LongBody,
    /// Answers 200 with a body that never ends.
    EndlessBody,
    /// Answers 200 with a body that is good, but compressed.
    Compressed,
    /// Answers 200, one byte in ten milliseconds.
    Drips,
    /// Cuts the connection in the middle of the head.
    CutsHead,
    /// Cuts the connection in the middle of the body.
    CutsBody,
    /// Answers with a head of 10 MB.
    LongHead,
    /// Answers with 10,000 headers.
    ManyHeaders,
    /// Answers with something that is not HTTP.
    Babbles,
    /// Does not listen, and has cut every connection.
    Refuses,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/users/me`.
    Identity,
    /// `/items/events`.
    Event,
}

/// The stub.
#[derive(Debug)]
pub struct Directus {
    shared: Arc<Shared>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Rings with every change of the state.
    bell: watch::Sender<u64>,
    /// Rings when it has begun or ended to listen.
    listens: Condvar,
}

#[derive(Debug)]
struct State {
    identity: Mode,
    event: Mode,
    users: HashMap<String, String>,
    allowed: HashSet<(String, String)>,
    calls: Vec<Kind>,
    in_flight: usize,
    in_flight_max: usize,
    connections: usize,
    is_listening: bool,
    complaints: Vec<String>,
    is_over: bool,
}

impl Directus {
    /// Starts a stub that knows nobody.
    ///
    /// # Panics
    /// When it has no port to listen on.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let state = State {
            identity: Mode::Knows,
            event: Mode::Knows,
            users: HashMap::new(),
            allowed: HashSet::new(),
            calls: Vec::new(),
            in_flight: 0,
            in_flight_max: 0,
            connections: 0,
            is_listening: true,
            complaints: Vec::new(),
            is_over: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            bell: watch::Sender::new(0),
            listens: Condvar::new(),
        });
        let serving = shared.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(serve::serve(listener, serving));
        });
        Self { shared, port, thread: Some(thread) }
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on this cookie is this user's.
    pub fn log_in(&self, cookie: &str, user: &str) {
        self.shared.change(|state| drop(state.users.insert(cookie.to_owned(), user.to_owned())));
    }

    /// From now on this cookie is nobody's.
    pub fn log_out(&self, cookie: &str) {
        self.shared.change(|state| drop(state.users.remove(cookie)));
    }

    /// From now on who holds this cookie may see this event.
    pub fn allow(&self, cookie: &str, event: &str) {
        self.shared.change(|state| {
            state.allowed.insert((cookie.to_owned(), event.to_owned()));
        });
    }

    /// From now on it does this with every request.
    pub fn set(&self, mode: &Mode) {
        self.shared.change(|state| {
            state.identity = mode.clone();
            state.event = mode.clone();
        });
        self.shared.obeyed();
    }

    /// From now on it does this with requests of one kind.
    pub fn set_for(&self, kind: Kind, mode: Mode) {
        self.shared.change(|state| match kind {
            Kind::Identity => state.identity = mode,
            Kind::Event => state.event = mode,
        });
        self.shared.obeyed();
    }

    /// How many requests of one kind have come.
    #[must_use]
    pub fn call_count(&self, kind: Kind) -> usize {
        self.shared.state().calls.iter().filter(|&&call| call == kind).count()
    }

    /// The most requests that were in flight at once.
    #[must_use]
    pub fn in_flight_max(&self) -> usize {
        self.shared.state().in_flight_max
    }

    /// How many connections were opened to it.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.shared.state().connections
    }

    /// Waits until so many requests have come.
    ///
    /// # Panics
    /// When they do not come in time.
    pub async fn called(&self, count: usize) {
        self.wait(|state| state.calls.len() >= count).await;
    }

    /// Waits until so many requests are in flight.
    ///
    /// # Panics
    /// When it does not happen in time.
    pub async fn in_flight(&self, count: usize) {
        self.wait(|state| state.in_flight == count).await;
    }

    async fn wait(&self, is_met: impl Fn(&State) -> bool) {
        let mut bell = self.shared.bell.subscribe();
        let met = bell.wait_for(|_| is_met(&self.shared.state()));
        let met = tokio::time::timeout(PATIENCE, met).await;
        drop(met.expect("it happens in time").expect("the stub lives"));
    }
}

impl Drop for Directus {
    fn drop(&mut self) {
        self.shared.change(|state| state.is_over = true);
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the stub has panicked");
            let complaints = self.shared.state().complaints.clone();
            assert!(complaints.is_empty(), "requests differ: {}", complaints.join("\n"));
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.bell.send_modify(|count| *count += 1);
        result
    }

    /// Waits until it listens, or does not, as it was told.
    fn obeyed(&self) {
        let late = |state: &mut State| state.is_listening == state.is_refusing();
        let waited = self.listens.wait_timeout_while(self.state(), PATIENCE, late);
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(state);
        assert!(!waited.timed_out(), "the stub obeys in time");
    }
}

impl State {
    fn is_refusing(&self) -> bool {
        self.identity == Mode::Refuses && self.event == Mode::Refuses
    }

    fn mode(&self, kind: Kind) -> &Mode {
        match kind {
            Kind::Identity => &self.identity,
            Kind::Event => &self.event,
        }
    }
}
