//! What a position costs its owner: judged, encoded, put into a block.

use super::Meter;
use crate::scene::{Scene, Shape};
use engine::fanout::Sent;

/// Positions handed to the shard at a time.
const BATCH_COUNT: usize = 256;

/// Applies batches to an event with `device_count` devices and one viewer.
///
/// The flush in between is not counted: its cost belongs to the fan-out.
pub(super) fn apply(meter: &mut Meter, repeat: u64, device_count: u32) {
    let mut scene = Scene::new(Shape { device_count, viewer_count: 1 });
    for _ in 0..16 {
        scene.prepare(BATCH_COUNT);
        scene.steps(BATCH_COUNT, |_| Sent::All);
    }
    for _ in 0..16 * repeat {
        scene.prepare(BATCH_COUNT);
        meter.measure(|| {
            scene.apply();
            BATCH_COUNT as u64
        });
        scene.flush();
        scene.drain(|_| Sent::All);
    }
}
