//! Devices straight to pitwall: their packets in, answered once their records are safe.
//!
//! It has a thread of its own, which viewers and the writer never wait for. On it run the listener, a
//! task for each device, and the publisher, which adds records to the stream. What is not safe is not
//! answered, and the device keeps it: so nothing is lost, whatever fails here.

mod answers;
pub mod authority;
mod batch;
mod connection;
mod health;
pub mod listener;
mod numbers;
pub mod packets;
mod places;
mod publisher;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use self::authority::Known;
use self::health::Health;
use self::listener::Door;
use self::packets::Packet;
use self::publisher::Publisher;
use crate::config::DeviceAuthority;
use crate::context::Context;
use crate::error::Stop;
use crate::metrics::Section;
use crate::stream::{Server, policy};
use crate::worker::{Started, Worker};

/// How long the end may take: what was read is published, and answered.
pub const END_MS_MAX: u64 = listener::DRAIN_MS_MAX + LAST_BATCH_MS_MAX;

/// Of that, how long the publisher may take once all devices are gone.
const LAST_BATCH_MS_MAX: u64 = 500;

/// The thread.
const WORKER: Worker = Worker {
    name: "ingest",
    cannot_start: "The thread that listens to devices cannot be had",
    ended_early: "The thread that listens to devices has ended early. Start the process \
                      again and report this.",
    resolver_threads_max: 4,
};

/// Starts the thread that listens to devices and adds their records to the stream.
///
/// # Errors
/// When `REDIS_URL` cannot be used or no thread can be had.
pub fn start(context: &Context, listener: TcpListener) -> Result<Started, Stop> {
    let server = Server::parse(&context.config.redis_url)?;
    let (packets, queue) = mpsc::channel(context.config.ingest.queue_packets_max);
    let (known, keeper) = authority::of(context);
    let door = Door::new(context, packets, known);
    let health = Arc::new(Health::new(context));
    let publisher = Publisher::new(context, server.clone(), health.clone());
    let mut sections: Vec<Arc<dyn Section>> = vec![door.section(), publisher.section()];
    sections.extend(keeper.as_ref().map(authority::Keeper::section));
    let context = context.clone();
    let shutdown = context.shutdown.clone();
    let thread = WORKER.start(&shutdown, move || async move {
        if let Some(keeper) = keeper {
            tokio::spawn(keeper.run());
        }
        let tell = move |trouble| health.policy(trouble);
        tokio::spawn(policy::watch(context, server, tell));
        run(listener, door, publisher, queue).await;
        Ok(())
    })?;
    Ok(Started { thread, sections })
}

/// Listens until the process leaves, then publishes what was read.
async fn run(
    listener: TcpListener,
    door: Door,
    publisher: Publisher,
    queue: mpsc::Receiver<Packet>,
) {
    let publishing = tokio::spawn(publisher.run(queue));
    listener::run(listener, door).await;
    // The queue has no end to send into any more. A panic in it has ended the process already.
    timeout(Duration::from_millis(LAST_BATCH_MS_MAX), publishing).await.ok();
}

/// Which devices are known, when all are: for a source that has no table of them.
#[must_use]
pub fn everyone() -> watch::Receiver<Known> {
    watch::channel(Known::Everyone).1
}

/// Whether a table of devices is asked.
fn is_strict(context: &Context) -> bool {
    matches!(context.config.ingest.authority, DeviceAuthority::Strict)
}
