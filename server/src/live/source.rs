//! The live reader: entries out of Redis, decoded, routed, handed to the shards.

use std::sync::Arc;
use std::thread::JoinHandle;

use engine::position::Position;
use engine::roster::Roster;
use tokio::sync::mpsc;

use super::mailbox::Address;
use crate::context::Context;
use crate::error::Stop;

/// What the source is told by the roster's keeper.
#[derive(Debug)]
pub enum SourceMail {
    /// Routes by this roster from now on.
    Roster(Arc<Roster>),
    /// Positions out of the database, with their IMEI: offered like any other.
    Offer(Vec<(Box<str>, Position)>),
    /// These devices' fixes are withdrawn; each is named to the owner of every event of its device.
    Withdraw(Vec<Withdrawn>),
}

/// A fix that operators have flagged.
#[derive(Clone, Debug)]
pub struct Withdrawn {
    /// The IMEI.
    pub device_id: Box<str>,
    /// Device time of the faulty fix.
    pub faulty_ms: i64,
    /// The newest fix that is not faulty.
    pub good: Option<Position>,
}

/// Mail that may wait for the source.
pub const SOURCE_MAIL_MAX: usize = 64;

/// Starts the source's thread.
pub fn start(
    _context: &Context,
    _shards: Arc<[Address]>,
) -> Result<(mpsc::Sender<SourceMail>, JoinHandle<()>), Stop> {
    let (sender, _receiver) = mpsc::channel(SOURCE_MAIL_MAX);
    Ok((sender, std::thread::spawn(|| {})))
}
