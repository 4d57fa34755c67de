//! What every part of the program has at hand.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::log::Log;
use crate::shutdown::Shutdown;
use crate::status::Status;

/// Settings, clocks, the log, what is said about the parts, and the end. Clones are the same.
#[derive(Clone, Debug)]
pub struct Context {
    /// The settings.
    pub config: Arc<Config>,
    /// The clocks.
    pub clock: Clock,
    /// The log.
    pub log: Log,
    /// What the parts say of themselves.
    pub status: Arc<Status>,
    /// The end.
    pub shutdown: Shutdown,
}

impl Context {
    /// The context of one run.
    #[must_use]
    pub fn new(config: Config, log: Log, shutdown: Shutdown) -> Self {
        let clock = Clock::start();
        let status = Arc::new(Status::new(clock, log.clone()));
        Self { config: Arc::new(config), clock, log, status, shutdown }
    }
}
