//! From the bytes of a device to the entry, the row and the viewer.

use engine::position::Codec;
use pitwall::config::{Config, Roles};
use tests::entries::{STREAM, iso};
use tests::platform::imei;
use tests::scene::{DEVICE, Scene};
use tests::tracker::Tracker;

use crate::rig::{self, count, entries, packets};

const ALL: [(Codec, &str); 3] =
    [(Codec::Codec8, "8"), (Codec::Codec8Extended, "8E"), (Codec::Codec16, "16")];

/// What the table has of a device, a line for each row.
fn rows(scene: &Scene, imei: &str) -> Vec<String> {
    let mut rows = Vec::new();
    scene.sql(async |client| {
        let statement = "SELECT concat_ws(' ', (extract(epoch FROM ts) * 1000)::bigint, latitude,
                longitude, altitude, angle, speed, satellites, priority, codec, attributes)
            FROM positions WHERE device_id = $1 ORDER BY ts";
        let found = client.query(statement, &[&imei]).await.unwrap();
        rows = found.iter().map(|row| row.get(0)).collect();
    });
    rows
}

/// The attributes of a row, as the codec can say them.
fn attributes(codec: Codec) -> &'static str {
    match codec {
        Codec::Codec8 => r#"{"16": "18446744073709551615", "66": 12840, "239": 1}"#,
        Codec::Codec8Extended => {
            r#"{"16": "18446744073709551615", "66": 12840, "239": 1, "385": "q83v"}"#
        }
        Codec::Codec16 => {
            r#"{"16": "18446744073709551615", "66": 12840, "239": 1, "__generation_type": 5}"#
        }
    }
}

#[test]
fn a_packet_of_each_codec_reaches_the_table_and_a_viewer() {
    let scene = Scene::new();
    let roles = Roles { live: true, durable: true, ingest: true };
    let live = scene.start_with(Config { roles, ..scene.config() });
    let mut viewer = scene.watching(&live);
    for (number, (codec, name)) in (1..).zip(ALL) {
        let device = imei(number);
        let mut tracker = Tracker::connect(live.devices, &device);
        let first_ms = scene.now_ms() - 10_000;
        assert_eq!(tracker.report(codec, first_ms, 2), 2, "{name}");
        for second in 0..2 {
            let message = viewer.message();
            assert_eq!(message["type"], "position", "{message}");
            assert_eq!(message["deviceId"], *device, "{message}");
            assert_eq!(message["ts"], first_ms + second * 1_000, "{message}");
            assert_eq!((&message["lat"], &message["lon"]), (&41.3275.into(), &19.8187.into()));
            assert_eq!((&message["speed"], &message["course"]), (&63.into(), &214.into()));
        }
        let row = |second: i64| {
            let (ts_ms, attributes) = (first_ms + second * 1_000, attributes(codec));
            format!("{ts_ms} 41.3275 19.8187 120 214 63 11 1 {name} {attributes}")
        };
        scene.until("the rows are stored", || rows(&scene, &device).len() == 2);
        assert_eq!(rows(&scene, &device), [row(0), row(1)]);
    }
    assert_eq!(count(&scene, &live, &packets("answered")), 3);
    assert_eq!(count(&scene, &live, "pitwall_ingest_records_total"), 6);
    assert_eq!(count(&scene, &live, "pitwall_ingest_entries_total"), 6);
}

#[test]
fn an_entry_is_what_the_platform_writes() {
    let scene = Scene::new();
    let live = rig::start(&scene);
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    let now_ms = scene.now_ms();
    assert_eq!(tracker.report(Codec::Codec8Extended, now_ms, 1), 1);
    let said = scene.redis_says(&["XRANGE", STREAM, "-", "+"]);
    let time = iso(now_ms);
    let payload = format!(
        "{{\"device_id\":\"{DEVICE}\",\"timestamp\":\"{time}\",\"latitude\":41.3275,\
         \"longitude\":19.8187,\"altitude\":120,\"angle\":214,\"speed\":63,\"satellites\":11,\
         \"priority\":1,\"attributes\":{{\"16\":{{\"__bigint\":\"18446744073709551615\"}},\
         \"66\":12840,\"239\":1,\"385\":{{\"__buffer_b64\":\"q83v\"}}}}}}"
    );
    let expected = ["ts", &time, "device_id", DEVICE, "codec", "8E", "payload", &payload];
    assert_eq!(said.lines().skip(1).collect::<Vec<_>>(), expected);
}

#[test]
fn a_record_that_comes_twice_is_stored_once() {
    let scene = Scene::new();
    let roles = Roles { ingest: true, ..Roles::DURABLE };
    let live = scene.start_with(Config { roles, ..scene.config() });
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    let now_ms = scene.now_ms() - 60_000;
    for records in [20, 30] {
        assert_eq!(tracker.report(Codec::Codec8, now_ms, records), u32::from(records));
    }
    assert_eq!(entries(&scene), 50);
    scene.until("all is stored", || rows(&scene, DEVICE).len() == 30);
}

#[test]
fn the_stream_keeps_about_as_many_entries_as_it_may() {
    let scene = Scene::new();
    let mut config = rig::config(&scene);
    config.ingest.stream_length_max = 1_000;
    let live = scene.start_with(config);
    let mut tracker = Tracker::connect(live.devices, DEVICE);
    let now_ms = scene.now_ms() - 3_600_000;
    for packet in 0..20 {
        assert_eq!(tracker.report(Codec::Codec8, now_ms + packet * 100_000, 100), 100);
    }
    // Redis trims whole nodes, of a hundred entries each by default.
    let kept = entries(&scene);
    assert!((1_000..=1_200).contains(&kept), "{kept} entries");
}
