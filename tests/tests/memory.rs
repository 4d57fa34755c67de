//! What viewers cost in user space, counted by the allocator and not by the engine's own books.
#![expect(clippy::cast_precision_loss, reason = "bytes per viewer, for a message")]

use bench::scene::{Scene, Shape};
use engine::fanout::Sent;
use engine::limits::{LAP_REST_BYTES_MAX, VIEWER_IDLE_BYTES, memory_budget};
use tests::counting::{CountingAllocator, held_bytes_during};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const VIEWERS: u32 = 16_384;

/// Lists of subscribers double when they grow, and a list of topics begins with room for four.
const GROWTH: f64 = 1.3;

fn per_viewer(bytes: i64) -> f64 {
    bytes as f64 / f64::from(VIEWERS)
}

#[test]
fn an_idle_viewer_costs_what_the_budget_says() {
    let mut scene = Scene::new(Shape { device_count: 500, viewer_count: 1 });
    let ((), bytes) = held_bytes_during(|| scene.join(VIEWERS - 1));
    let each = per_viewer(bytes);
    println!("{each:.0} bytes of user space an idle viewer, planned {VIEWER_IDLE_BYTES}");
    assert!(each <= VIEWER_IDLE_BYTES as f64 * GROWTH, "{each:.0} bytes an idle viewer");
    assert!(each <= 512.0, "{each:.0} bytes an idle viewer");
    let counted = scene.shard().heap_bytes() as f64 / f64::from(VIEWERS);
    assert!(counted >= each * 0.9, "the shard's own count, {counted:.0}, hides nothing");
}

#[test]
fn stalled_viewers_cost_no_more_than_a_cut_frame_each() {
    let mut scene = Scene::new(Shape { device_count: 500, viewer_count: VIEWERS });
    let ((), bytes) = held_bytes_during(|| {
        // Everybody takes half a frame and then nothing for twenty rounds.
        scene.prepare(500);
        scene.steps(20, |_| Sent::Part(90));
    });
    let each = per_viewer(bytes);
    println!("{each:.0} bytes of user space more a viewer who stalls in the middle of a frame");
    let feed_bytes =
        memory_budget(1).iter().find(|l| l.what.starts_with("windows")).map(|l| l.bytes_each);
    let shared = feed_bytes.map_or(0.0, |bytes| 2.0 * bytes as f64 / f64::from(VIEWERS));
    assert!(each <= LAP_REST_BYTES_MAX as f64, "{each:.0} bytes a stalled viewer");
    assert!(each <= 256.0 + shared, "{each:.0} bytes a stalled viewer of one event");
}
