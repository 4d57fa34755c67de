//! How a viewer catches up: the walk over ranges of slots that `engine::ring` does, against its
//! rival, a list of the slots in order of update, linked through arrays.
//!
//! The list has to be kept up to date by every position, and a viewer then walks only what has
//! changed. The ranges cost a position nothing, and a viewer looks at the sequence of every slot.
//! Elements are positions applied, and frames gathered.

use std::hint::black_box;
use std::time::Duration;

use bench::random::Random;
use bench::workload::joining::board;
use criterion::{BenchmarkId, Criterion, Throughput};
use engine::board::Board;
use engine::id::{Sequence, SlotIndex};
use engine::limits::LAP_CHUNK_BYTES;
use engine::ring::{LapChunk, Laps};

/// Sizes of events.
const SLOT_COUNTS: [u32; 2] = [500, 50_000];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    keep(&mut criterion);
    gather(&mut criterion);
    criterion.final_summary();
}

/// Slots in order of their newest frame, linked both ways; the place behind the last slot is both
/// ends.
struct UpdateOrder {
    newer: Vec<u32>,
    older: Vec<u32>,
}

impl UpdateOrder {
    fn new(slot_count: u32) -> Self {
        let places = slot_count + 1;
        let newer = (0..places).map(|slot| (slot + 1) % places).collect();
        let older = (0..places).map(|slot| (slot + places - 1) % places).collect();
        Self { newer, older }
    }

    fn ends(&self) -> usize {
        self.newer.len() - 1
    }

    /// The slot has the newest frame.
    fn touch(&mut self, slot: u32) {
        let (ends, at) = (self.ends(), slot as usize);
        let (newer, older) = (self.newer[at], self.older[at]);
        self.newer[older as usize] = newer;
        self.older[newer as usize] = older;
        let newest = self.older[ends];
        self.newer[newest as usize] = slot;
        self.older[at] = newest;
        self.newer[at] = u32::try_from(ends).expect("few slots");
        self.older[ends] = slot;
    }

    /// Gathers the newest frames of everything newer than `cursor`, oldest first, in chunks of the
    /// size that the engine uses; says how many.
    fn gather(&self, board: &Board, cursor: Sequence, out: &mut Vec<u8>) -> u64 {
        let mut slot = self.older[self.ends()];
        while slot as usize != self.ends() && board.sequences()[slot as usize] > cursor {
            slot = self.older[slot as usize];
        }
        let mut count = 0;
        slot = self.newer[slot as usize];
        while slot as usize != self.ends() {
            if out.len() >= LAP_CHUNK_BYTES {
                black_box(&out);
                out.clear();
            }
            out.extend_from_slice(board.frame(SlotIndex(slot)));
            count += 1;
            slot = self.newer[slot as usize];
        }
        count
    }
}

/// The price of a position: what `Board::set` costs alone, and with the list.
fn keep(criterion: &mut Criterion) {
    const POSITION_COUNT: usize = 4_096;
    let mut group = criterion.benchmark_group("laps/keep");
    group.throughput(Throughput::Elements(POSITION_COUNT as u64));
    for slot_count in SLOT_COUNTS {
        let mut random = Random::new(2);
        let slots: Vec<u32> = (0..POSITION_COUNT)
            .map(|_| u32::try_from(random.below(u64::from(slot_count))).expect("a slot"))
            .collect();
        let mut board = board(slot_count);
        let frame = board.frame(SlotIndex(0)).to_vec();
        let mut order = UpdateOrder::new(slot_count);
        group.bench_function(BenchmarkId::new("ranges", slot_count), |bencher| {
            bencher.iter(|| {
                for &slot in &slots {
                    board.set(SlotIndex(slot), Sequence(1), black_box(&frame));
                }
            });
        });
        group.bench_function(BenchmarkId::new("list", slot_count), |bencher| {
            bencher.iter(|| {
                for &slot in &slots {
                    board.set(SlotIndex(slot), Sequence(1), black_box(&frame));
                    order.touch(black_box(slot));
                }
            });
        });
    }
    group.finish();
}

/// The price of a gathered frame, when every slot has changed and when one in a hundred has.
fn gather(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("laps/gather");
    for slot_count in SLOT_COUNTS {
        for changed_count in [slot_count, slot_count / 100] {
            let (board, order, cursor) = changed(slot_count, changed_count);
            let newest = Sequence(u64::from(slot_count + changed_count));
            group.throughput(Throughput::Elements(u64::from(changed_count)));
            let name = format!("{changed_count}-of-{slot_count}");
            let mut chunk = LapChunk::default();
            group.bench_function(BenchmarkId::new("ranges", &name), |bencher| {
                bencher.iter(|| {
                    let count = lap(&board, cursor, newest, &mut chunk);
                    assert_eq!(count, u64::from(changed_count));
                });
            });
            let mut out = Vec::new();
            group.bench_function(BenchmarkId::new("list", &name), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    let count = order.gather(&board, cursor, &mut out);
                    assert_eq!(count, u64::from(changed_count));
                });
            });
        }
    }
    group.finish();
}

/// A board on which `changed_count` slots, in an order without pattern, have a frame that is newer
/// than the cursor returned with it.
fn changed(slot_count: u32, changed_count: u32) -> (Board, UpdateOrder, Sequence) {
    let (mut board, mut order) = (board(slot_count), UpdateOrder::new(slot_count));
    let mut slots: Vec<u32> = (0..slot_count).collect();
    let mut random = Random::new(3);
    for at in (1..slots.len()).rev() {
        let other = usize::try_from(random.below(at as u64 + 1)).expect("a place");
        slots.swap(at, other);
    }
    let frame = board.frame(SlotIndex(0)).to_vec();
    for (sequence, &slot) in (u64::from(slot_count) + 1..).zip(&slots[..changed_count as usize]) {
        board.set(SlotIndex(slot), Sequence(sequence), &frame);
        order.touch(slot);
    }
    (board, order, Sequence(u64::from(slot_count)))
}

/// Lets a viewer catch up as the engine does; says how many frames it got.
fn lap(board: &Board, cursor: Sequence, newest: Sequence, chunk: &mut LapChunk) -> u64 {
    let mut laps = Laps::begin(cursor, board, newest);
    loop {
        laps.gather(board, newest, chunk);
        let progress = laps.commit(newest, chunk, black_box(chunk.bytes()).len());
        if progress.caught_up {
            return laps.sent_count();
        }
    }
}
