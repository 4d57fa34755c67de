//! What a delivered frame costs, from the batch of positions to the outcome of the send.

use engine::fanout::Sent;

use super::Meter;
use crate::scene::{Drained, Scene, Shape};

/// Devices of the events measured.
const DEVICE_COUNT: u32 = 500;

/// Rounds of `frame_count` positions to viewers who keep up: applying, flushing and sending.
pub(super) fn rounds(meter: &mut Meter, repeat: u64, viewer_count: u32, frame_count: usize) {
    const ROUND_COUNT: usize = 16;
    let mut scene = Scene::warm(Shape { device_count: DEVICE_COUNT, viewer_count }, frame_count);
    let delivered = (ROUND_COUNT * frame_count) as u64 * u64::from(viewer_count);
    for _ in 0..repeat {
        scene.prepare(ROUND_COUNT * frame_count);
        let mut drained = Drained::default();
        meter.measure(|| {
            drained = scene.steps(frame_count, |_| Sent::All);
            delivered
        });
        meter.send_count += drained.send_count;
        meter.encoded_bytes += drained.bytes / u64::from(viewer_count);
    }
}

/// Viewers who fell out of the window get the newest frame of every device.
pub(super) fn catching_up(meter: &mut Meter, repeat: u64) {
    const VIEWER_COUNT: u32 = 16;
    let shape = Shape { device_count: DEVICE_COUNT, viewer_count: VIEWER_COUNT };
    let mut scene = Scene::warm(shape, DEVICE_COUNT as usize);
    // The first time makes room for what is gathered.
    stall(&mut scene);
    scene.drain(|_| Sent::All);
    for _ in 0..2 * repeat {
        stall(&mut scene);
        let before = scene.shard().ledger().delivered;
        let mut drained = Drained::default();
        meter.measure(|| {
            drained = scene.drain(|_| Sent::All);
            scene.shard().ledger().delivered - before
        });
        meter.send_count += drained.send_count;
    }
}

/// Lets every viewer stand still until it has fallen out of the window, and makes it writable.
pub fn stall(scene: &mut Scene) {
    /// Each device moves so often: more than a window of the size limit.
    const LAP_COUNT: usize = 8;
    scene.prepare(DEVICE_COUNT as usize * LAP_COUNT);
    scene.steps(DEVICE_COUNT as usize, |_| Sent::Part(0));
    for at in 0..scene.viewers().len() {
        scene.resume(scene.viewers()[at]);
    }
}
