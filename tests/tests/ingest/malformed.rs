//! Every way in which a device can be wrong, and what it gets for that.

use engine::position::Codec;
use tests::live::Live;
use tests::scene::{DEVICE, DEVICE_SHARED, Scene};
use tests::tracker::{Tracker, changed, hello, packet};

use crate::rig::{self, count, ends, entries, packets, until};

/// A packet of two records.
fn two(scene: &Scene) -> Vec<u8> {
    packet(Codec::Codec8, scene.now_ms() - 10_000, 2)
}

/// A packet of three records, whose answer is another one.
fn three(scene: &Scene) -> Vec<u8> {
    packet(Codec::Codec8, scene.now_ms() - 20_000, 3)
}

/// Sends bytes behind the handshake, and sees that they close the connection.
fn closes(scene: &Scene, live: &Live, bytes: &[u8]) {
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    tracker.send(bytes);
    tracker.is_closed();
    assert_eq!(entries(scene), 0, "{bytes:?}");
}

#[test]
fn a_packet_that_was_damaged_on_the_way_gets_no_answer_and_may_come_again() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    let mut damaged = two(&scene);
    *damaged.last_mut().unwrap() ^= 1;
    tracker.send(&damaged);
    until(&scene, &live, &packets("checksum"), 1);
    let unequal = changed(&two(&scene), |data| *data.last_mut().unwrap() += 1);
    tracker.send(&unequal);
    until(&scene, &live, &packets("counts"), 1);
    assert!(tracker.hears_nothing());
    tracker.send(&three(&scene));
    assert_eq!(tracker.answer(), 3, "the only answer is the one to what was right");
    assert_eq!(entries(&scene), 3);
}

#[test]
fn what_is_meant_so_and_cannot_be_understood_closes_the_connection() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let right = two(&scene);
    // Commands and other codecs that do not position.
    for codec in [0x0C, 0x0D, 0x0E, 0x0F, 0x07, 0xFF] {
        closes(&scene, &live, &changed(&right, |data| data[0] = codec));
    }
    until(&scene, &live, &ends("codec"), 6);
    let none = changed(&right, |data| *data = vec![8, 0, 0]);
    let left_over = changed(&right, |data| data.insert(2, 0));
    let cut_short = changed(&right, |data| {
        data.truncate(60);
        data.push(2);
    });
    let length = |length: u32| [&[0; 4][..], &length.to_be_bytes(), &[8; 16]].concat();
    let malformed = [
        none,
        left_over,
        cut_short,
        length(0),
        length(2),
        length(9_217),
        length(u32::MAX),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0, 0, 0, 1],
        hello(DEVICE),
    ];
    for bytes in &malformed {
        closes(&scene, &live, bytes);
    }
    until(&scene, &live, &ends("malformed"), malformed.len() as u64);
    let log = live.log();
    assert!(log.contains("the codec 0x0c is unknown") && log.contains(DEVICE), "{log}");
}

#[test]
fn who_says_no_imei_is_closed_without_an_answer() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let named = |name: &[u8]| {
        let length = u16::try_from(name.len()).unwrap();
        [&length.to_be_bytes()[..], name].concat()
    };
    for bytes in [
        named(b"35630704244101"),
        named(b"35630704244101345"),
        named(b"35630704244101a"),
        named(b" 3563070424410"),
        named(b""),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xFF; 64],
    ] {
        let mut tracker = Tracker::raw(live.devices);
        tracker.send(&bytes);
        tracker.is_closed();
    }
    until(&scene, &live, &ends("malformed"), 7);
    let mut sixteen = Tracker::connect(live.devices, "3563070424410131");
    sixteen.send(&two(&scene));
    assert_eq!(sixteen.answer(), 2);
}

#[test]
fn how_the_bytes_are_cut_makes_no_difference() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let (two, three) = (two(&scene), three(&scene));
    // Byte by byte, with pings between the packets.
    let mut slow = Tracker::raw(live.devices);
    for byte in hello(DEVICE) {
        slow.send(&[byte]);
    }
    assert_eq!(slow.byte().unwrap(), 1);
    for byte in [&two[..], &[0xFF, 0xFF], &three].concat() {
        slow.send(&[byte]);
    }
    assert_eq!([slow.answer(), slow.answer()], [2, 3]);
    // All in one, and without waiting for any answer.
    let mut hasty = Tracker::raw(live.devices);
    hasty.send(&[&hello(DEVICE_SHARED)[..], &two, &three, &two].concat());
    assert_eq!(hasty.byte().unwrap(), 1);
    assert_eq!([hasty.answer(), hasty.answer(), hasty.answer()], [2, 3, 2]);
    assert_eq!(entries(&scene), 12);
}

#[test]
fn garbage_behind_a_good_packet_takes_nothing_back() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    tracker.send(&[&two(&scene)[..], b"garbage!"].concat());
    assert_eq!(tracker.answer(), 2);
    tracker.is_closed();
    assert_eq!(entries(&scene), 2);
}

#[test]
fn the_largest_packet_is_taken() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    let first_ms = scene.now_ms() - 400_000;
    let large = packet(Codec::Codec8, first_ms, 209);
    assert!(large.len() > 9_000 && large.len() <= 9 * 1024 + 12, "{} bytes", large.len());
    tracker.send(&large);
    assert_eq!(tracker.answer(), 209);
    assert_eq!(entries(&scene), 209);
}

#[test]
fn who_is_silent_is_cut_and_who_is_not_is_kept() {
    let scene = Scene::new();
    let mut config = rig::config(&scene);
    config.ingest.handshake_timeout_ms = 2_000;
    config.ingest.idle_timeout_ms = 3_000;
    let live = scene.start_with(config);
    let mut nameless = Tracker::raw(live.devices);
    nameless.send(&[0, 15, b'3']);
    let mut silent = Tracker::connect(live.devices, DEVICE);
    let mut half_open = Tracker::connect(live.devices, DEVICE_SHARED);
    half_open.send(&two(&scene)[..20]);
    nameless.is_closed();
    silent.is_closed();
    half_open.is_closed();
    until(&scene, &live, &ends("nameless"), 1);
    until(&scene, &live, &ends("idle"), 2);
    until(&scene, &live, "pitwall_ingest_connections", 0);
    assert_eq!(count(&scene, &live, &ends("left")), 0);
}
