//! The load generator's viewers: how many one process holds, and whether it keeps up with them.

use std::time::Duration;

use loadgen::publisher::{Publisher, PublisherConfig};
use loadgen::race::{Irregular, RaceConfig, imei_of_device};
use loadgen::schedule::{Dates, Pace};
use loadgen::viewers::{Crowd, CrowdConfig, Kind};

use super::child::Used;
use super::say;
use crate::platform;
use crate::scene::{EVENT, Scene};

/// Over which the crowd comes.
const RAMP: Duration = Duration::from_secs(20);

/// How long all of it may take to be there.
const PATIENCE: Duration = Duration::from_secs(120);

/// Viewers of one user, at most what pitwall allows: the scene has a thousand users.
const VIEWERS_PER_USER: u32 = 20;

/// Opens a crowd, lets so many devices report once a second, and prints what it took.
///
/// # Panics
/// When something fails.
pub fn run(viewer_count: u32, device_count: u32, seconds: u32) {
    let scene = Scene::new();
    scene.sql(async |client| {
        for device in 0..device_count {
            let key = platform::uuid(20_000 + u64::from(device));
            platform::add_device(client, &key, imei_of_device(device).as_str()).await;
            platform::register(client, EVENT, &key).await;
        }
    });
    let served = scene.serve();
    let own_before = Used::of(std::process::id());
    let config = CrowdConfig {
        cookie: Some("directus_session_token=eyJ.{user}; theme=dark".to_owned()),
        viewers_per_user: VIEWERS_PER_USER,
        ..CrowdConfig::new(served.live, &[EVENT.to_owned()])
    };
    let crowd = Crowd::start(config, viewer_count).expect("as many files as that");
    crowd.add(viewer_count, Kind::Brisk, RAMP);
    scene.until_within(PATIENCE, "everybody is let in", || {
        let seen = crowd.snapshot();
        seen.watching == viewer_count || seen.gone() > 0
    });
    let seen = crowd.snapshot();
    assert_eq!(seen.watching, viewer_count, "{seen:?}");
    let own = Used::of(std::process::id());
    let each =
        own.resident_bytes.saturating_sub(own_before.resident_bytes) / u64::from(viewer_count);
    say(&format!("{viewer_count} viewers watch {device_count} devices; each costs {each} B here"));
    say(&format!("from connect to snapshot: {}", seen.joined));
    let race = RaceConfig {
        devices: device_count,
        seconds,
        irregular: Irregular::NONE,
        ..RaceConfig::default()
    };
    let config = PublisherConfig {
        race,
        pace: Pace::REAL,
        dates: Dates::Due,
        ..PublisherConfig::new(&scene.redis.url())
    };
    let own = Used::of(std::process::id());
    let (before, server_before) = (crowd.snapshot(), served.used());
    let publisher = Publisher::start(&config).expect("Redis is there");
    scene.until_within(PATIENCE, "the race is over", || publisher.is_finished());
    let published = publisher.stop();
    let server = served.used();
    let seen = crowd.stop().expect("the crowd has not failed");
    let texts = seen.texts - before.texts;
    say(&format!("{} entries in {seconds} s: {texts} frames received", published.entries));
    say(&format!("freshness: {}", seen.freshness));
    say(&format!("{} viewers checked: {} positions", seen.checked, seen.positions));
    say(&format!("order violations {}, unreadable {}", seen.order_violations, seen.unreadable));
    say(&format!("reader: {:?}, turns: {}", seen.busy, seen.turns));
    let cpu = (server.cpu - server_before.cpu).as_secs_f64() / f64::from(seconds);
    let own = (Used::of(std::process::id()).cpu - own.cpu).as_nanos() / u128::from(texts.max(1));
    say(&format!("CPU for each frame: {own} ns here, with what publishes"));
    say(&format!("CPU of pitwall: {:.0} % of a core", cpu * 100.0));
    say(&format!("sent away: {:?} {:?}", seen.closes, seen.refusals));
}
