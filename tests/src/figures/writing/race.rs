//! The rows of a race that goes on for as long as anybody writes.

use engine::decode::Decoder;
use engine::position::Position;
use engine::rows::{EntryId, Row, RowBatch};
use loadgen::race::{Irregular, Race, RaceConfig};
use loadgen::wire::EntryWriter;

/// Devices of the race; all start at once, and each has a row a second.
const DEVICES: u32 = 500;

/// Rows that are invented; then they come again, later.
const LAP_ROWS: usize = 20_000;

/// How much later: longer than it takes to invent them, so that no row is like another.
const LAP_MS: i64 = 60_000;

/// Of a batch with repetitions, one row of so many was written before.
const REPEATED_EACH: usize = 100;

/// How many rows a repeated one is back: more than are on their way at a time.
pub(super) const BACK: usize = 16_384;

/// What a batch is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mixture {
    /// Only rows that were never written, each device's in order.
    New,
    /// One row of a hundred was written a while before.
    Repeating,
}

/// Rows in the order in which they arrive, whoever writes them.
pub(super) struct Rows {
    lap: Vec<Invented>,
    /// New rows given out so far.
    new_count: usize,
    /// Rows of batches with repetitions given out so far.
    repeating_count: usize,
}

/// A row of the first lap.
struct Invented {
    device_id: String,
    position: Position,
    attributes: Vec<u8>,
}

impl Rows {
    pub(super) fn new() -> Self {
        let config = RaceConfig {
            devices: DEVICES,
            wave_devices: DEVICES,
            irregular: Irregular::NONE,
            ..RaceConfig::default()
        };
        let (mut writer, mut decoder) = (EntryWriter::new(), Decoder::new());
        let invent = |arrival| {
            let payload = writer.entry(&arrival).payload.as_bytes();
            let decoded = decoder.decode_payload(payload, arrival.codec).expect("a race's payload");
            Invented {
                device_id: decoded.device_id.to_owned(),
                position: decoded.position,
                attributes: decoded.attributes.to_vec(),
            }
        };
        let lap: Vec<_> = Race::new(1, &config).take(LAP_ROWS).map(invent).collect();
        assert_eq!(lap.len(), LAP_ROWS, "the race is long enough");
        let times = lap.iter().map(|row| row.position.timestamp_ms);
        let (first, last) = (times.clone().min(), times.max());
        assert!(last < first.map(|it| it + LAP_MS), "no row is like one of the next lap");
        Self { lap, new_count: 0, repeating_count: 0 }
    }

    /// Fills the batch with the next rows.
    pub(super) fn fill(&mut self, batch: &mut RowBatch, row_count: usize, mixture: Mixture) {
        batch.clear();
        for _ in 0..row_count {
            self.repeating_count += usize::from(mixture == Mixture::Repeating);
            if mixture == Mixture::Repeating && self.repeating_count.is_multiple_of(REPEATED_EACH) {
                self.push(self.new_count - BACK, batch);
            } else {
                self.push(self.new_count, batch);
                self.new_count += 1;
            }
        }
    }

    fn push(&self, number: usize, batch: &mut RowBatch) {
        let Invented { device_id, position, attributes } = &self.lap[number % LAP_ROWS];
        let lap = i64::try_from(number / LAP_ROWS).expect("few laps");
        let timestamp_ms = position.timestamp_ms + lap * LAP_MS;
        let row = Row {
            entry: EntryId::default(),
            device_id,
            position: Position { timestamp_ms, ..*position },
            attributes,
            redelivered: false,
        };
        batch.push(&row).expect("the batch has room for all");
    }
}
