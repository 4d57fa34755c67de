//! The packets that wait for a commit: bounded by their number and by what they take.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{self as channel, RecvTimeoutError, TryRecvError, TrySendError};

use crate::embedded::records::Parcel;
use crate::metrics::{Gauge, LimitUse};

/// Packets that may wait: of usual size some 4 KB each, 16 MB when full, and a minute of a thousand
/// devices that send every ten seconds. What comes beyond is not answered, and comes again.
pub(in crate::embedded) const PARCELS_MAX: usize = 4_096;

/// Bytes that they may take, those of the commit under way included. A packet may take 30 times its usual
/// size, when it is as long as it can be and none of its records is a position.
const BYTES_MAX: i64 = 64 * 1024 * 1024;

/// A queue with room for so many packets.
pub(in crate::embedded) fn queue(parcels_max: usize) -> (Sender, Receiver) {
    let (sender, parcels) = channel::bounded(parcels_max);
    let bytes = Arc::<Gauge>::default();
    (Sender { parcels: sender, bytes: bytes.clone() }, Receiver { parcels, bytes })
}

/// Where packets come in.
#[derive(Debug)]
pub(in crate::embedded) struct Sender {
    parcels: channel::Sender<Parcel>,
    bytes: Arc<Gauge>,
}

impl Sender {
    /// Lets it wait, if there is room for it.
    pub(in crate::embedded) fn try_send(&self, parcel: Parcel) -> Result<(), TrySendError<Parcel>> {
        let bytes = parcel.bytes();
        if self.bytes.value() + bytes > BYTES_MAX {
            return Err(TrySendError::Full(parcel));
        }
        self.bytes.add(bytes);
        self.parcels.try_send(parcel).inspect_err(|_| self.bytes.add(-bytes))
    }
}

/// Where they are taken.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct Receiver {
    parcels: channel::Receiver<Parcel>,
    bytes: Arc<Gauge>,
}

impl Receiver {
    /// The next one, once there is one.
    pub(in crate::embedded) fn recv_timeout(
        &self,
        patience: Duration,
    ) -> Result<Parcel, RecvTimeoutError> {
        self.parcels.recv_timeout(patience)
    }

    /// The next one, if there is one.
    pub(super) fn try_recv(&self) -> Result<Parcel, TryRecvError> {
        self.parcels.try_recv()
    }

    /// It is stored: what it took is free again.
    pub(super) fn release(&self, parcel: &Parcel) {
        self.bytes.add(-parcel.bytes());
    }

    /// How many wait.
    pub(in crate::embedded) fn len(&self) -> usize {
        self.parcels.len()
    }

    /// How much of the bounds is used.
    pub(super) fn limits(&self) -> Vec<LimitUse> {
        let bytes = |count: i64| u64::try_from(count).unwrap_or(0);
        let (parcels, used) = (self.parcels.len() as u64, bytes(self.bytes.value()));
        vec![
            LimitUse { name: "STORE_PARCELS_MAX", used: parcels, allowed: PARCELS_MAX as u64 },
            LimitUse { name: "STORE_BYTES_MAX", used, allowed: bytes(BYTES_MAX) },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, PARCELS_MAX, queue};
    use crate::embedded::records::{Reader, tests::packet};

    /// Without a date no record is a position.
    const LONG: [u64; 150] = [0; 150];

    #[test]
    fn packets_that_take_too_much_find_no_room_until_others_are_stored() {
        let (sender, receiver) = queue(PARCELS_MAX);
        let mut reader = Reader::default();
        let mut send = || sender.try_send(reader.read(packet("356307042441013", &LONG).0));
        let count = (0..PARCELS_MAX).take_while(|_| send().is_ok()).count();
        assert!((1..PARCELS_MAX).contains(&count), "{count} of them");
        let first = receiver.try_recv().unwrap();
        assert!(first.bytes() * i64::try_from(count + 1).unwrap() > BYTES_MAX);
        assert!(send().is_err(), "a commit may still fail, so it is still there");
        receiver.release(&first);
        assert!(send().is_ok());
    }
}
