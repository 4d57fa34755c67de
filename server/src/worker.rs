//! A thread with a runtime of its own, whose early end ends the process.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder;

use crate::error::Stop;
use crate::metrics::Section;
use crate::shutdown::Shutdown;

/// What a thread is called, and what is said of it.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    /// Its name, by which tools of the system show it.
    pub name: &'static str,
    /// What is the case when it cannot be had; the reason follows.
    pub cannot_start: &'static str,
    /// What is said when it ends although nothing ends.
    pub ended_early: &'static str,
    /// Threads beside it that resolve names; more would pile up when a resolver hangs.
    pub resolver_threads_max: usize,
}

impl Worker {
    /// Starts the thread and runs this on it.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start<Run, Running>(self, shutdown: &Shutdown, run: Run) -> Result<JoinHandle<()>, Stop>
    where
        Run: FnOnce() -> Running + Send + 'static,
        Running: Future<Output = Result<(), Stop>>,
    {
        let unavailable =
            |error: io::Error| Stop::Unavailable(format!("{}: {error}.", self.cannot_start));
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(self.resolver_threads_max)
            .build()
            .map_err(unavailable)?;
        let shutdown = shutdown.clone();
        let work = move || {
            let _alarm = shutdown.alarm(self.ended_early);
            // Within the runtime from the start, so that it can spawn.
            if let Err(stop) = runtime.block_on(async { run().await }) {
                shutdown.fail(stop);
            }
            // A resolver that hangs is not waited for.
            runtime.shutdown_background();
        };
        thread::Builder::new().name(self.name.to_owned()).spawn(work).map_err(unavailable)
    }
}

/// A running plane of one thread.
pub struct Started {
    /// Its thread, which ends by itself after the process begins to leave.
    pub thread: JoinHandle<()>,
    /// Its numbers.
    pub sections: Vec<Arc<dyn Section>>,
}

impl fmt::Debug for Started {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Started").field("thread", &self.thread).finish_non_exhaustive()
    }
}
