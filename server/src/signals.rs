//! What the system and the operator say by signals.
//!
//! SIGTERM and SIGINT begin the orderly end, a second one ends the process at once. SIGHUP is said
//! to be without effect, instead of killing a process whose terminal went away.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::log::Log;
use crate::shutdown::Shutdown;

/// The exit code of a process that was told twice, which is what shells say of SIGINT.
const IMPATIENT: i32 = 130;

/// How long the last line may take to be written.
const LAST_LINE: Duration = Duration::from_millis(100);

/// Listens from now on, on a thread of its own: it must be heard when everything else is stuck.
///
/// # Errors
/// When the system refuses the thread or the handlers.
pub fn listen(shutdown: Shutdown, log: Log) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        // Handlers belong to the runtime that is entered.
        let _entered = runtime.enter();
        Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        }
    };
    let listening = move || {
        runtime.block_on(async move {
            signals.told_to_end(&log).await;
            shutdown.begin();
            log.info("told to end: what was begun is finished, then the process exits", &[]);
            signals.told_to_end(&log).await;
            log.warn("told to end a second time: the process exits at once", &[]);
            log.flush(LAST_LINE);
            std::process::exit(IMPATIENT)
        })
    };
    thread::Builder::new().name("signals".to_owned()).spawn(listening)?;
    Ok(())
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Waits for SIGTERM or SIGINT.
    async fn told_to_end(&mut self, log: &Log) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => log.info(
                    "SIGHUP has no effect: settings are read at the start, so start again", &[],
                ),
            }
        }
    }
}
