//! Many devices at once, and more than there are places for.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown};

use engine::position::Codec;
use tests::child::Pitwall;
use tests::scene::{Scene, connect_from, metric};
use tests::tracker::{Tracker, hello, packet};

use crate::rig::{self, count, entries, until};

/// Devices that come back at the same time.
const CROWD: usize = 1_500;

fn imei(device: usize) -> String {
    format!("35{device:013}")
}

#[test]
fn a_crowd_that_comes_back_at_once_is_answered_all_of_it_and_again() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let now_ms = scene.now_ms() - 60_000;
    let bytes = packet(Codec::Codec8, now_ms, 3);
    for round in 1..=2_usize {
        // All of them connect and have said everything before anybody is waited for.
        let mut crowd: Vec<_> = (0..CROWD)
            .map(|device| {
                let mut stream = connect_from(Ipv4Addr::LOCALHOST, live.devices);
                stream.write_all(&[&hello(&imei(device))[..], &bytes].concat()).unwrap();
                stream
            })
            .collect();
        for stream in &mut crowd {
            let mut answers = [0; 5];
            stream.read_exact(&mut answers).unwrap();
            assert_eq!(answers, [1, 0, 0, 0, 3]);
        }
        assert_eq!(entries(&scene), round * CROWD * 3);
        assert_eq!(count(&scene, &live, "pitwall_ingest_connections"), CROWD as u64);
        for stream in &crowd {
            stream.shutdown(Shutdown::Both).unwrap();
        }
        until(&scene, &live, "pitwall_ingest_connections", 0);
    }
    assert_eq!(count(&scene, &live, &rig::packets("queue_full")), 0);
}

#[test]
fn beyond_the_places_nobody_is_let_in_and_one_address_does_not_take_all() {
    let scene = Scene::new();
    let mut config = rig::config(&scene);
    config.ingest.devices_max = 5;
    config.ingest.devices_per_address_max = 3;
    let live = scene.start_with(config);
    let from = |host: u8| {
        let source = Ipv4Addr::new(127, 0, 0, host);
        let mut tracker = Tracker::over(connect_from(source, live.devices));
        tracker.send(&hello(&imei(host.into())));
        tracker
    };
    let mut first: Vec<Tracker> = (0..3).map(|_| from(2)).collect();
    assert!(first.iter_mut().all(|tracker| tracker.byte().unwrap() == 1));
    from(2).is_closed();
    let mut others = [from(3), from(4)];
    assert!(others.iter_mut().all(|tracker| tracker.byte().unwrap() == 1));
    from(5).is_closed();
    until(&scene, &live, "pitwall_ingest_shed_total", 2);
    drop(first);
    until(&scene, &live, "pitwall_ingest_connections", 2);
    assert_eq!(from(5).byte().unwrap(), 1, "a place that is free again is given again");
}

#[test]
fn without_descriptors_devices_wait_and_those_who_are_connected_are_not_touched() {
    let scene = Scene::new();
    let process = Pitwall::start_with_files(&scene, &[("ROLES", "ingest")], 120);
    let now_ms = scene.now_ms() - 60_000;
    let mut first = Tracker::connect(process.devices, &imei(1));
    // The kernel completes connections that nobody accepts.
    let crowd: Vec<Tracker> = (0..160).map(|_| Tracker::raw(process.devices)).collect();
    scene.until("the system refuses", || {
        process.log().contains("The system refuses new connections")
    });
    assert_eq!(first.report(Codec::Codec8, now_ms, 2), 2);
    drop(crowd);
    scene.until("devices are let in again", || {
        metric(process.admin, "pitwall_ingest_connections") == Some(1.0)
    });
    let mut late = Tracker::connect(process.devices, &imei(2));
    assert_eq!(late.report(Codec::Codec8, now_ms, 1), 1);
}
