//! The load generator against real servers: what it sends arrives, and what it says of that is true.
#![expect(clippy::unwrap_used, reason = "a failed case is reported by its panic")]

#[path = "loadgen/listener.rs"]
mod listener;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use loadgen::firehose::{Firehose, FirehoseConfig};
use loadgen::publisher::{Publisher, PublisherConfig};
use loadgen::race::{Irregular, Race, RaceConfig, imei_of_device};
use loadgen::schedule::{Dates, Pace};
use loadgen::viewers::{Crowd, CrowdConfig, Kind, Snapshot};
use loadgen::wire::EntryWriter;
use tests::live::Live;
use tests::platform;
use tests::program::comes_true;
use tests::redis::Redis;
use tests::scene::{EVENT, Scene, metric_sum};

use listener::{Listener, Odd};

/// How long anything may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that is awaited.
const LOOK: Duration = Duration::from_millis(10);

const DEVICES: u32 = 20;

fn race(seconds: u32, irregular: Irregular) -> RaceConfig {
    RaceConfig {
        devices: DEVICES,
        seconds,
        wave_devices: 5,
        wave_interval_s: 5,
        irregular,
        ..RaceConfig::default()
    }
}

#[test]
fn a_race_arrives_in_redis_whole_and_in_order() {
    let redis = Redis::start();
    let race = race(300, Irregular::default());
    let config = PublisherConfig {
        seed: 7,
        race,
        pace: Pace::times(300.0),
        dates: Dates::Race,
        ..PublisherConfig::new(&redis.url())
    };
    let publisher = Publisher::start(&config).unwrap();
    assert!(comes_true(PATIENCE, LOOK, || publisher.is_finished()));
    let published = publisher.stop();
    let mut connection = redis.connect();
    type Entry = (String, Vec<(String, String)>);
    let command = redis::cmd("XRANGE").arg(&["telemetry:teltonika", "-", "+"]).to_owned();
    let entries: Vec<Entry> = command.query(&mut connection).unwrap();
    let mut writer = EntryWriter::new();
    let expected: Vec<Vec<(String, String)>> = Race::new(7, &race)
        .map(|arrival| {
            let entry = writer.entry(&arrival);
            let fields = [
                ("ts", entry.ts),
                ("device_id", entry.device_id),
                ("codec", entry.codec),
                ("payload", entry.payload),
            ];
            fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
        })
        .collect();
    assert_eq!(published.entries, expected.len() as u64);
    assert!(published.is_over && published.failures == 0, "{published:?}");
    assert_eq!(published.lateness.count, published.entries);
    assert!(entries.into_iter().map(|(_, fields)| fields).eq(expected), "every record, in order");
}

/// A scene in whose event the devices of a race drive, and a program that serves it.
fn scene_of_race() -> (Scene, Live) {
    let scene = Scene::new();
    scene.sql(async |client| {
        for device in 0..DEVICES {
            let key = platform::uuid(20_000 + u64::from(device));
            platform::add_device(client, &key, imei_of_device(device).as_str()).await;
            platform::register(client, EVENT, &key).await;
        }
    });
    let live = scene.start();
    let name = "processor_live_roster_devices";
    scene.wait_for_metric(live.admin, name, u64::from(DEVICES));
    (scene, live)
}

fn crowd(live: &Live) -> Crowd {
    let cookie = Some("directus_session_token=eyJ.{user}; theme=dark".to_owned());
    let config = CrowdConfig { cookie, ..CrowdConfig::new(live.address, &[EVENT.to_owned()]) };
    Crowd::start(config, 100).unwrap()
}

fn until(crowd: &Crowd, what: &str, is_true: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let came = comes_true(PATIENCE, LOOK, || is_true(&crowd.snapshot()));
    let seen = crowd.snapshot();
    assert!(came, "it did not come true in time that {what}: {seen:?}");
    seen
}

