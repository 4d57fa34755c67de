//! A round reaches everyone, whatever happens to others while it goes on.

use bench::scene::{Scene, Shape};
use engine::fanout::Sent;

/// In each round the connection of the viewer whose turn is `broken_turn` breaks.
fn check(viewer_count: u32, broken_turn: u64) {
    let mut scene = Scene::new(Shape { device_count: 3, viewer_count });
    for round in 1..viewer_count {
        scene.prepare(1);
        let mut turn = 0;
        scene.steps(1, |_| {
            turn += 1;
            if turn == 1 + broken_turn % u64::from(viewer_count - round) {
                Sent::Broken
            } else {
                Sent::All
            }
        });
        let pending = scene.shard().pending_count();
        assert_eq!(pending, 0, "{viewer_count} viewers, turn {broken_turn}, round {round}");
        assert_eq!(scene.shard().viewer_count(), (viewer_count - round) as usize);
    }
}

#[test]
fn a_viewer_lost_in_the_middle_of_a_round_costs_nobody_its_turn() {
    for viewer_count in 2..24 {
        for broken_turn in 0..24 {
            check(viewer_count, broken_turn);
        }
    }
}
