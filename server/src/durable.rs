//! The durable plane: every position of the stream stored once.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::context::Context;
use crate::error::Stop;
use crate::metrics::Section;

/// How long the thread may take to commit and acknowledge what it holds when the process ends.
pub const END_MS_MAX: u64 = 10_000;

/// What is said when the thread ends although nothing ends.
const ENDED_EARLY: &str = "The thread that stores positions has ended early. Start the process \
                           again and report this.";

/// The running plane.
pub struct Started {
    /// Its thread, which ends by itself when the process leaves.
    pub thread: JoinHandle<()>,
    /// Its numbers.
    pub sections: Vec<Arc<dyn Section>>,
}

impl fmt::Debug for Started {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Started").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// Starts the thread, which reads once `is_alone` says that no other process of this name lives.
///
/// # Errors
/// When no thread can be had.
pub fn start(context: &Context, is_alone: watch::Receiver<bool>) -> Result<Started, Stop> {
    let unavailable = |error: std::io::Error| {
        Stop::Unavailable(format!("The thread that stores positions cannot be started: {error}."))
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unavailable)?;
    let shutdown = context.shutdown.clone();
    let thread = std::thread::Builder::new()
        .name("durable".to_owned())
        .spawn(move || {
            let _alarm = shutdown.alarm(ENDED_EARLY);
            runtime.block_on(shutdown.clone().leaving());
            drop(is_alone);
        })
        .map_err(unavailable)?;
    Ok(Started { thread, sections: Vec::new() })
}
