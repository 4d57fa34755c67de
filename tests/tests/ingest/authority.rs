//! Strict mode: the platform's table says who may send.

use engine::position::Codec;
use pitwall::config::{Config, DeviceAuthority};
use tests::live::Live;
use tests::platform::{self, imei, uuid};
use tests::scene::{DEVICE, Scene};
use tests::tracker::{Tracker, hello};

use crate::rig::{self, count, ends, is, report, until};

const STRANGER: &str = "999999999999999";

fn strict(scene: &Scene) -> Config {
    let mut config = rig::config(scene);
    config.ingest.authority = DeviceAuthority::Strict;
    config.ingest.authority_refresh_ms = 200;
    config
}

/// What a device is answered that says this IMEI.
fn answer(live: &Live, imei: &str) -> u8 {
    let mut tracker = Tracker::raw(live.devices);
    tracker.send(&hello(imei));
    tracker.byte().unwrap()
}

#[test]
fn a_stranger_is_refused_until_the_table_names_it_and_cut_when_it_does_not_any_more() {
    let scene = Scene::new();
    let live = scene.start_with(strict(&scene));
    assert_eq!(answer(&live, DEVICE), 1);
    let mut stranger = Tracker::raw(live.devices);
    stranger.send(&hello(STRANGER));
    assert_eq!(stranger.byte().unwrap(), 0);
    stranger.is_closed();
    until(&scene, &live, &ends("refused"), 1);
    scene.sql(async |client| platform::add_device(client, &uuid(77_777), STRANGER).await);
    scene.until("it is accepted", || answer(&live, STRANGER) == 1);
    let mut known = Tracker::connect(live.devices, STRANGER);
    assert_eq!(known.report(Codec::Codec8, scene.now_ms(), 1), 1);
    scene.sql(async |client| {
        client.execute("DELETE FROM devices WHERE imei = $1", &[&STRANGER]).await.unwrap();
    });
    scene.until("it is refused", || answer(&live, STRANGER) == 0);
    known.send(&tests::tracker::packet(Codec::Codec8, scene.now_ms(), 1));
    known.is_closed();
    assert_eq!(answer(&live, DEVICE), 1);
}

#[test]
fn nobody_is_accepted_or_refused_before_the_table_was_read() {
    let mut scene = Scene::new();
    scene.stop_postgres();
    let mut config = strict(&scene);
    config.ingest.handshake_timeout_ms = 1_500;
    let live = Live::start(config);
    let mut tracker = Tracker::raw(live.devices);
    tracker.send(&hello(DEVICE));
    tracker.is_closed();
    until(&scene, &live, &ends("undecided"), 1);
    assert_eq!(count(&scene, &live, &ends("refused")), 0);
    scene.until("it is told", || is(&live, "authority", "failed", "could not be read yet"));
    let effect = report(&live, "authority")["effect"].as_str().unwrap().to_owned();
    assert!(effect.contains("No device is accepted or refused"), "{effect}");
    assert!(scene.page(&live, "/readyz?role=ingest").starts_with("HTTP/1.1 503"));
    scene.start_postgres();
    scene.until("the table is read", || is(&live, "authority", "working", "3 devices may send."));
    assert_eq!(answer(&live, DEVICE), 1);
    // What was read is kept while the database is away.
    scene.stop_postgres();
    scene.until("it is told", || is(&live, "authority", "impaired", "could not be read lately"));
    assert_eq!((answer(&live, DEVICE), answer(&live, STRANGER)), (1, 0));
    assert!(scene.page(&live, "/readyz?role=ingest").starts_with("HTTP/1.1 200"));
}

#[test]
fn who_waits_for_the_table_is_answered_when_it_is_read() {
    let mut scene = Scene::new();
    scene.stop_postgres();
    let live = Live::start(strict(&scene));
    scene.until("it is told", || is(&live, "authority", "failed", "could not be read yet"));
    scene.start_postgres();
    scene.until("a device is accepted", || {
        let mut tracker = Tracker::raw(live.devices);
        tracker.send(&hello(&imei(3)));
        tracker.byte().is_ok_and(|byte| byte == 1)
    });
}
