//! Starts the parts that the roles ask for, waits for the end, and ends them in order.

mod budget;
mod embedded;
mod viewers;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::budget::{Budget, THREADS_END_MS};
use self::viewers::Plane;
use crate::Listeners;
use crate::admin;
use crate::context::Context;
use crate::durable;
use crate::embedded::{Held, StoreHandle};
use crate::error::Stop;
use crate::ingest;
use crate::lease::{self, Known};
use crate::metrics::Section;
use crate::shutdown::Stage;

/// Between two looks at something that is awaited.
const LOOK: Duration = Duration::from_millis(10);

/// Runs everything until the end has come, and says what went wrong, if anything.
pub(crate) async fn serve(
    context: Context,
    listeners: Listeners,
    store: StoreHandle,
) -> Result<(), Stop> {
    let log = context.log.clone();
    let (roles, embedded) = (context.config.roles, context.config.embedded.as_ref());
    // Two that only listen to devices may have one name: they read no group. Who is embedded holds
    // a folder in place of a name.
    let has_lease = embedded.is_none() && (roles.live || roles.durable);
    let lease = has_lease.then(|| lease::start(&context)).transpose()?;
    let known = lease.as_ref().map(|lease| &lease.known);
    let started = match embedded {
        Some(it) => Running::start_embedded(&context, listeners, &it.directory, store),
        None => Running::start(&context, listeners, known),
    };
    let mut running = match started {
        Ok(running) => running,
        Err(stop) => {
            give_up(lease).await;
            return Err(stop);
        }
    };
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
    give_up(lease).await;
    match context.shutdown.failure() {
        None => {
            log.info("pitwall has ended", &[]);
            Ok(())
        }
        Some(stop) => Err(stop),
    }
}

/// Gives the lease back, if there is one.
async fn give_up(lease: Option<lease::Kept>) {
    if let Some(lease) = lease {
        lease.give_up().await;
    }
}

/// What was started.
struct Running {
    live: Option<Plane>,
    durable: Option<JoinHandle<()>>,
    ingest: Option<JoinHandle<()>>,
    tasks: JoinSet<()>,
    /// The folder of the embedded mode, ours until everything has ended.
    held: Option<Held>,
}

impl Running {
    fn start(context: &Context, listeners: Listeners, lease: Option<&Known>) -> Result<Self, Stop> {
        let mut sections: Vec<Arc<dyn Section>> = Vec::new();
        let mut tasks = JoinSet::new();
        let (mut live, mut durable, mut ingest) = (None, None, None);
        if let Some(lease) = lease {
            if let Some(listener) = listeners.live {
                let into = (&mut tasks, &mut sections);
                live = Some(Plane::start(context, listener, lease, into)?);
            } else {
                // With viewers it is told of where the stream is read for them.
                tasks.spawn(lease::tell(context.clone(), lease.trouble.clone()));
            }
            if context.config.roles.durable {
                let started = durable::start(context, lease.is_alone.clone())?;
                sections.extend(started.sections);
                durable = Some(started.thread);
            }
        }
        if let Some(listener) = listeners.ingest {
            let started = ingest::start(context, listener)?;
            sections.extend(started.sections);
            ingest = Some(started.thread);
        }
        tasks.spawn(admin::run(context.clone(), listeners.admin, sections));
        Ok(Self { live, durable, ingest, tasks, held: None })
    }

    /// The end, in the order that loses nothing and leaves nobody in the dark.
    async fn end(mut self, context: &Context) {
        let drain_ms = self.live.as_ref().map(|_| context.config.live.drain_timeout_ms);
        let budget = Budget::of(drain_ms);
        context.status.drain();
        context.log.info("pitwall is ending: it takes in nobody and nothing any more", &[]);
        let committed = after(budget.commit_ms);
        if let Some(thread) = &self.ingest
            && !ends(thread, committed).await
        {
            let effect = "devices that are not answered keep their records";
            context.log.warn("what devices sent is not all published yet", &[("effect", effect)]);
        }
        if let Some(thread) = &self.durable
            && !ends(thread, committed).await
        {
            let effect = "viewers are closed meanwhile";
            context.log.warn("what is stored is not committed yet", &[("effect", effect)]);
        }
        context.shutdown.advance(Stage::Closing);
        let source = match self.live {
            Some(live) => Some(live.close_viewers(context, after(budget.viewers_ms)).await),
            None => None,
        };
        context.shutdown.advance(Stage::Farewell);
        let deadline = after(THREADS_END_MS);
        if let Some(source) = source
            && !ends(&source, deadline).await
        {
            let effect = "its group stays in Redis until it is collected";
            context.log.warn("the source did not end in time", &[("effect", effect)]);
        }
        if let Some(durable) = self.durable
            && !ends(&durable, deadline).await
        {
            let effect = "what is not acknowledged is stored by who reads it next";
            context.log.error("the writer did not end in time", &[("effect", effect)]);
        }
        self.tasks.shutdown().await;
        drop(self.held);
    }
}

/// So long from now.
fn after(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

/// True when the thread ends before the deadline. Its panic, if any, has been told by itself.
async fn ends(thread: &JoinHandle<()>, deadline: Instant) -> bool {
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(LOOK).await;
    }
    true
}
