//! The listener for devices: accepts, gives each connection a place and a task, and ends in order.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use engine::teltonika::Imei;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::authority::Known;
use super::connection;
use super::numbers::Numbers;
use super::packets::Packet;
use super::places::Places;
use crate::accept::Reception;
use crate::context::Context;
use crate::metrics::Section;
use crate::shutdown::Stage;
use crate::status::{Component, Role, State};

/// Connections that the kernel completes and keeps until they are accepted, if its own limit
/// (`net.core.somaxconn`) allows as many: those of a mobile network that has just come back.
const BACKLOG: i32 = 16_384;

/// How long what was read before the end may take to become safe and be answered.
pub const DRAIN_MS_MAX: u64 = 4_000;

/// Between two looks at whether that has come.
const LOOK_MS: u64 = 10;

/// Room in the kernel for what a device sends while its last packet waits: the largest packet. The
/// kernel doubles it for its bookkeeping.
const RECEIVE_BYTES: usize = 16 * 1024;

/// Room for answers, of four bytes each.
const SEND_BYTES: usize = 4 * 1024;

/// How long an answer may stay unacknowledged by the device's own system before it counts as gone.
const UNACKNOWLEDGED_MS: u32 = 60_000;

/// Between two lines about devices that send what nobody understands: they come again and again.
const REMARK_MS: u64 = 1_000;

/// What all connections work with.
#[derive(Debug)]
pub struct Door {
    pub(super) context: Context,
    pub(super) packets: mpsc::Sender<Packet>,
    pub(super) known: watch::Receiver<Known>,
    pub(super) numbers: Arc<Numbers>,
    places: Arc<Places>,
    component: Arc<Component>,
    /// Nothing more is read.
    is_leaving: AtomicBool,
    /// When something was last said about a device, in milliseconds; 0 is never.
    remarked_ms: AtomicU64,
}

impl Door {
    /// One that hands packets on to `packets`, of devices that are `known`.
    #[must_use]
    pub fn new(
        context: &Context,
        packets: mpsc::Sender<Packet>,
        known: watch::Receiver<Known>,
    ) -> Self {
        let places = Places::new(&context.config.ingest);
        Self {
            numbers: Arc::new(Numbers::new(places.clone(), &packets)),
            component: context.status.component("devices", Some(Role::Ingest)),
            context: context.clone(),
            packets,
            known,
            places,
            is_leaving: AtomicBool::new(false),
            remarked_ms: AtomicU64::new(0),
        }
    }

    /// Its numbers.
    #[must_use]
    pub fn section(&self) -> Arc<dyn Section> {
        self.numbers.clone()
    }

    /// True when nothing more is to be read.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Logs what a device did wrong, unless something was logged just before.
    pub(super) fn remark(&self, words: &str, peer: SocketAddr, imei: Option<&Imei>) {
        let now_ms = self.context.clock.monotonic_ms() + REMARK_MS;
        let last_ms = self.remarked_ms.load(Ordering::Relaxed);
        if now_ms - last_ms >= REMARK_MS {
            self.remarked_ms.store(now_ms, Ordering::Relaxed);
            let (peer, device) = (peer.to_string(), imei.map_or("", |imei| imei.as_str()));
            let fields = [("reason", words), ("device_id", device), ("peer", &peer)];
            self.context.log.warn("a device was cut for what it sent", &fields);
        }
    }
}

/// Listens until the process leaves. Then nothing more is accepted and read, what was read is waited
/// for, and all connections are closed.
pub async fn run(listener: TcpListener, door: Door) {
    let shutdown = door.context.shutdown.clone();
    let door = Arc::new(door);
    let mut connections = JoinSet::new();
    match prepared(listener) {
        Ok(listener) => {
            let reception = Reception {
                shutdown: &shutdown,
                component: &door.component,
                errors: &door.numbers.accept_errors,
                works: "Devices are listened to.",
                effect: "Devices that are connected are not touched; others wait and keep their records.",
                remedy: "Raise the limit on open files (LimitNOFILE), or lower INGEST_DEVICES_MAX.",
            };
            let admit = |stream, peer, connections: &mut _| admit(stream, peer, &door, connections);
            reception.run(&listener, &mut connections, admit).await;
        }
        Err(error) => {
            let reason = format!("The listener for devices cannot be used: {error}.");
            let effect = "No device can connect; they keep their records.";
            door.component.set(State::Failed, &reason, effect, "Start pitwall again.");
            shutdown.reached(Stage::Leaving).await;
        }
    }
    door.is_leaving.store(true, Ordering::Relaxed);
    let deadline = Instant::now() + Duration::from_millis(DRAIN_MS_MAX);
    while door.numbers.waiting.value() > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(LOOK_MS)).await;
    }
    connections.shutdown().await;
}

fn prepared(listener: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    // Sockets inherit these from the listener, so that a device costs no further calls.
    sockopt::set_tcp_nodelay(&listener, true)?;
    sockopt::set_socket_recv_buffer_size(&listener, RECEIVE_BYTES)?;
    sockopt::set_socket_send_buffer_size(&listener, SEND_BYTES)?;
    sockopt::set_tcp_user_timeout(&listener, UNACKNOWLEDGED_MS)?;
    // It listens already; this makes its queue longer.
    rustix::net::listen(&listener, BACKLOG)?;
    tokio::net::TcpListener::from_std(listener)
}

fn admit(stream: TcpStream, peer: SocketAddr, door: &Arc<Door>, connections: &mut JoinSet<()>) {
    match door.places.take(peer.ip()) {
        // Dropping the stream closes it: the device keeps its records and tries again.
        None => door.numbers.shed.increment(),
        Some(place) => {
            connections.spawn(connection::conduct(stream, peer, place, door.clone()));
        }
    }
}
