//! Starts the parts of the program, waits for the end, and ends them in order.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use engine::id::ShardIndex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::Listeners;
use crate::admin;
use crate::context::Context;
use crate::error::Stop;
use crate::live::access::Access;
use crate::live::admission::Admission;
use crate::live::mailbox::{ASK_MAIL_MAX, Address, Ask, Order, mailbox};
use crate::live::shard_loop::{self, Parts, Window, Windows};
use crate::live::upgrade::{Door, Meter};
use crate::live::{roster, source, upgrade};
use crate::metrics::Section;
use crate::shutdown::{Shutdown, Stage};

/// How long the listener waits to hear that no other process of the same name lives, so that a second
/// one takes no viewers in before it has found that out.
const ALONE_MS_MAX: u64 = 20_000;

/// How long shards may take beyond the time over which viewers are closed.
const SHARD_END_MS: u64 = 3_000;

/// How long the source may take to give back what it holds in Redis.
const SOURCE_END_MS: u64 = 5_000;

/// Between two looks at something that is awaited.
const LOOK: Duration = Duration::from_millis(10);

/// Runs everything until the end has come, and says what went wrong, if anything.
pub(crate) async fn serve(context: Context, listeners: Listeners) -> Result<(), Stop> {
    let log = context.log.clone();
    let mut running = Running::start(&context, listeners)?;
    log.info("pitwall has started", &[("version", env!("CARGO_PKG_VERSION"))]);
    let ended = running.tasks.spawn(context.shutdown.clone().leaving()).id();
    while let Some(task) = running.tasks.join_next_with_id().await {
        match task {
            Ok((id, ())) if id == ended => break,
            Ok(_) => {}
            Err(error) => {
                let words = format!("A part of the program has ended: {error}. Start it again.");
                context.shutdown.fail(Stop::Broken(words));
            }
        }
    }
    running.end(&context).await;
    match context.shutdown.failure() {
        None => {
            log.info("pitwall has ended", &[]);
            Ok(())
        }
        Some(stop) => Err(stop),
    }
}

/// What was started.
struct Running {
    addresses: Arc<[Address]>,
    shards: Vec<JoinHandle<()>>,
    source: JoinHandle<()>,
    tasks: JoinSet<()>,
}

impl Running {
    fn start(context: &Context, listeners: Listeners) -> Result<Self, Stop> {
        let (asks_in, asks) = mpsc::channel(ASK_MAIL_MAX);
        let (addresses, threads, windows) =
            start_shards(context, &asks_in).map_err(|error| cannot_start(&error))?;
        let access = Access::new(context);
        let admission = Admission::new(context.config.live.limits);
        let source = source::start(context, addresses.clone())?;
        let viewers_max = context.config.live.limits.viewers_max;
        let roster = roster::Keeper::new(context);
        let meter = Arc::new(Meter::default());
        let sections: Vec<Arc<dyn Section>> = vec![
            Arc::new(Windows { windows, viewers_max }),
            roster.clone(),
            access.clone(),
            admission.clone(),
            meter.clone(),
            source.numbers,
        ];
        let mut tasks = JoinSet::new();
        tasks.spawn(roster.run(source.mail));
        tasks.spawn(access.clone().run(asks, addresses.clone()));
        tasks.spawn(admin::run(context.clone(), listeners.admin, sections));
        let opening = alone(source.is_alone, context.shutdown.clone());
        let shards = addresses.clone();
        let door = Door { context: context.clone(), access, admission, shards, meter };
        tasks.spawn(upgrade::run(listeners.live, door, opening));
        Ok(Self { addresses, shards: threads, source: source.thread, tasks })
    }

    /// The end, in the order that loses nothing and leaves nobody in the dark.
    async fn end(mut self, context: &Context) {
        context.status.drain();
        context.log.info("pitwall is ending: it takes in nobody and nothing any more", &[]);
        let over_ms = context.config.live.drain_timeout_ms;
        let deadline = Instant::now() + Duration::from_millis(over_ms + SHARD_END_MS);
        context.shutdown.advance(Stage::Closing);
        for address in self.addresses.iter() {
            while address.order(Order::Drain(over_ms)).is_err() && Instant::now() < deadline {
                sleep(LOOK).await;
            }
        }
        for shard in self.shards {
            if !ends(shard, deadline).await {
                context.log.error("a shard did not end in time; its viewers are cut", &[]);
            }
        }
        context.shutdown.advance(Stage::Farewell);
        let deadline = Instant::now() + Duration::from_millis(SOURCE_END_MS);
        if !ends(self.source, deadline).await {
            let effect = "its group and lease stay in Redis until they are collected";
            context.log.warn("the source did not end in time", &[("effect", effect)]);
        }
        self.tasks.shutdown().await;
    }
}

type Shards = (Arc<[Address]>, Vec<JoinHandle<()>>, Vec<Arc<Window>>);

fn start_shards(context: &Context, asks: &mpsc::Sender<Ask>) -> io::Result<Shards> {
    let indices = (0..context.config.live.shard_count).map(ShardIndex);
    let ends = indices.map(mailbox).collect::<io::Result<Vec<_>>>()?;
    let (addresses, mailboxes): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
    let addresses: Arc<[Address]> = addresses.into();
    let (mut threads, mut windows) = (Vec::new(), Vec::new());
    for (address, mailbox) in addresses.iter().zip(mailboxes) {
        let window = Arc::new(Window::default());
        windows.push(window.clone());
        threads.push(shard_loop::start(Parts {
            context: context.clone(),
            shard: address.shard,
            mailbox,
            addresses: addresses.clone(),
            asks: asks.clone(),
            window,
        })?);
    }
    Ok((addresses, threads, windows))
}

fn cannot_start(error: &io::Error) -> Stop {
    Stop::Broken(format!(
        "The threads could not be started: {error}. Raise the limits on processes and open files."
    ))
}

/// Waits until no other process of this name seems to live, or until this one leaves.
async fn alone(mut is_alone: watch::Receiver<bool>, shutdown: Shutdown) {
    let word = async { is_alone.wait_for(|&is_alone| is_alone).await.is_ok() };
    // Whatever is the case, viewers are let in after that: they see what is known.
    if timeout(Duration::from_millis(ALONE_MS_MAX), word).await == Ok(false) {
        // The lease is another's, or nothing asks for it any more: the process is about to end.
        shutdown.reached(Stage::Leaving).await;
    }
}

/// True when the thread ends before the deadline.
async fn ends(thread: JoinHandle<()>, deadline: Instant) -> bool {
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(LOOK).await;
    }
    // Its panic, if any, has been told by itself.
    thread.join().ok();
    true
}
