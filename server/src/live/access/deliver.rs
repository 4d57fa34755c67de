//! Brings an order to a shard whose mailbox may be full.

use std::time::Duration;

use crossbeam_channel::TrySendError;

use crate::live::mailbox::{Address, Order};

/// Between two looks at a full mailbox; a shard empties its own once a round, in milliseconds.
const LOOK_MS: u64 = 1;

/// Waits until the shard takes the order, or is no more. Whoever calls bounds how many wait.
pub(super) async fn deliver(address: &Address, mut order: Order) {
    loop {
        match address.order(order) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => return,
            Err(TrySendError::Full(refused)) => order = refused,
        }
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
    }
}
