//! Redis away, refusing, slow: nobody is answered, and everybody once that is over.

use engine::position::Codec;
use tests::live::Live;
use tests::scene::{DEVICE, Scene};
use tests::tracker::{Tracker, packet};

use crate::rig::{self, count, entries, is, packets, until};

fn is_ready(scene: &Scene, live: &Live) -> bool {
    scene.page(live, "/readyz?role=ingest").starts_with("HTTP/1.1 200")
}

/// Sends a packet again and again, as devices do, until it is answered.
fn insists(scene: &Scene, live: &Live, bytes: &[u8], records: u32) {
    scene.until("the device is answered", || {
        let mut tracker = Tracker::connect(live.devices, DEVICE);
        let refused = count(scene, live, &packets("unsafe"));
        tracker.send(bytes);
        let mut is_answered = false;
        scene.until("it is decided", || {
            is_answered = !tracker.hears_nothing();
            is_answered || count(scene, live, &packets("unsafe")) > refused
        });
        is_answered && tracker.answer() == records
    });
}

#[test]
fn nobody_is_answered_while_redis_stands_still_and_everybody_afterwards() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    let bytes = packet(Codec::Codec8, scene.now_ms(), 2);
    scene.redis.program().signal("STOP").unwrap();
    tracker.send(&bytes);
    until(&scene, &live, "pitwall_ingest_packets_waiting", 1);
    assert!(tracker.hears_nothing(), "what is not acknowledged is not answered");
    scene.redis.program().signal("CONT").unwrap();
    assert_eq!(rig::insists(&scene, &live, (&mut tracker, 0), &bytes), 2);
    // What was given up was added, too, if Redis had it already.
    let sent = 1 + usize::try_from(rig::given_up(&scene, &live)).unwrap();
    assert!((2..=2 * sent).contains(&entries(&scene)), "sent {sent} times");
}

#[test]
fn a_redis_that_stands_still_for_long_is_told_of_and_what_waits_in_the_queue_waits_on() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let now_ms = scene.now_ms() - 60_000;
    let mut first = Tracker::connect(live.devices, DEVICE);
    first.report(Codec::Codec8, now_ms, 1);
    scene.redis.program().signal("STOP").unwrap();
    first.send(&packet(Codec::Codec8, now_ms + 10_000, 2));
    until(&scene, &live, &packets("unsafe"), 1);
    scene.until("it is told", || {
        is(&live, "publisher", "failed", "Redis did not answer within 5000 ms.")
            || is(&live, "publisher", "failed", "Redis did not let us connect")
    });
    assert!(!is_ready(&scene, &live));
    let effect = rig::report(&live, "publisher")["effect"].as_str().unwrap().to_owned();
    assert!(effect.contains("No device is answered"), "{effect}");
    // One that sends meanwhile waits, and is answered without sending again.
    let mut second = Tracker::connect(live.devices, DEVICE);
    second.send(&packet(Codec::Codec8, now_ms + 20_000, 3));
    until(&scene, &live, "pitwall_ingest_packets_waiting", 1);
    assert!(first.hears_nothing() && second.hears_nothing());
    scene.redis.program().signal("CONT").unwrap();
    assert_eq!(second.answer(), 3);
    assert_eq!(first.report(Codec::Codec8, now_ms + 10_000, 2), 2, "it sends again");
    scene.until("all is well", || is_ready(&scene, &live));
}

#[test]
fn a_redis_without_memory_is_told_of_and_nobody_is_answered_until_it_has_some() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let now_ms = scene.now_ms();
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    assert_eq!(tracker.report(Codec::Codec8, now_ms - 10_000, 1), 1);
    rig::tell(&scene, "CONFIG SET maxmemory 1");
    let bytes = packet(Codec::Codec8, now_ms, 2);
    tracker.send(&bytes);
    until(&scene, &live, &packets("unsafe"), 1);
    assert!(tracker.hears_nothing());
    scene.until("it is told", || is(&live, "publisher", "failed", "OOM"));
    // When nobody sends, it cannot be known that it is over: that is no reason to send nobody here.
    scene.until("it may be tried", || is(&live, "publisher", "impaired", "OOM"));
    assert!(is_ready(&scene, &live));
    rig::tell(&scene, "CONFIG SET maxmemory 0");
    assert_eq!(tracker.report(Codec::Codec8, now_ms, 2), 2);
    scene.until("all is well", || is(&live, "publisher", "working", ""));
    assert_eq!(entries(&scene), 3);
}

