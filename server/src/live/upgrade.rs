//! The listener for viewers: from an accepted connection to a shard's viewer, or a refusal.
//!
//! Each connection is a task until it is a viewer; then a shard has its socket and nothing of it is
//! left here. Cheap checks come first and Directus last, so that who has no business here costs
//! nothing. Whatever is answered, the connection closes, and the answer arrives. Where there is a live
//! page, its requests pass the same door under the same limits.

mod meter;
mod origin;
mod remarks;
mod request;
mod socket;
mod stages;
mod wire;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use self::meter::{Meter, Outcome};
pub use self::request::Request;

use super::access::doorkeeper::Gate;
use super::admission::Admission;
use super::mailbox::Address;
use crate::accept::Reception;
use crate::config::LiveConfig;
use crate::context::Context;
use crate::page::Desk;
use crate::shutdown::Stage;
use crate::status::{Role, State};

/// Connections that the kernel completes and keeps until they are accepted, if its own limit
/// (`net.core.somaxconn`) allows as many: those of a second at the start of a race.
const BACKLOG: i32 = 4_096;

/// How long those who are half way in may take to hear that the process leaves.
const LEAVING_MS: u64 = 3_000;

/// What the listener works with.
#[derive(Clone, Debug)]
pub struct Door {
    /// Settings, log and the rest.
    pub context: Context,
    /// Who is who.
    pub access: Gate,
    /// How many may come in.
    pub admission: Arc<Admission>,
    /// Where viewers go.
    pub shards: Arc<[Address]>,
    /// What became of connections.
    pub meter: Arc<Meter>,
    /// Answers whatever is not for viewers, if there is a page.
    pub desk: Option<Desk>,
}

/// Accepts connections as soon as `opening` is over and until the process leaves. Before that they
/// wait in the kernel.
pub async fn run(listener: TcpListener, door: Door, opening: impl Future<Output = ()>) {
    let component = door.context.status.component("listener", Some(Role::Live));
    let prepared = prepared(listener, &door.context.config.live);
    tokio::select! {
        biased;
        // Who waits in the kernel is turned away by the listener's end.
        () = door.context.shutdown.reached(Stage::Leaving) => return,
        () = opening => {}
    }
    let door = Arc::new(door);
    let mut connections = JoinSet::new();
    match prepared {
        Ok(listener) => {
            let reception = Reception {
                shutdown: &door.context.shutdown,
                component: &component,
                errors: &door.meter.accept_errors,
                works: "Viewers are let in.",
                effect: "Who is connected is not touched; newcomers wait.",
                remedy: "Raise the limit on open files (LimitNOFILE), or lower LIVE_VIEWERS_MAX.",
            };
            let admit = |stream, peer, connections: &mut _| admit(stream, peer, &door, connections);
            reception.run(&listener, &mut connections, admit).await;
        }
        Err(error) => {
            let reason = format!("The listener for viewers cannot be used: {error}.");
            component.set(State::Failed, &reason, "Nobody can connect.", "Start pitwall again.");
            door.context.shutdown.reached(Stage::Leaving).await;
        }
    }
    // The listener is closed by now. Who is half way in gets a moment to be told what happens.
    let all = async { while connections.join_next().await.is_some() {} };
    timeout(Duration::from_millis(LEAVING_MS), all).await.ok();
}

fn prepared(listener: TcpListener, live: &LiveConfig) -> std::io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    socket::equip(&listener, live)?;
    // It listens already; this makes its queue longer.
    rustix::net::listen(&listener, BACKLOG)?;
    tokio::net::TcpListener::from_std(listener)
}

fn admit(stream: TcpStream, peer: SocketAddr, door: &Arc<Door>, connections: &mut JoinSet<()>) {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let is_proxy = origin::is_trusted(peer.ip(), &door.context.config.live.access.trusted_proxies);
    match door.admission.enter((!is_proxy).then_some(peer.ip())) {
        // Dropping the stream closes it: an answer would cost what there is too little of.
        Err(_) => door.meter.count(Outcome::Shed),
        Ok(permit) => {
            connections.spawn(stages::conduct(stream, peer, permit, door.clone()));
        }
    }
}
