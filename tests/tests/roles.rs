//! A process does what its roles say, and nothing else.

use std::time::{Duration, Instant};

use pitwall::config::{Config, Roles};
use pitwall::error::Stop;
use tests::client::Client;
use tests::live::Live;
use tests::scene::Scene;

const LEASE: &str = "pitwall:instance:processor-1";

/// The settings of one that stores positions and serves nobody.
fn durable(scene: &Scene) -> Config {
    Config { roles: Roles::DURABLE, ..scene.config() }
}

fn has_lease(scene: &Scene) -> bool {
    scene.redis_says(&["EXISTS", LEASE]) == "1"
}

#[test]
fn who_only_stores_has_no_viewers_and_reads_nothing_for_them() {
    let scene = Scene::new();
    let live = scene.start_with(durable(&scene));
    scene.until("its name is leased", || has_lease(&scene));
    assert_eq!(live.address.port(), 0, "nobody listens");
    for (path, expected) in [("/healthz", "200"), ("/metrics", "200"), ("/readyz", "200")] {
        let page = scene.page(&live, path);
        assert!(page.starts_with(&format!("HTTP/1.1 {expected}")), "{path}: {page}");
        assert!(!page.contains("processor_live_") && !page.contains("directus"), "{path}: {page}");
    }
    scene.until("the lease is told of", || {
        scene.page(&live, "/readyz").contains("No other process has the name of this one.")
    });
    let groups = scene.redis_says(&["XINFO", "GROUPS", tests::entries::STREAM]);
    assert!(!groups.contains("live-broadcast"), "{groups}");
    let began = Instant::now();
    live.end().unwrap();
    assert!(began.elapsed() < Duration::from_secs(25));
    assert!(!has_lease(&scene), "the name is free for the next one");
}

#[test]
fn f23_two_that_only_store_do_not_share_a_name() {
    let scene = Scene::new();
    let _first = scene.start_with(durable(&scene));
    scene.until("its name is leased", || has_lease(&scene));
    let mut second = Live::start(durable(&scene));
    let stop = second.wait().unwrap_err();
    assert!(matches!(&stop, Stop::Config(words) if words.contains("INSTANCE_ID")), "{stop}");
    assert!(has_lease(&scene), "it is not the second one's to give back");
}

#[test]
fn f1_who_only_stores_tells_that_its_lease_cannot_be_had() {
    let mut scene = Scene::new();
    let config = durable(&scene);
    scene.redis.kill();
    let live = Live::start(config);
    scene.until("the lease is told of", || {
        scene.page(&live, "/readyz").contains("The lease on this instance's name cannot be had.")
    });
    scene.restart_redis(&[]);
    scene.until("the name is leased", || has_lease(&scene));
    live.end().unwrap();
    assert!(!has_lease(&scene));
}

#[test]
fn who_has_both_roles_serves_viewers_and_leaves_nothing_of_its_name_behind() {
    let scene = Scene::new();
    let live = scene.start_with(Config { roles: Roles::default(), ..scene.config() });
    let mut viewer = scene.watching(&live);
    assert!(Client::connect(live.address, &[("Cookie", &Scene::cookie(2))]).is_ok());
    live.begin_end();
    assert_eq!(viewer.closed().0, 1012);
    live.end().unwrap();
    let groups = scene.redis_says(&["XINFO", "GROUPS", tests::entries::STREAM]);
    assert!(!groups.contains("live-broadcast"), "{groups}");
    assert!(!has_lease(&scene));
}
