//! The source of a process that takes its devices in by itself: what came is mail, not an entry.
//!
//! Everything behind it is as on the platform: positions are named, routed and handed over by the
//! same steps, in the order in which they and the rosters came.

use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::intake::Intake;
use super::numbers::Numbers;
use super::outbox::Outbox;
use super::{SILENCE_MS_MAX, SOURCE_MAIL_MAX, SourceMail, TICK_MS};
use crate::context::Context;
use crate::error::Stop;
use crate::live::mailbox::Address;
use crate::metrics::{Page, Section};
use crate::shutdown::Stage;
use crate::status::Heartbeat;
use crate::worker::Worker;

/// The thread.
const WORKER: Worker = Worker {
    name: "source",
    cannot_start: "The thread that shows positions cannot be started",
    ended_early: "The thread that shows positions has ended early. Start the process again \
                      and report this.",
    resolver_threads_max: 1,
};

/// A running source without a stream.
#[derive(Debug)]
pub struct Started {
    /// Its mailbox; a full one makes the sender wait.
    pub mail: mpsc::Sender<SourceMail>,
    /// Its thread, which ends when the process leaves.
    pub thread: JoinHandle<()>,
    /// Its numbers.
    pub numbers: Arc<LocalNumbers>,
}

/// The numbers of a source that reads no stream.
#[derive(Debug)]
pub struct LocalNumbers(Arc<Numbers>);

/// Starts the source's thread.
///
/// # Errors
/// When no thread can be had.
pub fn start(context: &Context, shards: Arc<[Address]>) -> Result<Started, Stop> {
    let (mail, letters) = mpsc::channel(SOURCE_MAIL_MAX);
    let numbers = Arc::new(Numbers::new());
    let source = Source {
        context: context.clone(),
        shards,
        numbers: numbers.clone(),
        heartbeat: context.status.heartbeat("source", SILENCE_MS_MAX),
    };
    let thread =
        WORKER.start(&context.shutdown, move || async move { source.serve(letters).await })?;
    Ok(Started { mail, thread, numbers: Arc::new(LocalNumbers(numbers)) })
}

struct Source {
    context: Context,
    shards: Arc<[Address]>,
    numbers: Arc<Numbers>,
    heartbeat: Arc<Heartbeat>,
}

impl Source {
    /// Hands over what comes until the process leaves.
    async fn serve(&self, mut letters: mpsc::Receiver<SourceMail>) -> Result<(), Stop> {
        let outbox = Outbox {
            shards: self.shards.clone(),
            shutdown: self.context.shutdown.clone(),
            heartbeat: self.heartbeat.clone(),
            numbers: self.numbers.clone(),
        };
        let mut intake = Intake::new(&self.context, outbox);
        let mut leaving = pin!(self.context.shutdown.reached(Stage::Leaving));
        let mut tick = interval(Duration::from_millis(TICK_MS));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut leaving => return Ok(()),
                _ = tick.tick() => {}
                Some(letter) = letters.recv() => intake.handle(letter).await?,
            }
            self.heartbeat.beat();
        }
    }
}

impl Section for LocalNumbers {
    fn write(&self, page: &mut Page) {
        let Numbers { records, orphans, mailbox_waits, hop_device, .. } = &*self.0;
        let name = "processor_live_records_total";
        page.counter(name, "Positions that came to be shown.", records.value());
        let name = "processor_live_orphans_total";
        page.counter(name, "Positions of devices in no event.", orphans.value());
        let help = "Waits for a shard that had no room for positions.";
        page.counter("processor_live_mailbox_waits_total", help, mailbox_waits.value());
        let help = "From the device's clock to the moment its position came.";
        page.histograms("processor_live_hop_seconds", help, "hop", &[("device", hop_device)]);
    }
}
