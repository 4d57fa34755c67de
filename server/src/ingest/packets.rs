//! What the listener hands on: one checked packet of one device, and the way to have it answered.

use std::fmt;

use engine::position::Codec;
use engine::teltonika::{Imei, Malformed};
use tokio::sync::oneshot;

/// One checked packet of one device, on its way to where its records are safe.
pub struct Packet {
    /// Whose it is.
    pub imei: Imei,
    /// The codec of all its records.
    pub codec: Codec,
    /// Codec byte to second count: what [`engine::teltonika::Packet::decode`] has accepted.
    pub data: Vec<u8>,
    /// The four bytes behind them.
    pub checksum: [u8; 4],
    /// How many records it has: what the device expects as the answer.
    pub records: u8,
    /// Told once all records are safe; dropped untold, the device gets no answer and sends again.
    pub safe: oneshot::Sender<()>,
}

impl Packet {
    /// Its records, read where they lie.
    ///
    /// # Errors
    /// When it is not what the listener has accepted.
    pub fn decode(&self) -> Result<engine::teltonika::Packet<'_>, Malformed> {
        engine::teltonika::Packet::decode(&self.data, self.checksum)
    }
}

impl fmt::Debug for Packet {
    /// Without its records: where somebody drives is nobody's business in a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Packet");
        shown.field("codec", &self.codec).field("records", &self.records).finish_non_exhaustive()
    }
}
