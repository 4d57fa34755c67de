//! What it costs to be shown an event for the first time.

use engine::board::Board;
use engine::fanout::Sent;
use engine::frame;
use engine::id::{Sequence, SlotIndex};

use super::Meter;
use crate::random::Random;
use crate::scene::{EVENT, Scene, Shape, position, subscribe_frame};

/// Devices of the events measured.
const DEVICE_COUNT: u32 = 500;

/// Joins the snapshot of an event from its finished frames.
pub(super) fn snapshot(meter: &mut Meter, repeat: u64) {
    let board = board(DEVICE_COUNT);
    let mut out = Vec::new();
    board.write_snapshot(&mut out);
    for _ in 0..16 * repeat {
        out.clear();
        meter.measure(|| {
            board.write_snapshot(&mut out);
            u64::from(DEVICE_COUNT)
        });
    }
}

/// Crowds subscribe between two rounds, each to a snapshot of its own.
pub(super) fn subscribe(meter: &mut Meter, repeat: u64) {
    const CROWD_COUNT: usize = 100;
    let mut scene = Scene::warm(Shape { device_count: DEVICE_COUNT, viewer_count: 1 }, 16);
    for _ in 0..4 * repeat {
        scene.prepare(16);
        scene.steps(16, |_| Sent::All);
        let crowd: Vec<_> = (0..CROWD_COUNT).map(|_| scene.open()).collect();
        let mut frames: Vec<_> = crowd.iter().map(|_| subscribe_frame()).collect();
        meter.measure(|| {
            for (&viewer, frame) in crowd.iter().zip(&mut frames) {
                scene.subscribe(viewer, frame);
            }
            scene.drain(|_| Sent::All);
            crowd.len() as u64
        });
        crowd.into_iter().for_each(|viewer| scene.close(viewer));
    }
}

/// A board whose slots all show a frame.
#[must_use]
pub fn board(device_count: u32) -> Board {
    let (mut board, mut random, mut bytes) = (Board::default(), Random::new(1), Vec::new());
    for at in 0..device_count {
        let device = format!("3563070{at:08}");
        let fix = position(&mut random, 1_780_733_730_000 + i64::from(at));
        bytes.clear();
        frame::encode(&mut bytes, &frame::head(EVENT), device.as_bytes(), &fix);
        board.set(SlotIndex(at), Sequence(u64::from(at) + 1), &bytes);
    }
    board
}
