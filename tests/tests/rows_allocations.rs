//! The durable batch asks for no memory once it has been filled: pushed, split, encoded, cleared.

use engine::copy::encode_rows;
use engine::decode::Decoder;
use engine::limits::BATCH_ROWS_MAX;
use engine::rows::{EntryId, Newest, Row, RowBatch};
use loadgen::race::{Race, RaceConfig};
use loadgen::wire::EntryWriter;
use tests::counting::{CountingAllocator, allocations_during};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn a_batch_that_was_full_once_allocates_nothing() {
    let config = RaceConfig { devices: 60, seconds: 300, ..RaceConfig::default() };
    let mut writer = EntryWriter::new();
    let payloads: Vec<_> = Race::new(3, &config)
        .take(5_000)
        .map(|arrival| (writer.entry(&arrival).payload.to_owned(), arrival.codec))
        .collect();
    assert_eq!(payloads.len(), 5_000, "the race is long enough");
    let mut decoder = Decoder::new();
    let mut batch = RowBatch::new(BATCH_ROWS_MAX);
    let (mut fresh, mut suspect, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    // Each pass is the same race, so many days later.
    let mut pass = |newest: &mut Newest, days: i64| {
        batch.clear();
        bytes.clear();
        for (sequence, (payload, codec)) in (0..).zip(&payloads) {
            let mut decoded = decoder.decode_payload(payload.as_bytes(), *codec).expect("good");
            decoded.position.timestamp_ms += days * 86_400_000;
            let row = Row {
                entry: EntryId { ms: 1, sequence },
                device_id: decoded.device_id,
                position: decoded.position,
                attributes: decoded.attributes,
                redelivered: false,
            };
            batch.push(&row).expect("the batch has room for all");
        }
        newest.split(&batch, &mut fresh, &mut suspect);
        encode_rows(&batch, &fresh, &mut bytes);
        encode_rows(&batch, &suspect, &mut bytes);
        assert_eq!(fresh.len() + suspect.len(), payloads.len());
        newest.commit(&batch);
        fresh.len()
    };
    let mut newest = Newest::new();
    assert_eq!(pass(&mut newest, 0), 0, "unknown devices are suspect");
    assert!(pass(&mut newest, 1) > 4_000, "what is newer than everything written is fresh");
    let (fresh_count, allocations) = allocations_during(|| pass(&mut newest, 2));
    assert!(fresh_count > 4_000);
    assert_eq!(allocations.count, 0, "{allocations:?}");
    let (_, allocations) = allocations_during(|| pass(&mut Newest::new(), 3));
    assert!(allocations.count > 0, "new devices are remembered, and that is seen");
}
