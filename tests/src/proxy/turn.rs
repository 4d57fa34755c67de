//! The proxy's one thread: it waits for sockets, for what is due and for the test's word, in turns.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::net::sockopt::set_socket_linger;

use super::Forgery;
use super::fault::{Door, Ending, Standing, Way};
use super::line::Line;
use super::protocol::Spoken;
use super::trap::Armed;

/// How long a test waits for what must come true.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a server of this machine may take to accept.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// What the test and the proxy's thread share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// A turn has ended.
    turned: Condvar,
    /// Wakes the thread.
    bell: OwnedFd,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) spoken: Spoken,
    pub(super) upstream: u16,
    pub(super) door: Door,
    /// `None` while the door is closed.
    pub(super) listener: Option<Arc<TcpListener>>,
    /// Whom nobody serves, see [`Door::Hangs`].
    pub(super) hanging: Vec<TcpStream>,
    /// What connections to come will suffer, each way.
    pub(super) conditions: [Standing; 2],
    pub(super) lines: BTreeMap<usize, Line>,
    /// How much has passed over each connection there has been, each way.
    pub(super) passed: Vec<[u64; 2]>,
    pub(super) traps: Vec<Armed>,
    pub(super) forgery: Option<Forgery>,
    pub(super) has_ended: bool,
    /// Turns that the test has asked for, and the last one that has come.
    turns_asked: u64,
    turns_done: u64,
}

/// What the thread waits for: whose socket it is, and which side of it.
type Awaited = (Arc<TcpStream>, PollFlags, usize, usize);

impl State {
    pub(super) fn new(spoken: Spoken, upstream: u16, listener: TcpListener) -> Self {
        Self {
            spoken,
            upstream,
            door: Door::Open,
            listener: Some(Arc::new(listener)),
            hanging: Vec::new(),
            conditions: Default::default(),
            lines: BTreeMap::new(),
            passed: Vec::new(),
            traps: Vec::new(),
            forgery: None,
            has_ended: false,
            turns_asked: 0,
            turns_done: 0,
        }
    }

    /// Reads what has come, passes on what is due, and forgets who has gone.
    fn turn(&mut self, ready: &[(usize, usize)]) {
        let now = Instant::now();
        self.accept();
        for (number, side) in ready {
            if let Some(line) = self.lines.get_mut(number) {
                line.read(*side, now, &mut self.traps, &mut self.forgery);
            }
        }
        for (number, line) in &mut self.lines {
            line.pass(now, &mut self.traps);
            self.passed[*number] = line.passed();
        }
        self.lines.retain(|_, line| !line.is_over());
        self.turns_done = self.turns_asked;
    }

    /// Decides what newcomers find.
    pub(super) fn set_door(&mut self, door: Door, port: u16) {
        self.door = door;
        self.hanging.drain(..).for_each(|client| reset(&client));
        if door == Door::Closed {
            self.listener = None;
        } else if self.listener.is_none() {
            self.listener = Some(Arc::new(super::listen(port)));
        }
    }

    /// Ends all connections there are.
    pub(super) fn end(&mut self, ending: Ending) {
        self.lines.values_mut().for_each(|line| line.end(Way::ToClient, ending));
    }

    fn accept(&mut self) {
        while let Some(Ok((client, _))) = self.listener.as_ref().map(|listener| listener.accept()) {
            match self.door {
                Door::Hangs => self.hanging.push(client),
                Door::Resets => reset(&client),
                Door::Open | Door::Closed => {
                    if let Err(client) = self.connect(client) {
                        reset(&client);
                    }
                }
            }
        }
    }

