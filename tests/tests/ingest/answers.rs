//! No answer is taken for one to another packet: not behind a packet without one, not behind one sent twice.

use engine::position::Codec;
use tests::live::Live;
use tests::scene::{DEVICE, Scene};
use tests::tracker::{Tracker, packet};

use crate::rig::{self, count, ends, entries, packets, until};

/// Two packets whose answers are the same.
fn two(scene: &Scene) -> [Vec<u8>; 2] {
    [60_000, 30_000].map(|ago_ms| packet(Codec::Codec8, scene.now_ms() - ago_ms, 2))
}

/// Has Redis refuse what is added, or not any more.
fn refuses(scene: &Scene, does: bool) {
    rig::tell(scene, if does { "CONFIG SET maxmemory 1" } else { "CONFIG SET maxmemory 0" });
}

/// A device whose packet was on its way to a Redis that stood still when these bytes came behind it.
fn waits(scene: &Scene, live: &Live, first: &[u8], behind: &[u8]) -> Tracker {
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    scene.redis.program().signal("STOP").unwrap();
    tracker.send(first);
    // On a busy machine it may be given up before the rest has come, which changes no outcome.
    let is_given_up = || rig::given_up(scene, live) > 0;
    let is_waiting = || count(scene, live, "pitwall_ingest_packets_waiting") == 1;
    scene.until("it waits", || is_waiting() || is_given_up());
    tracker.send(behind);
    let has_come = || tracker.unread_bytes() == Some(behind.len());
    scene.until("the rest has come", || has_come() || is_given_up());
    scene.redis.program().signal("CONT").unwrap();
    tracker
}

#[test]
fn who_does_not_wait_for_an_answer_that_it_will_not_get_is_cut() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let [first, second] = two(&scene);
    refuses(&scene, true);
    // An answer to the second would be taken for one to the first. Both come at once,
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    tracker.send(&[&first[..], &second].concat());
    tracker.is_closed();
    until(&scene, &live, &ends("impatient"), 1);
    assert_eq!(count(&scene, &live, &packets("unsafe")), 1);
    // or the second when it is clear that the first gets none. It would get one itself.
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    tracker.send(&first);
    until(&scene, &live, &packets("unsafe"), 2);
    refuses(&scene, false);
    tracker.send(&second);
    tracker.is_closed();
    until(&scene, &live, &ends("impatient"), 2);
    // A new connection leaves no doubt.
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    assert_eq!(rig::delivers(&scene, &live, &mut tracker, &first), 2);
}

#[test]
fn what_came_behind_a_packet_that_is_refused_is_not_answered() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let [first, second] = two(&scene);
    refuses(&scene, true);
    let mut tracker = waits(&scene, &live, &first, &second);
    tracker.is_closed();
    until(&scene, &live, &ends("impatient"), 1);
    assert_eq!(count(&scene, &live, &packets("answered")), 0);
    assert_eq!(entries(&scene), 0);
}

#[test]
fn what_came_behind_a_damaged_packet_is_not_answered() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let [mut damaged, second] = two(&scene);
    *damaged.last_mut().unwrap() ^= 1;
    // The whole of it, or its beginning.
    for (cut, cuts) in [second.len(), 9].into_iter().zip(1..) {
        let mut tracker = Tracker::connect(live.devices, DEVICE);
        tracker.send(&[&damaged[..], &second[..cut]].concat());
        tracker.is_closed();
        until(&scene, &live, &ends("impatient"), cuts);
    }
    assert_eq!(count(&scene, &live, &packets("checksum")), 2);
    assert_eq!(entries(&scene), 0);
}

#[test]
fn a_packet_that_is_sent_again_while_it_waits_is_answered_once() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let [first, second] = two(&scene);
    let third = packet(Codec::Codec8, scene.now_ms() - 10_000, 3);
    let mut tracker = waits(&scene, &live, &first, &[&first[..], &first].concat());
    assert_eq!(tracker.answer(), 2);
    tracker.send(&third);
    assert_eq!(tracker.answer(), 3, "and not a second one to the first");
    tracker.send(&second);
    assert_eq!(tracker.answer(), 2);
    assert!(tracker.hears_nothing());
    let of = |result: &str| count(&scene, &live, &packets(result));
    // Where the first is given up on a busy machine, the second of its kind is answered.
    assert_eq!((of("answered"), of("repeated") + of("unsafe")), (3, 2));
}

#[test]
fn a_packet_that_is_sent_again_and_refused_again_is_answered_over_the_same_connection() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let [first, second] = two(&scene);
    refuses(&scene, true);
    let mut tracker = waits(&scene, &live, &first, &first);
    until(&scene, &live, &packets("unsafe"), 2);
    assert!(tracker.hears_nothing());
    refuses(&scene, false);
    for bytes in [&first, &second] {
        assert_eq!(rig::delivers(&scene, &live, &mut tracker, bytes), 2);
    }
}

#[test]
fn a_packet_that_is_sent_again_after_a_late_answer_is_not_answered_and_cut() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let [first, second] = two(&scene);
    refuses(&scene, true);
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    tracker.send(&first);
    until(&scene, &live, &packets("unsafe"), 1);
    refuses(&scene, false);
    assert_eq!(rig::delivers(&scene, &live, &mut tracker, &first), 2);
    // It may have been sent while the answer was on its way, and the device may wait for another.
    tracker.send(&first);
    tracker.is_closed();
    until(&scene, &live, &ends("crossed"), 1);
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    for bytes in [&first, &second] {
        assert_eq!(rig::delivers(&scene, &live, &mut tracker, bytes), 2);
    }
}
