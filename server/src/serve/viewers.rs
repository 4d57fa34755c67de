//! Starts all that serves viewers, and closes them when the process ends.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use engine::id::ShardIndex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::{LOOK, ends};
use crate::config::{LiveConfig, PageMode};
use crate::context::Context;
use crate::error::Stop;
use crate::lease::Known;
use crate::live::access::Access;
use crate::live::access::doorkeeper::{Doorkeeper, Gate};
use crate::live::admission::Admission;
use crate::live::mailbox::{ASK_MAIL_MAX, Address, Ask, Order, mailbox};
use crate::live::shard_loop::{self, Parts, Window, Windows};
use crate::live::source::{SourceMail, local};
use crate::live::upgrade::{Door, Meter};
use crate::live::{roster, source, upgrade};
use crate::metrics::Section;
use crate::page::{Desk, Page};
use crate::shutdown::{Shutdown, Stage};

/// How long the listener waits to hear that no other process of the same name lives, so that a second
/// one takes no viewers in before it has found that out.
const ALONE_MS_MAX: u64 = 20_000;

/// The threads that serve viewers.
pub(super) struct Plane {
    addresses: Arc<[Address]>,
    shards: Vec<JoinHandle<()>>,
    source: JoinHandle<()>,
}

impl Plane {
    /// Starts the threads, and adds to the tasks and sections of the process.
    pub(super) fn start(
        context: &Context,
        listener: TcpListener,
        lease: &Known,
        (tasks, sections): Running<'_>,
    ) -> Result<Self, Stop> {
        let begun = Begun::begin(context, sections)?;
        let source = source::start(context, begun.addresses.clone(), lease)?;
        let access = Access::new(context);
        let roster = roster::Keeper::new(context);
        sections.push(roster.clone());
        sections.push(access.clone());
        sections.push(source.numbers);
        tasks.spawn(roster.run(source.mail));
        let opening = alone(lease.is_alone.clone(), context.shutdown.clone());
        let shards = begun.addresses.clone();
        let desk = desk(&context.config.live);
        let door = begun.door(context, access.clone().into(), desk);
        tasks.spawn(upgrade::run(listener, door, opening));
        tasks.spawn(access.run(begun.asks, shards));
        Ok(Self { addresses: begun.addresses, shards: begun.threads, source: source.thread })
    }

    /// The same without a platform: the doorkeeper lets viewers in, and what is shown comes as the
    /// mail whose sender is given back.
    pub(super) fn start_local(
        context: &Context,
        listener: TcpListener,
        (doorkeeper, page): (Arc<Doorkeeper>, Page),
        (tasks, sections): Running<'_>,
    ) -> Result<(Self, mpsc::Sender<SourceMail>), Stop> {
        let begun = Begun::begin(context, sections)?;
        let source = local::start(context, begun.addresses.clone())?;
        sections.push(source.numbers);
        let shards = begun.addresses.clone();
        let live = &context.config.live;
        let desk = (live.page != PageMode::Off).then(|| Desk::new(page, live));
        let door = begun.door(context, Gate::Own(doorkeeper.clone()), desk);
        tasks.spawn(upgrade::run(listener, door, async {}));
        tasks.spawn(doorkeeper.run(begun.asks, shards, context.shutdown.clone()));
        let (addresses, shards) = (begun.addresses, begun.threads);
        Ok((Self { addresses, shards, source: source.thread }, source.mail))
    }

    /// Closes all viewers in waves. Gives back the thread of the source, which ends later.
    pub(super) async fn close_viewers(
        self,
        context: &Context,
        deadline: Instant,
    ) -> JoinHandle<()> {
        let over_ms = context.config.live.drain_timeout_ms;
        for address in self.addresses.iter() {
            while address.order(Order::Drain(over_ms)).is_err() && Instant::now() < deadline {
                sleep(LOOK).await;
            }
        }
        for shard in self.shards {
            if !ends(&shard, deadline).await {
                context.log.error("a shard did not end in time; its viewers are cut", &[]);
            }
        }
        self.source
    }
}

/// The tasks and sections of the process, which the parts add to.
pub(super) type Running<'a> = (&'a mut JoinSet<()>, &'a mut Vec<Arc<dyn Section>>);

/// What every plane has, whoever lets its viewers in and whatever it shows.
struct Begun {
    addresses: Arc<[Address]>,
    threads: Vec<JoinHandle<()>>,
    asks: mpsc::Receiver<Ask>,
    admission: Arc<Admission>,
    meter: Arc<Meter>,
}

impl Begun {
    fn begin(context: &Context, sections: &mut Vec<Arc<dyn Section>>) -> Result<Self, Stop> {
        let (asks_in, asks) = mpsc::channel(ASK_MAIL_MAX);
        let (addresses, threads, windows) =
            start_shards(context, &asks_in).map_err(|error| cannot_start(&error))?;
        let viewers_max = context.config.live.limits.viewers_max;
        let admission = Admission::new(context.config.live.limits);
        let meter = Arc::new(Meter::default());
        sections.push(Arc::new(Windows { windows, viewers_max }));
        sections.push(admission.clone());
        sections.push(meter.clone());
        Ok(Self { addresses, threads, asks, admission, meter })
    }

    fn door(&self, context: &Context, access: Gate, desk: Option<Desk>) -> Door {
        Door {
            context: context.clone(),
            access,
            admission: self.admission.clone(),
            shards: self.addresses.clone(),
            meter: self.meter.clone(),
            desk,
        }
    }
}

/// Answers for the live page, if it is wanted beside a platform.
fn desk(live: &LiveConfig) -> Option<Desk> {
    let is_wanted = live.page == PageMode::On;
    is_wanted.then(|| Desk::new(Page::without_events(live.page_style.as_ref()), live))
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
