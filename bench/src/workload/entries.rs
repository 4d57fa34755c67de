//! What an entry costs the two planes: read, and as a row of a COPY.

use engine::copy::encode_rows;
use engine::decode::{Decoder, EntryFields};
use engine::position::Codec;
use engine::rows::{EntryId, Row, RowBatch};
use loadgen::race::{Race, RaceConfig};
use loadgen::wire::EntryWriter;

use super::Meter;

/// Entries read, or rows written, at a time.
const BATCH_COUNT: usize = 1_000;

/// The fields of one entry, as Redis holds them.
struct StoredEntry {
    ts: String,
    device_id: String,
    codec: Codec,
    payload: String,
}

/// The first entries of a race, of all three codecs.
fn stored() -> Vec<StoredEntry> {
    let mut writer = EntryWriter::new();
    let config = RaceConfig { devices: 60, seconds: 120, ..RaceConfig::default() };
    let stored: Vec<_> = Race::new(1, &config)
        .take(BATCH_COUNT)
        .map(|arrival| {
            let entry = writer.entry(&arrival);
            StoredEntry {
                ts: entry.ts.to_owned(),
                device_id: entry.device_id.to_owned(),
                codec: arrival.codec,
                payload: entry.payload.to_owned(),
            }
        })
        .collect();
    assert_eq!(stored.len(), BATCH_COUNT, "the race is long enough");
    stored
}

/// Reads entries from their fields.
pub(super) fn decode(meter: &mut Meter, repeat: u64) {
    let stored = stored();
    let mut decoder = Decoder::new();
    for _ in 0..4 * repeat {
        meter.measure(|| {
            for entry in &stored {
                let fields = [
                    (&b"ts"[..], entry.ts.as_bytes()),
                    (b"device_id", entry.device_id.as_bytes()),
                    (b"codec", entry.codec.text().as_bytes()),
                    (b"payload", entry.payload.as_bytes()),
                ];
                let fields = EntryFields::from_pairs(fields).expect("a race writes all of them");
                let decoded = decoder.decode(&fields).expect("a race writes good entries");
                std::hint::black_box(decoded);
            }
            BATCH_COUNT as u64
        });
    }
}

/// Pushes decoded entries into a batch.
pub(super) fn push(meter: &mut Meter, repeat: u64) {
    let stored = stored();
    let mut batch = RowBatch::new(BATCH_COUNT);
    fill(&mut batch, &stored, None);
    for _ in 0..4 * repeat {
        batch.clear();
        fill(&mut batch, &stored, Some(meter));
    }
}

/// Encodes a batch of rows as binary COPY.
pub(super) fn copy(meter: &mut Meter, repeat: u64) {
    let mut batch = RowBatch::new(BATCH_COUNT);
    fill(&mut batch, &stored(), None);
    let rows: Vec<u32> = (0..).take(BATCH_COUNT).collect();
    let mut bytes = Vec::new();
    encode_rows(&batch, &rows, &mut bytes);
    for _ in 0..4 * repeat {
        meter.measure(|| {
            bytes.clear();
            encode_rows(&batch, &rows, &mut bytes);
            BATCH_COUNT as u64
        });
    }
}

/// Decodes outside of the meter and pushes inside of it, if there is one.
fn fill(batch: &mut RowBatch, stored: &[StoredEntry], mut meter: Option<&mut Meter>) {
    let mut decoder = Decoder::new();
    for (sequence, entry) in (0..).zip(stored) {
        let payload = entry.payload.as_bytes();
        let decoded = decoder.decode_payload(payload, entry.codec).expect("a race's payload");
        let row = Row {
            entry: EntryId { ms: 0, sequence },
            device_id: decoded.device_id,
            position: decoded.position,
            attributes: decoded.attributes,
            redelivered: false,
        };
        let mut push = || {
            batch.push(&row).expect("the batch has room for all");
            1
        };
        match &mut meter {
            Some(meter) => meter.measure(push),
            None => assert_eq!(push(), 1),
        }
    }
}