    /// Leads a client to the server, or gives it back.
    fn connect(&mut self, client: TcpStream) -> Result<(), TcpStream> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.upstream));
        let Ok(server) = TcpStream::connect_timeout(&address, CONNECT_PATIENCE) else {
            return Err(client);
        };
        let prepare = |socket: &TcpStream| -> io::Result<()> {
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)
        };
        if prepare(&client).and_then(|()| prepare(&server)).is_err() {
            return Err(client);
        }
        let number = self.passed.len();
        let conditions = Way::BOTH.map(|way| self.conditions[way as usize].of(number));
        self.lines.insert(number, Line::new(number, [client, server], self.spoken, conditions));
        self.passed.push([0; 2]);
        Ok(())
    }

    fn awaited(&self) -> Vec<Awaited> {
        let mut awaited = Vec::new();
        for (&number, line) in &self.lines {
            for side in [0, 1] {
                let (socket, has_room, is_full) = line.socket(side);
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, has_room);
                flags.set(PollFlags::OUT, is_full);
                // One that is awaited for nothing would still tell of its end, again and again.
                if !flags.is_empty() {
                    awaited.push((socket.clone(), flags, number, side));
                }
            }
        }
        awaited
    }
}

fn reset(socket: &TcpStream) {
    // Closing then resets. Fails when the client has gone already.
    set_socket_linger(socket, Some(Duration::ZERO)).ok();
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        let bell = eventfd(0, EventfdFlags::NONBLOCK).expect("a descriptor");
        Self { state: Mutex::new(state), turned: Condvar::new(), bell }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and waits until it has come into force.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let turn = {
            let mut state = self.state();
            change(&mut state);
            state.turns_asked += 1;
            state.turns_asked
        };
        self.ring();
        self.wait("the proxy turns", |state| state.turns_done >= turn);
    }

    /// Waits until something is true.
    pub(super) fn wait(&self, what: &str, is_true: impl Fn(&State) -> bool) {
        let waiting = |state: &mut State| !is_true(state);
        let (state, waited) = self
            .turned
            .wait_timeout_while(self.state(), PATIENCE, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        assert!(!waited.timed_out(), "it did not come true in time that {what}");
    }

    /// Has the thread end.
    pub(super) fn end(&self) {
        self.state().has_ended = true;
        self.ring();
    }

    fn ring(&self) {
        rustix::io::write(&self.bell, &1_u64.to_le_bytes()).expect("a bell rings");
    }

    /// Takes turns until the proxy is dropped; then all connections end.
    pub(super) fn run(&self) {
        let mut ready = Vec::new();
        loop {
            let mut state = self.state();
            if state.has_ended {
                state.lines.clear();
                state.hanging.clear();
                state.listener = None;
                return;
            }
            state.turn(&ready);
            self.turned.notify_all();
            let (awaited, listener) = (state.awaited(), state.listener.clone());
            let due = state.lines.values().filter_map(|line| line.due).min();
            drop(state);
            ready = self.wait_for_sockets(&awaited, listener.as_deref(), due);
        }
    }

    /// Waits, and says which sides of which connections have something to read.
    fn wait_for_sockets(
        &self,
        awaited: &[Awaited],
        listener: Option<&TcpListener>,
        due: Option<Instant>,
    ) -> Vec<(usize, usize)> {
        let sockets = awaited.iter().map(|(socket, flags, ..)| PollFd::new(socket, *flags));
        let bell = [PollFd::new(&self.bell, PollFlags::IN)];
        let listener = listener.map(|listener| PollFd::new(listener, PollFlags::IN));
        let mut all: Vec<PollFd<'_>> = sockets.chain(bell).chain(listener).collect();
        let left = due.map(|due| due.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec::try_from(left).expect("a short time"));
        // Interrupted is as good as awaited.
        poll(&mut all, left.as_ref()).ok();
        let has_rung = !all[awaited.len()].revents().is_empty();
        let has_come = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let ready = awaited.iter().zip(&all).filter(|(_, fd)| has_come(fd));
        let ready = ready.map(|((_, _, number, side), _)| (*number, *side)).collect();
        if has_rung {
            rustix::io::read(&self.bell, &mut [0_u8; 8]).ok();
        }
        ready
    }
}
