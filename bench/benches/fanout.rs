//! What a send costs in user space: rounds to viewers who keep up, and the laps of those who do not.
//!
//! Elements of `rounds` are sends: the time of an element is what the engine adds to one system
//! call. It includes judging and encoding the positions of the round, so with one viewer that is
//! nearly all there is. Elements of `catching-up` are frames.

use std::time::{Duration, Instant};

use bench::scene::{Scene, Shape};
use bench::workload::fan_out::stall;
use criterion::{BenchmarkId, Criterion, Throughput};
use engine::fanout::Sent;

/// Devices of the events measured.
const DEVICE_COUNT: u32 = 500;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    rounds(&mut criterion);
    catching_up(&mut criterion);
    criterion.final_summary();
}

fn rounds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rounds");
    for viewer_count in [1, 100, 1_000, 10_000] {
        group.throughput(Throughput::Elements(u64::from(viewer_count)));
        for frame_count in [1, 16, 64] {
            let shape = Shape { device_count: DEVICE_COUNT, viewer_count };
            let mut scene = Scene::warm(shape, frame_count);
            let name = BenchmarkId::new(format!("viewers-{viewer_count}"), frame_count);
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|iteration_count| {
                    let mut took = Duration::ZERO;
                    for _ in 0..iteration_count {
                        scene.prepare(frame_count);
                        let began = Instant::now();
                        scene.steps(frame_count, |_| Sent::All);
                        took += began.elapsed();
                    }
                    took
                });
            });
        }
    }
    group.finish();
}

fn catching_up(criterion: &mut Criterion) {
    const VIEWER_COUNT: u32 = 100;
    let shape = Shape { device_count: DEVICE_COUNT, viewer_count: VIEWER_COUNT };
    let mut scene = Scene::warm(shape, DEVICE_COUNT as usize);
    let mut group = criterion.benchmark_group("catching-up");
    group.throughput(Throughput::Elements(u64::from(VIEWER_COUNT * DEVICE_COUNT)));
    group.bench_function(BenchmarkId::from_parameter(DEVICE_COUNT), |bencher| {
        bencher.iter_custom(|iteration_count| {
            let mut took = Duration::ZERO;
            for _ in 0..iteration_count {
                stall(&mut scene);
                let began = Instant::now();
                scene.drain(|_| Sent::All);
                took += began.elapsed();
            }
            took
        });
    });
    group.finish();
}
