//! Hands mail over to the shards, in order, and waits for one that has no room.
//!
//! While it waits nothing is read, so the stream in Redis is the queue; the source's heart beats on.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::TrySendError;
use tokio::time::{Instant, sleep};

use super::numbers::Numbers;
use crate::error::Stop;
use crate::live::mailbox::{Address, FeedMail};
use crate::shutdown::{Shutdown, Stage};
use crate::status::Heartbeat;

/// Between two looks at a full mailbox.
const LOOK_MS: u64 = 1;

/// How long a full mailbox is waited for when the process ends.
const FAREWELL_MS_MAX: u64 = 2_000;

/// The way to the shards.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) shards: Arc<[Address]>,
    pub(super) shutdown: Shutdown,
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) numbers: Arc<Numbers>,
}

impl Outbox {
    /// Hands over at most one letter for each shard; the next are taken when all of these are.
    ///
    /// # Errors
    /// When a shard is gone although nothing ends.
    pub(super) async fn hand_over(&self, mut mail: Vec<(usize, FeedMail)>) -> Result<(), Stop> {
        let mut leaving_since = None;
        loop {
            let mut left = Vec::new();
            for (shard, letter) in mail {
                match self.shards[shard].feed(letter) {
                    Ok(()) => {}
                    Err(TrySendError::Full(letter)) => left.push((shard, letter)),
                    // Who ends needs no positions any more.
                    Err(TrySendError::Disconnected(_)) if self.is_leaving() => {}
                    Err(TrySendError::Disconnected(_)) => return Err(gone(shard)),
                }
            }
            if left.is_empty() {
                return Ok(());
            }
            if self.is_leaving() {
                let since = *leaving_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= Duration::from_millis(FAREWELL_MS_MAX) {
                    return Ok(());
                }
            }
            mail = left;
            self.numbers.mailbox_waits.increment();
            self.heartbeat.beat();
            sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }

    fn is_leaving(&self) -> bool {
        self.shutdown.stage() >= Stage::Leaving
    }
}

fn gone(shard: usize) -> Stop {
    Stop::Broken(format!(
        "Shard {shard} takes no positions any more although the process is not ending. \
         Start the process again and report this."
    ))
}
