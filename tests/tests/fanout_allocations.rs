//! After a warm-up the live path allocates nothing: judging, encoding, flushing, sending, being
//! blocked and writable again, falling out of the window and catching up.
//!
//! A viewer's behaviour repeats after [`CYCLE_ROUNDS`] rounds, so the warm-up has seen all there is
//! to see except the digits of the positions.

use bench::scene::{Scene, Shape};
use engine::fanout::{Send, Sent};
use tests::counting::{CountingAllocator, allocations_during};

#[global_allocator]
static COUNTING: CountingAllocator = CountingAllocator;

/// A round is a millisecond of virtual time, so who stands still for most of a cycle is more than
/// the window of a second behind.
const CYCLE_ROUNDS: usize = 1_500;

/// Positions of a round.
const ROUND_COUNT: usize = 16;

/// Cycles before the count begins. The rooms of frames that were cut grow to the longest of them.
const WARM_CYCLES: usize = 6;

/// How a viewer takes what it is offered.
#[derive(Clone, Copy)]
enum Reader {
    /// Everything at once.
    Keen,
    /// Always a part that ends inside of a frame, and again after some rounds.
    Halting { pause_rounds: usize, part_bytes: usize },
    /// Nothing for most of a cycle, then everything.
    Absent,
}

impl Reader {
    /// By place, so that a crowd has some of each; the first viewer is keen.
    const fn of(place: usize) -> Self {
        match place % 4 {
            0 | 1 => Self::Keen,
            2 => Self::Halting { pause_rounds: 1 + place % 7, part_bytes: 40 + place % 500 },
            _ => Self::Absent,
        }
    }

    fn take(self, round: usize, send: &Send<'_>) -> Sent {
        match self {
            Self::Halting { part_bytes, .. } if part_bytes < send.bytes.len() => {
                Sent::Part(part_bytes)
            }
            Self::Absent if round % CYCLE_ROUNDS < CYCLE_ROUNDS - 50 => Sent::Part(0),
            Self::Keen | Self::Halting { .. } | Self::Absent => Sent::All,
        }
    }

    const fn is_back(self, round: usize) -> bool {
        match self {
            Self::Keen => false,
            Self::Halting { pause_rounds, .. } => round.is_multiple_of(pause_rounds),
            Self::Absent => round % CYCLE_ROUNDS == CYCLE_ROUNDS - 50,
        }
    }
}

/// One cycle, and what it allocated; the positions are invented before the count begins.
fn cycle_allocations(scene: &mut Scene, deliberate: bool) -> u64 {
    let readers: Vec<_> =
        (0..scene.viewers().len()).map(|place| (place, Reader::of(place))).collect();
    let place_by_index: Vec<usize> = {
        let most = scene.viewers().iter().map(|viewer| viewer.index).max().unwrap_or(0);
        let mut places = vec![0; most as usize + 1];
        for (place, viewer) in scene.viewers().iter().enumerate() {
            places[viewer.index as usize] = place;
        }
        places
    };
    scene.prepare(CYCLE_ROUNDS * ROUND_COUNT);
    let ((), allocations) = allocations_during(|| {
        for round in 0..CYCLE_ROUNDS {
            for &(place, reader) in &readers {
                if reader.is_back(round) {
                    scene.resume(scene.viewers()[place]);
                }
            }
            scene.step(round * ROUND_COUNT..(round + 1) * ROUND_COUNT, |send| {
                let place = place_by_index[send.viewer.index as usize];
                if deliberate && round == 700 && place == 0 {
                    std::hint::black_box(Box::new(round));
                }
                readers[place].1.take(round, send)
            });
        }
    });
    allocations.count
}

fn check(viewer_count: u32) {
    let mut scene = Scene::new(Shape { device_count: 200, viewer_count });
    for _ in 0..WARM_CYCLES {
        cycle_allocations(&mut scene, false);
    }
    let before = *scene.shard().ledger();
    assert_eq!(cycle_allocations(&mut scene, false), 0, "{viewer_count} viewers");
    let after = *scene.shard().ledger();
    assert!(after.delivered > before.delivered, "the cycle has sent frames");
    if viewer_count >= 4 {
        assert!(after.conflated > before.conflated, "the cycle has conflated viewers");
    }
    assert_eq!(scene.shard().residual(), 0);
    let deliberate = cycle_allocations(&mut scene, true);
    assert_eq!(deliberate, 1, "one deliberate allocation in the sink is seen");
}

#[test]
fn one_viewer_costs_no_allocation() {
    check(1);
}

#[test]
fn a_hundred_viewers_cost_no_allocation() {
    check(100);
}

#[test]
fn a_thousand_viewers_cost_no_allocation() {
    check(1_000);
}
