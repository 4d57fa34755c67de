//! What a row costs on its way to the database: pushing, splitting, encoding.
//!
//! Criterion says the time for a whole batch, and the rows or the bytes of COPY per second; the
//! time divided by the rows of the batch is the time per row.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use engine::copy::{CopyEncoder, encode_rows};
use engine::id::DeviceIndex;
use engine::limits::BATCH_ROWS_MAX;
use engine::position::{Codec, Position};
use engine::rows::{EntryId, Newest, Row, RowBatch};

/// Rows of the batches measured.
const ROWS: [usize; 4] = [1, 100, 1_000, 10_000];

/// Devices of the race: each row of a batch comes from the next one.
const DEVICES: usize = 500;

/// Time of the first row of a batch; each row is 2 ms after the one before.
const TS_MS: i64 = 1_780_733_730_000;

const PLAIN: &[u8] = br#"{"239":1,"240":1,"21":4,"200":0,"69":1,"66":12840,"67":4102,"181":9}"#;
const SENTINELS: &[u8] =
    br#"{"239":1,"16":{"__bigint":"18446744073709551615"},"385":{"__buffer_b64":"q83v"}}"#;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    encode(&mut criterion);
    pieces(&mut criterion);
    push(&mut criterion);
    split(&mut criterion);
    criterion.final_summary();
}

fn encode(criterion: &mut Criterion) {
    let (device_ids, numbers) = (device_ids(), numbers());
    let mut batch = RowBatch::new(BATCH_ROWS_MAX);
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("copy/encode");
    for rows in ROWS {
        fill(&mut batch, &device_ids, rows, TS_MS, PLAIN);
        out.clear();
        encode_rows(&batch, &numbers[..rows], &mut out);
        group.throughput(Throughput::Bytes(out.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(rows), |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_rows(black_box(&batch), black_box(&numbers[..rows]), &mut out);
            });
        });
    }
    group.finish();
}

fn pieces(criterion: &mut Criterion) {
    let (device_ids, numbers) = (device_ids(), numbers());
    let mut batch = RowBatch::new(BATCH_ROWS_MAX);
    let mut piece = Vec::new();
    let mut group = criterion.benchmark_group("copy/pieces");
    for rows in ROWS {
        fill(&mut batch, &device_ids, rows, TS_MS, PLAIN);
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::from_parameter(rows), |bencher| {
            bencher.iter(|| {
                let mut encoder = CopyEncoder::new(black_box(&batch), black_box(&numbers[..rows]));
                while encoder.poll_piece(&mut piece) {
                    black_box(&piece);
                    piece.clear();
                }
            });
        });
    }
    group.finish();
}

fn push(criterion: &mut Criterion) {
    let device_ids = device_ids();
    let mut batch = RowBatch::new(BATCH_ROWS_MAX);
    for (name, attributes) in [("rows/push", PLAIN), ("rows/push_sentinels", SENTINELS)] {
        let mut group = criterion.benchmark_group(name);
        for rows in ROWS {
            group.throughput(Throughput::Elements(rows as u64));
            group.bench_function(BenchmarkId::from_parameter(rows), |bencher| {
                bencher.iter(|| fill(&mut batch, &device_ids, rows, TS_MS, black_box(attributes)));
            });
        }
        group.finish();
    }
}

/// All rows fresh, as in a race; all suspect, as after a start; and what noting them costs.
fn split(criterion: &mut Criterion) {
    let device_ids = device_ids();
    let mut batch = RowBatch::new(BATCH_ROWS_MAX);
    let (mut fresh, mut suspect) = (Vec::new(), Vec::new());
    for rows in ROWS {
        let mut group = criterion.benchmark_group("rows/split");
        group.throughput(Throughput::Elements(rows as u64));
        let mut newest = Newest::new();
        fill(&mut batch, &device_ids, rows, TS_MS, PLAIN);
        group.bench_function(BenchmarkId::new("suspect", rows), |bencher| {
            bencher.iter(|| newest.split(black_box(&batch), &mut fresh, &mut suspect));
        });
        fill(&mut batch, &device_ids, DEVICES, TS_MS - 60_000, PLAIN);
        newest.commit(&batch);
        fill(&mut batch, &device_ids, rows, TS_MS, PLAIN);
        group.bench_function(BenchmarkId::new("fresh", rows), |bencher| {
            bencher.iter(|| newest.split(black_box(&batch), &mut fresh, &mut suspect));
        });
        newest.split(&batch, &mut fresh, &mut suspect);
        assert_eq!(fresh.len(), rows, "the fresh case has only fresh rows");
        group.bench_function(BenchmarkId::new("commit", rows), |bencher| {
            bencher.iter(|| newest.commit(black_box(&batch)));
        });
        group.finish();
    }
}

fn device_ids() -> Vec<String> {
    (0..DEVICES).map(|number| format!("35630704{number:07}")).collect()
}

fn numbers() -> Vec<u32> {
    (0..).take(BATCH_ROWS_MAX).collect()
}

/// Refills the batch with rows of the devices in turn.
fn fill(batch: &mut RowBatch, device_ids: &[String], rows: usize, ts_ms: i64, attributes: &[u8]) {
    batch.clear();
    for (number, device_id) in (0..).zip(device_ids.iter().cycle().take(rows)) {
        let position = Position {
            timestamp_ms: ts_ms + 2 * number,
            latitude: 41.3275,
            longitude: 19.8187,
            altitude: 120.0,
            angle: 214.0,
            speed: 63.0,
            device: DeviceIndex::ORPHAN,
            satellites: 11,
            priority: 0,
            codec: Codec::Codec8Extended,
        };
        let entry = EntryId::default();
        let row = Row { entry, device_id, position, attributes, redelivered: false };
        batch.push(&row).expect("the batch holds as many rows as any bench");
    }
}
