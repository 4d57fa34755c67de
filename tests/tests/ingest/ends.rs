//! The end in order, and what a process that only listens to devices is and is not.

use std::time::{Duration, Instant};

use engine::position::Codec;
use tests::scene::{DEVICE, Scene};
use tests::tracker::{Tracker, packet};

use crate::rig::{self, entries, until};

#[test]
fn who_ends_answers_what_it_has_read_and_reads_nothing_more() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let now_ms = scene.now_ms() - 60_000;
    let mut busy = Tracker::connect(live.devices, DEVICE);
    let mut idle = Tracker::connect(live.devices, DEVICE);
    scene.redis.program().signal("STOP").unwrap();
    let bytes = packet(Codec::Codec8, now_ms, 2);
    busy.send(&bytes);
    until(&scene, &live, "pitwall_ingest_packets_waiting", 1);
    live.begin_end();
    scene.until("it takes nobody in", || std::net::TcpStream::connect(live.devices).is_err());
    idle.send(&packet(Codec::Codec8, now_ms + 10_000, 3));
    idle.is_closed();
    scene.redis.program().signal("CONT").unwrap();
    // On a machine so busy that the end has waited long enough, it gets none, and sends again elsewhere.
    let answer = busy.try_answer().ok();
    assert!(answer.is_none_or(|records| records == 2), "{answer:?}");
    if answer.is_some() {
        busy.is_closed();
    }
    live.end().unwrap();
    let added = entries(&scene);
    assert!(
        added == 2 || (answer.is_none() && added == 0),
        "{added}: what came later was not read"
    );
}

#[test]
fn an_end_without_redis_takes_no_longer_than_it_may() {
    let mut scene = Scene::new();
    let live = rig::start(&scene);
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    scene.redis.kill();
    tracker.send(&packet(Codec::Codec8, scene.now_ms(), 2));
    let began = Instant::now();
    live.end().unwrap();
    assert!(began.elapsed() < Duration::from_secs(25));
    tracker.is_closed();
    scene.redis.restart(&[]);
}

#[test]
fn who_only_listens_to_devices_has_no_lease_no_viewers_and_no_group() {
    let scene = Scene::new();
    let (first, second) = (rig::start(&scene), rig::start(&scene));
    for live in [&first, &second] {
        let mut tracker = Tracker::connect(live.devices, DEVICE);
        assert_eq!(tracker.report(Codec::Codec8, scene.now_ms(), 1), 1);
        assert_eq!(live.address.port(), 0);
        for path in ["/healthz", "/readyz", "/readyz?role=ingest", "/metrics"] {
            let page = scene.page(live, path);
            assert!(page.starts_with("HTTP/1.1 200"), "{path}: {page}");
            assert!(!page.contains("processor_live_") && !page.contains("lease"), "{path}: {page}");
        }
    }
    assert_eq!(scene.redis_says(&["EXISTS", "pitwall:instance:processor-1"]), "0");
    assert_eq!(scene.redis_says(&["XINFO", "GROUPS", tests::entries::STREAM]), "");
    first.end().unwrap();
    second.end().unwrap();
}
