//! The listener for viewers: from an accepted connection to a shard's viewer, or a refusal.

use std::net::TcpListener;
use std::sync::Arc;

use super::access::Access;
use super::admission::Admission;
use super::mailbox::Address;
use crate::context::Context;

/// What the listener works with.
#[derive(Clone, Debug)]
pub struct Door {
    /// Settings, log and the rest.
    pub context: Context,
    /// Who is who.
    pub access: Arc<Access>,
    /// How many may come in.
    pub admission: Arc<Admission>,
    /// Where viewers go.
    pub shards: Arc<[Address]>,
}

/// Accepts connections until the process leaves.
pub async fn run(_listener: TcpListener, _door: Door) {}
