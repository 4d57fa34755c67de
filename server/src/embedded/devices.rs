//! Listens to devices on a thread of its own, which hands on what they send.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};

use crate::context::Context;
use crate::error::Stop;
use crate::ingest::authority::Known;
use crate::ingest::listener::{self, Door};
use crate::ingest::packets::Packet;
use crate::metrics::Section;

/// What is said when the thread ends although nothing ends.
const ENDED_EARLY: &str = "The thread that listens to devices has ended early. Start the process \
                           again and report this.";

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
    let unavailable = |error: std::io::Error| {
        Stop::Unavailable(format!("The thread that listens to devices cannot be had: {error}."))
    };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(unavailable)?;
    let door = Door::new(context, packets, known);
    let section = door.section();
    let shutdown = context.shutdown.clone();
    let run = move || {
        let _alarm = shutdown.alarm(ENDED_EARLY);
        runtime.block_on(listener::run(listener, door));
    };
    let thread = std::thread::Builder::new().name("ingest".to_owned()).spawn(run);
    Ok((thread.map_err(unavailable)?, section))
}
