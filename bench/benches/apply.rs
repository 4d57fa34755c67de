//! What a position costs its owner, and what a snapshot and a crowd of newcomers cost.
//!
//! Elements are positions, entries and viewers. The cost of a position must not depend on how many
//! devices the event has.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bench::scene::{Scene, Shape, subscribe_frame};
use bench::workload::joining::board;
use criterion::{BenchmarkId, Criterion, Throughput};
use engine::fanout::Sent;

/// Positions handed over at a time: a busy round.
const BATCH_COUNT: usize = 256;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    apply(&mut criterion);
    snapshot(&mut criterion);
    subscribe_storm(&mut criterion);
    criterion.final_summary();
}

fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply/devices");
    group.throughput(Throughput::Elements(BATCH_COUNT as u64));
    for device_count in [10, 500, 50_000] {
        let mut scene = Scene::warm(Shape { device_count, viewer_count: 1 }, BATCH_COUNT);
        group.bench_function(BenchmarkId::from_parameter(device_count), |bencher| {
            bencher.iter_custom(|iteration_count| {
                let mut took = Duration::ZERO;
                for _ in 0..iteration_count {
                    scene.prepare(BATCH_COUNT);
                    let began = Instant::now();
                    scene.apply();
                    took += began.elapsed();
                    scene.flush();
                    scene.drain(|_| Sent::All);
                }
                took
            });
        });
    }
    group.finish();
}

fn snapshot(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot/devices");
    for device_count in [500, 50_000] {
        let board = board(device_count);
        let mut out = Vec::new();
        group.throughput(Throughput::Elements(u64::from(device_count)));
        group.bench_function(BenchmarkId::from_parameter(device_count), |bencher| {
            bencher.iter(|| {
                out.clear();
                board.write_snapshot(black_box(&mut out));
            });
        });
    }
    group.finish();
}

/// A crowd subscribes to an event of 500 devices between two rounds, from the bytes of the request
/// to the last byte of the snapshot.
fn subscribe_storm(criterion: &mut Criterion) {
    const CROWD_COUNT: usize = 1_000;
    let mut scene = Scene::warm(Shape { device_count: 500, viewer_count: 1 }, 16);
    let mut group = criterion.benchmark_group("subscribe/crowd");
    group.throughput(Throughput::Elements(CROWD_COUNT as u64));
    group.bench_function(BenchmarkId::from_parameter(CROWD_COUNT), |bencher| {
        bencher.iter_custom(|iteration_count| {
            let mut took = Duration::ZERO;
            for _ in 0..iteration_count {
                scene.prepare(16);
                scene.steps(16, |_| Sent::All);
                let crowd: Vec<_> = (0..CROWD_COUNT).map(|_| scene.open()).collect();
                let mut frames: Vec<_> = crowd.iter().map(|_| subscribe_frame()).collect();
                let began = Instant::now();
                for (&viewer, frame) in crowd.iter().zip(&mut frames) {
                    scene.subscribe(viewer, frame);
                }
                scene.drain(|_| Sent::All);
                took += began.elapsed();
                crowd.into_iter().for_each(|viewer| scene.close(viewer));
            }
            took
        });
    });
    group.finish();
}