#[test]
fn a_redis_that_refuses_for_other_reasons_is_tried_again_too() {
    let mut scene = Scene::new();
    let live = rig::start(&scene);
    let now_ms = scene.now_ms();
    let bytes = packet(Codec::Codec8, now_ms, 2);
    // A replica takes no writes.
    rig::tell(&scene, "REPLICAOF 127.0.0.1 1");
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    tracker.send(&bytes);
    until(&scene, &live, &packets("unsafe"), 1);
    scene.until("it is told", || is(&live, "publisher", "failed", "READONLY"));
    rig::tell(&scene, "REPLICAOF NO ONE");
    insists(&scene, &live, &bytes, 2);
    // Somebody else's key has the stream's name.
    rig::tell(&scene, "RENAME telemetry:teltonika kept");
    rig::tell(&scene, "SET telemetry:teltonika text");
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    tracker.send(&bytes);
    scene.until("it is told", || is(&live, "publisher", "failed", "WRONGTYPE"));
    assert!(tracker.hears_nothing());
    rig::tell(&scene, "RENAME kept telemetry:teltonika");
    insists(&scene, &live, &bytes, 2);
    // It dies and comes back, empty.
    scene.restart_redis(&[]);
    insists(&scene, &live, &bytes, 2);
    assert!(entries(&scene) >= 2);
}

#[test]
fn a_full_queue_gets_no_answer_and_what_is_in_it_is_answered_later() {
    let scene = Scene::new();
    let mut config = rig::config(&scene);
    config.ingest.queue_packets_max = 4;
    let live = scene.start_with(config);
    let now_ms = scene.now_ms() - 60_000;
    let bytes = packet(Codec::Codec8, now_ms, 2);
    scene.redis.program().signal("STOP").unwrap();
    let mut trackers: Vec<Tracker> =
        (0..40).map(|_| Tracker::connect(live.devices, DEVICE)).collect();
    for tracker in &mut trackers {
        tracker.send(&bytes);
    }
    let of = |result: &str| count(&scene, &live, &packets(result));
    scene.until("each has found room or none", || {
        let waiting = count(&scene, &live, "pitwall_ingest_packets_waiting");
        // The one that is on its way is given up after a while.
        waiting + of("queue_full") + of("unsafe") == 40
    });
    assert!(of("queue_full") >= 20, "{} have found no room", of("queue_full"));
    assert!(trackers.iter().all(Tracker::hears_nothing));
    let page = scene.page(&live, "/statusz?format=text");
    assert!(page.contains("INGEST_QUEUE_MAX"), "{page}");
    scene.redis.program().signal("CONT").unwrap();
    until(&scene, &live, "pitwall_ingest_packets_waiting", 0);
    assert!(of("answered") > 0, "what was in the queue is answered");
    go_on(&scene, &live, trackers, &bytes);
}

/// Those who had no answer send again, over the same connections. Each goes on as if nothing had
/// happened.
fn go_on(scene: &Scene, live: &Live, trackers: Vec<Tracker>, bytes: &[u8]) {
    let next = packet(Codec::Codec8, scene.now_ms() - 30_000, 3);
    for mut tracker in trackers {
        if tracker.hears_nothing() {
            tracker.send(bytes);
        }
        assert_eq!(tracker.answer(), 2);
        tracker.send(&next);
        assert_eq!(tracker.answer(), 3);
    }
    until(scene, live, "pitwall_ingest_packets_waiting", 0);
}