#[test]
fn a_crowd_sees_a_race_in_order_and_says_how_fresh_it_is() {
    let (scene, live) = scene_of_race();
    let crowd = crowd(&live);
    crowd.add(40, Kind::Brisk, Duration::from_millis(100));
    crowd.add(2, Kind::Slow { bytes_per_second: 4_000 }, Duration::ZERO);
    crowd.add(2, Kind::Stalled, Duration::ZERO);
    let seen = until(&crowd, "all are in", |seen| seen.watching == 44);
    assert_eq!((seen.slow, seen.stalled, seen.gone()), (2, 2, 0));
    let config = PublisherConfig {
        race: race(60, Irregular::NONE),
        pace: Pace::times(20.0),
        ..PublisherConfig::new(&scene.redis.url())
    };
    let publisher = Publisher::start(&config).unwrap();
    assert!(comes_true(PATIENCE, LOOK, || publisher.is_finished()));
    let accepted = "processor_live_positions_total{verdict=\"accepted\"}";
    scene.wait_for_metric(live.admin, accepted, u64::from(DEVICES) * 60);
    let frames = u64::from(DEVICES) * 40;
    let seen = until(&crowd, "everybody sees it", |seen| {
        seen.positions > frames && seen.slow_freshness.count > 0 && seen.freshness.count > frames
    });
    assert_eq!((seen.order_violations, seen.unreadable), (0, 0), "{seen:?}");
    assert!(seen.freshness.p50_us > 0 && seen.bytes > 100 * frames, "{seen:?}");
    crowd.remove(40, Kind::Brisk);
    crowd.remove(2, Kind::Stalled);
    until(&crowd, "who was to go is gone", |seen| seen.watching == 2 && seen.gone() == 0);
    scene.until("the program has let them go", || {
        metric_sum(live.admin, "processor_live_viewers").is_some_and(|count| count <= 2.0)
    });
}

#[test]
fn who_is_sent_away_is_counted_by_close_code() {
    let (_scene, live) = scene_of_race();
    let config = CrowdConfig::new(live.address, &[EVENT.to_owned()]);
    let crowd = Crowd::start(config, 10).unwrap();
    crowd.add(3, Kind::Brisk, Duration::ZERO);
    let seen = until(&crowd, "nobody is let in without a cookie", |seen| seen.gone() == 3);
    assert_eq!(seen.closes.get(&4401), Some(&3), "{seen:?}");
}

#[test]
fn devices_keep_and_send_again_what_was_not_answered() {
    let refused = imei_of_device(1_003);
    let listener = Listener::start(Odd { refused, miscounted: imei_of_device(1_005) });
    let config = FirehoseConfig {
        race: RaceConfig { first_device: 1_000, ..race(120, Irregular::NONE) },
        pace: Pace::times(60.0),
        dates: Dates::Race,
        kept_packets_max: 1_000,
        drain: Duration::from_secs(2),
        ..FirehoseConfig::new(listener.address)
    };
    let expected: BTreeSet<(String, u64)> = Race::new(config.seed, &config.race)
        .map(|it| (imei_of_device(it.device).as_str().to_owned(), it.fix.timestamp_ms))
        .filter(|(imei, _)| imei != refused.as_str())
        .collect();
    let firehose = Firehose::start(config).unwrap();
    let began = Instant::now();
    assert!(comes_true(PATIENCE, LOOK, || {
        firehose.is_finished() || firehose.counts().answered >= expected.len() as u64
    }));
    assert!(comes_true(PATIENCE, LOOK, || firehose.is_finished()), "{:?}", began.elapsed());
    let counts = firehose.stop().unwrap();
    assert_eq!(counts.due, u64::from(DEVICES) * 120);
    assert_eq!(counts.answered, expected.len() as u64, "{counts:?}");
    assert_eq!((counts.kept, counts.forgotten, counts.misanswered), (120, 0, 1), "{counts:?}");
    assert!(counts.refused > 1 && counts.resent >= u64::from(DEVICES) - 1, "{counts:?}");
    assert_eq!(listener.heard(), expected, "every record of who was answered, and no other");
}
