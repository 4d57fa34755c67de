//! Which rows of a batch are proven new: the newest written timestamp of each device.
//!
//! Refuses to guess: a device it does not know makes its rows suspect, never fresh.

use hashbrown::HashMap;

use crate::limits::WRITTEN_DEVICES_MAX;
use crate::rows::RowBatch;

/// Remembers, per device, the newest timestamp that was written, and splits batches by it.
///
/// A row is **fresh** when its timestamp is above the newest written for its device, it was not
/// redelivered, and no earlier row of the batch has the same device and the same or a later
/// timestamp. Fresh rows cannot meet a row that was written with the knowledge of this table, nor
/// each other, so they may go by plain COPY. All others are **suspect** and go the careful way. The
/// database stays the judge: a fresh row that was stored by another writer, or before this table
/// began, makes the COPY fail, nothing worse.
///
/// Both parts of a batch may hold the same device and timestamp, the fresh part then the first of
/// them. So the fresh part is written first, and in a transaction of its own: two writers that each
/// held fresh rows and waited for the other's would block in a circle.
#[derive(Debug, Default)]
pub struct Newest {
    /// At most [`WRITTEN_DEVICES_MAX`]; a device beyond that stays unknown.
    devices: HashMap<Box<[u8]>, Written>,
    /// Number of the current split: what other splits noted in `batch_ms` is stale.
    round: u64,
}

/// What is known of one device.
#[derive(Clone, Copy, Debug)]
struct Written {
    /// Newest timestamp that may be in the database.
    newest_ms: i64,
    /// Newest timestamp seen in the batch of split number `round`.
    batch_ms: i64,
    round: u64,
}

impl Newest {
    /// A table that knows no device: everything is suspect.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sorts the rows of the batch into `fresh` and `suspect`, each by device and time.
    ///
    /// The order is the same for all who write: two sessions that insert the same keys in one order
    /// cannot block each other in a circle. It is also that of the unique index: rows of one device
    /// meet the same page of it, so a large batch costs the database far less than in row order.
    /// Rows with the same device and timestamp keep their row order, so that the first one stands.
    /// Both lists are emptied first.
    ///
    /// The batch counts as written only after [`Newest::commit`]; splitting it again gives the same.
    pub fn split(&mut self, batch: &RowBatch, fresh: &mut Vec<u32>, suspect: &mut Vec<u32>) {
        fresh.clear();
        suspect.clear();
        self.round += 1;
        for (row, position) in (0_u32..).zip(batch.positions()) {
            let known = self.devices.get_mut(batch.device_id(row));
            let is_newer =
                known.is_some_and(|device| device.raise(position.timestamp_ms, self.round));
            if is_newer && !batch.redelivered(row) {
                fresh.push(row);
            } else {
                suspect.push(row);
            }
        }
        sort(batch, fresh);
        sort(batch, suspect);
        assert_eq!(fresh.len() + suspect.len(), batch.len(), "every row is in one part");
    }

    /// Notes the rows of the batch as written.
    ///
    /// Called after the database has committed them, and also when nobody knows whether it has: a
    /// timestamp noted too high only makes rows suspect, the repeated batch among them. Not called
    /// when they are known to be absent. Nothing is ever forgotten, because a device that is
    /// forgotten and met again would be remembered with less than the database holds.
    pub fn commit(&mut self, batch: &RowBatch) {
        for (row, position) in (0_u32..).zip(batch.positions()) {
            let newest_ms = position.timestamp_ms;
            let device_id = batch.device_id(row);
            if let Some(device) = self.devices.get_mut(device_id) {
                device.newest_ms = device.newest_ms.max(newest_ms);
            } else if self.devices.len() < WRITTEN_DEVICES_MAX {
                let written = Written { newest_ms, batch_ms: newest_ms, round: 0 };
                self.devices.insert(device_id.into(), written);
            }
        }
    }

    /// Number of devices known, of [`WRITTEN_DEVICES_MAX`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// True when no device is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }
}

impl Written {
    /// Takes a timestamp of the batch; true when it is above all before it, written or in the batch.
    fn raise(&mut self, timestamp_ms: i64, round: u64) -> bool {
        if self.round != round {
            self.round = round;
            self.batch_ms = self.newest_ms;
        }
        let is_newer = timestamp_ms > self.batch_ms;
        self.batch_ms = self.batch_ms.max(timestamp_ms);
        is_newer
    }
}

fn sort(batch: &RowBatch, rows: &mut [u32]) {
    let positions = batch.positions();
    rows.sort_unstable_by(|&left, &right| {
        let key = |row: u32| (batch.device_id(row), positions[row as usize].timestamp_ms, row);
        key(left).cmp(&key(right))
    });
}

#[cfg(test)]
mod tests;
