//! Listens to devices on a thread of its own, which hands on what they send.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use crate::context::Context;
use crate::error::Stop;
use crate::ingest::authority::Known;
use crate::ingest::listener::{self, Door};
use crate::ingest::packets::Packet;
use crate::metrics::Section;
use crate::worker::Worker;

/// The thread.
const WORKER: Worker = Worker {
    name: "ingest",
    cannot_start: "The thread that listens to devices cannot be had",
    ended_early: "The thread that listens to devices has ended early. Start the process \
                      again and report this.",
    resolver_threads_max: 1,
};

/// Starts the thread. It ends when the process leaves and what was read is answered, or given up.
///
/// # Errors
/// When none can be had.
pub(super) fn start(
    context: &Context,
    listener: TcpListener,
    packets: mpsc::Sender<Packet>,
    known: watch::Receiver<Known>,
) -> Result<(JoinHandle<()>, Arc<dyn Section>), Stop> {
    let door = Door::new(context, packets, known);
    let section = door.section();
    let work = move || async move {
        listener::run(listener, door).await;
        Ok(())
    };
    let thread = WORKER.start(&context.shutdown, work)?;
    Ok((thread, section))
}
