//! The end of the process, in order: who stops when.

use tokio::sync::watch;

use crate::error::Stop;

/// How far the end has come. Each part waits for the stage that concerns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing ends.
    Running,
    /// Not ready any more; nobody new is accepted, nothing more is read.
    Leaving,
    /// Viewers are being closed, in waves.
    Closing,
    /// What was held in Redis is given back: the own group, the lease.
    Farewell,
}

/// A handle by which the end is begun and awaited; clones are the same.
#[derive(Clone, Debug)]
pub struct Shutdown {
    stage: watch::Sender<Stage>,
    failure: watch::Sender<Option<Stop>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { stage: watch::Sender::new(Stage::Running), failure: watch::Sender::new(None) }
    }
}

impl Shutdown {
    /// Begins an orderly end.
    pub fn begin(&self) {
        self.advance(Stage::Leaving);
    }

    /// Something has gone so wrong that the process must end; the first failure is the one told.
    pub fn fail(&self, stop: Stop) {
        self.failure.send_if_modified(|failure| {
            let is_first = failure.is_none();
            if is_first {
                *failure = Some(stop);
            }
            is_first
        });
        self.begin();
    }

    /// What a thread holds that must not end before the process does.
    #[must_use]
    pub fn alarm(&self, words: &'static str) -> Alarm {
        Alarm { shutdown: self.clone(), words }
    }

    /// Goes on to a later stage.
    pub fn advance(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let is_later = stage > *now;
            if is_later {
                *now = stage;
            }
            is_later
        });
    }

    /// The stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// What went wrong, if anything has.
    #[must_use]
    pub fn failure(&self) -> Option<Stop> {
        self.failure.borrow().clone()
    }

    /// Waits until the end has come so far.
    pub async fn reached(&self, stage: Stage) {
        let mut stages = self.stage.subscribe();
        // The sender lives as long as this handle.
        drop(stages.wait_for(|now| *now >= stage).await);
    }

    /// Waits until the end begins.
    pub async fn leaving(self) {
        self.reached(Stage::Leaving).await;
    }
}

/// Ends the process when it is dropped before the end has begun: whoever held it has ended early,
/// however that came.
#[derive(Debug)]
pub struct Alarm {
    shutdown: Shutdown,
    words: &'static str,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.shutdown.stage() == Stage::Running {
            self.shutdown.fail(Stop::Broken(self.words.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Shutdown, Stage};
    use crate::error::Stop;

    #[test]
    fn who_ends_early_ends_the_process_and_who_ends_with_it_does_not() {
        let shutdown = Shutdown::default();
        drop(shutdown.alarm("early"));
        assert_eq!(shutdown.failure(), Some(Stop::Broken("early".to_owned())));
        let shutdown = Shutdown::default();
        let alarm = shutdown.alarm("in time");
        shutdown.begin();
        drop(alarm);
        assert_eq!((shutdown.failure(), shutdown.stage()), (None, Stage::Leaving));
    }
}
