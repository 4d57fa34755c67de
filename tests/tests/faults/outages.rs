//! Redis, PostgreSQL or both go away: what viewers see of it, and what operators read.

use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;
use tests::client::{Client, page};
use tests::entries::{Fix, Publisher, STREAM, iso};
use tests::live::Live;
use tests::platform::imei;
use tests::proxy::Proxy;
use tests::scene::{DEVICE, EVENT, Scene};

/// Publishes a second of film of one device and expects every picture of it.
fn sees_on(scene: &mut Scene, viewer: &mut Client) {
    for _ in 0..20 {
        let fix = scene.publish_next();
        assert_eq!(viewer.message()["ts"], fix.ts_ms);
    }
}

/// Tells Redis something that it must do.
fn obeys(scene: &Scene, words: &[&str]) {
    let answer = scene.redis_says(words);
    assert!(!answer.starts_with('-'), "{words:?}: {answer}");
}

/// What `/readyz` says: its status, and the report of a component.
fn report(live: &Live, name: &str) -> (bool, Value) {
    let page = page(live.admin, "/readyz");
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let components = body["components"].as_array().unwrap();
    let of_name = components.iter().find(|component| component["name"] == name);
    (head.starts_with("HTTP/1.1 200"), of_name.cloned().unwrap_or_default())
}

fn is_in_state(live: &Live, name: &str, state: &str) -> bool {
    report(live, name).1["state"] == state
}

#[test]
fn f1_a_viewer_sees_on_after_redis_was_killed_and_restarted_with_its_file() {
    const KEEPING: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut scene = Scene::new();
    obeys(&scene, &["CONFIG", "SET", "appendfsync", "always"]);
    obeys(&scene, &["CONFIG", "SET", "appendonly", "yes"]);
    scene.until("what Redis holds is in its file", || {
        let says = scene.redis_says(&["INFO", "persistence"]);
        says.contains("aof_enabled:1") && says.contains("aof_rewrite_in_progress:0")
    });
    let live = scene.start();
    let mut viewer = scene.watching(&live);
    sees_on(&mut scene, &mut viewer);
    for _ in 0..3 {
        scene.restart_redis(&KEEPING);
        sees_on(&mut scene, &mut viewer);
    }
    scene.until("Redis is well again", || is_in_state(&live, "redis", "working"));
}

#[test]
fn f3_a_viewer_misses_nothing_that_is_added_after_a_flush() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.watching(&live);
    sees_on(&mut scene, &mut viewer);
    obeys(&scene, &["FLUSHALL"]);
    let began_ms = scene.now_ms();
    let fixes: Vec<Fix> = (0..100).map(|at| Fix::new(DEVICE, began_ms + at)).collect();
    scene.publish_all(&fixes);
    for fix in &fixes {
        assert_eq!(viewer.message()["ts"], fix.ts_ms);
    }
    scene.until("Redis is well again", || is_in_state(&live, "redis", "working"));
}

#[test]
fn f6_while_redis_cannot_save_the_map_keeps_moving() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.watching(&live);
    // A folder where the dump should be: saving fails as it does on a full disk.
    std::fs::create_dir(scene.redis.directory().path().join("dump.rdb")).unwrap();
    obeys(&scene, &["CONFIG", "SET", "save", "3600 1"]);
    obeys(&scene, &["BGSAVE"]);
    scene.until("the group is refused", || is_in_state(&live, "redis", "impaired"));
    let (is_ready, words) = report(&live, "redis");
    assert!(is_ready && words["reason"].as_str().unwrap().contains("MISCONF"), "{words}");
    assert!(words["effect"].as_str().unwrap().starts_with("Every position is shown"), "{words}");
    for _ in 0..10 {
        obeys(&scene, &["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]);
        let fix = scene.publish_next();
        obeys(&scene, &["CONFIG", "SET", "stop-writes-on-bgsave-error", "yes"]);
        assert_eq!(viewer.message()["ts"], fix.ts_ms);
    }
    obeys(&scene, &["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]);
    scene.until("the group is read again", || is_in_state(&live, "redis", "working"));
    sees_on(&mut scene, &mut viewer);
    // A server that is told to save does not end before it has.
    obeys(&scene, &["CONFIG", "SET", "save", ""]);
}

#[test]
fn f18_after_paused_writes_a_viewer_sees_what_waited_and_what_follows() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.watching(&live);
    obeys(&scene, &["CLIENT", "PAUSE", "60000", "WRITE"]);
    scene.until("live reads without its group", || is_in_state(&live, "redis", "impaired"));
    assert!(report(&live, "redis").0, "viewers may be sent here meanwhile");
    obeys(&scene, &["CLIENT", "UNPAUSE"]);
    sees_on(&mut scene, &mut viewer);
    scene.until("the group is read again", || is_in_state(&live, "redis", "working"));
}

#[test]
fn f73_f28_after_an_outage_of_redis_viewers_get_the_newest_and_no_old_film() {
    let mut scene = Scene::new();
    let proxy = Proxy::to(scene.redis.port());
    let mut config = scene.config();
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    config.redis_url = pitwall::secret::Secret::new(url);
    let live = scene.start_with(config);
    let mut viewer = scene.watching(&live);
    proxy.hold();
    // Ten minutes of three devices, as the stream holds them when the way to it is back.
    let began_ms = scene.now_ms() - 600_000;
    let mut publisher = Publisher::connect(scene.redis.port());
    let rounds = 600;
    for at in 0..rounds * 3 {
        let fix = Fix::new(&imei(at % 3 + 1), began_ms + i64::try_from(at / 3).unwrap() * 900);
        let (id, time) = (format!("{}-{at}", fix.ts_ms), iso(fix.ts_ms));
        let fields = ["ts", &time, "device_id", &fix.imei, "codec", "8", "payload"];
        let mut words = vec!["XADD", STREAM, &id];
        words.extend(fields);
        let payload = fix.payload();
        words.push(&payload);
        assert_eq!(publisher.command(&words), id);
    }
    proxy.cut();
    proxy.release();
    let newest_ms = began_ms + (i64::try_from(rounds).unwrap() - 1) * 900;
    let (mut shown, mut newest) = (0, 0);
    while newest < 3 {
        let message = viewer.message();
        shown += 1;
        newest += u32::from(message["ts"] == newest_ms);
    }
    assert!(shown < rounds / 2, "{shown} of {} shown", rounds * 3);
    assert!(scene.metric(&live, "processor_live_skipped_total").unwrap() > 0.0);
    sees_on(&mut scene, &mut viewer);
}

#[test]
fn f17_f28_redis_frozen_under_load_costs_the_time_it_was_frozen_and_nothing_else() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.watching(&live);
    let began_ms = scene.now_ms();
    let last = AtomicI64::new(i64::MAX);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut publisher = Publisher::connect(scene.redis.port());
            let mut at = 0;
            while at <= last.load(Ordering::SeqCst) {
                let fixes: Vec<Fix> =
                    (1..=3).map(|device| Fix::new(&imei(device), began_ms + at)).collect();
                publisher.publish_all(&fixes);
                at += 1;
            }
        });
        let is_beyond = |message: &Value, at: i64| message["ts"].as_i64().unwrap() >= began_ms + at;
        while !is_beyond(&viewer.message(), 100) {}
        scene.redis.program().signal("STOP").unwrap();
        scene.until("the silence is noticed", || is_in_state(&live, "redis", "failed"));
        assert!(!report(&live, "redis").0, "not ready: no new position would be shown");
        scene.redis.program().signal("CONT").unwrap();
        scene.until("Redis is well again", || {
            // Else nobody reads meanwhile.
            viewer.message();
            is_in_state(&live, "redis", "working")
        });
        let now = viewer.message()["ts"].as_i64().unwrap() - began_ms;
        last.store(now + 2_000, Ordering::SeqCst);
        let mut newest = [0; 4];
        while newest[1..].iter().any(|&ts_ms| ts_ms < began_ms + now + 2_000) {
            let message = viewer.message();
            let number: usize = message["deviceId"].as_str().unwrap()[10..].parse().unwrap();
            let ts_ms = message["ts"].as_i64().unwrap();
            assert!(ts_ms > newest[number], "{message} after {}", newest[number]);
            newest[number] = ts_ms;
        }
    });
}

#[test]
fn f29_viewers_notice_nothing_while_postgresql_is_away_and_operators_read_the_effect() {
    let mut scene = Scene::new();
    let mut config = scene.config();
    config.live.refresh_ms = 1_000;
    config.live.access.revalidate_ms = 1_000;
    let live = scene.start_with(config);
    let mut viewer = scene.watching(&live);
    scene.until("the database is in use", || is_in_state(&live, "database", "working"));
    for _ in 0..2 {
        scene.stop_postgres();
        scene.until("the outage is told", || !is_in_state(&live, "database", "working"));
        sees_on(&mut scene, &mut viewer);
        // Newcomers are let in, too, and see what is known.
        viewer = scene.watching(&live);
        sees_on(&mut scene, &mut viewer);
        let (is_ready, words) = report(&live, "database");
        assert!(is_ready, "who only serves viewers stays ready");
        assert!(!words["effect"].as_str().unwrap().is_empty(), "{words}");
        scene.start_postgres();
        scene.until("it is found again", || is_in_state(&live, "database", "working"));
        sees_on(&mut scene, &mut viewer);
    }
}

#[test]
fn f30_a_killed_backend_of_postgresql_is_replaced_and_viewers_notice_nothing() {
    let mut scene = Scene::new();
    let mut config = scene.config();
    config.live.refresh_ms = 1_000;
    let live = scene.start_with(config);
    let mut viewer = scene.watching(&live);
    let mut backends = Vec::new();
    scene.sql(async |client| {
        let statement = "SELECT pid::text FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let rows = client.query(statement, &[]).await.unwrap();
        backends = rows.iter().map(|row| row.get::<_, String>(0)).collect();
    });
    assert!(!backends.is_empty(), "the program has a session");
    assert!(Command::new("kill").args(["-s", "KILL", &backends[0]]).status().unwrap().success());
    let refreshes = "processor_live_roster_refreshes_total{result=\"unchanged\"}";
    let before = scene.metric(&live, refreshes).unwrap();
    sees_on(&mut scene, &mut viewer);
    scene.until("the roster is read again", || {
        scene.metric(&live, refreshes).unwrap() >= before + 2.0
            && is_in_state(&live, "database", "working")
    });
    sees_on(&mut scene, &mut viewer);
}

#[test]
fn f69_a_database_that_hangs_delays_neither_snapshots_nor_positions() {
    let mut scene = Scene::new();
    let proxy = Proxy::to(scene.postgres_port());
    let mut config = scene.config();
    let url = format!("postgres://pitwall@127.0.0.1:{}/postgres", proxy.port());
    config.postgres_url = pitwall::secret::Secret::new(url);
    config.live.refresh_ms = 1_000;
    let live = scene.start_with(config);
    let mut viewer = scene.watching(&live);
    sees_on(&mut scene, &mut viewer);
    proxy.hold();
    for _ in 0..10 {
        let began = std::time::Instant::now();
        let mut newcomer = scene.viewer(&live);
        newcomer.subscribe(EVENT, "");
        let reply = newcomer.reply("subscribed");
        assert_eq!(reply["snapshot"].as_array().unwrap().len(), 1, "from memory: {reply}");
        let fix = scene.publish_next();
        // The one before may have come to this viewer's shard after the snapshot.
        while newcomer.message()["ts"] != fix.ts_ms {}
        assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
    }
    scene.until("the silence is told", || !is_in_state(&live, "database", "working"));
    assert!(report(&live, "database").0, "who only serves viewers stays ready");
    proxy.release();
    scene.until("it is found again", || is_in_state(&live, "database", "working"));
}

#[test]
fn f74_healthz_says_that_the_loops_turn_when_everything_outside_is_gone() {
    let mut scene = Scene::new();
    let mut config = scene.config();
    config.live.refresh_ms = 1_000;
    let live = scene.start_with(config);
    let mut viewer = scene.watching(&live);
    scene.stop_postgres();
    scene.redis.kill();
    scene.authority.knowledge().mood = tests::scene::Mood::Cuts;
    scene.until("both are missed", || {
        is_in_state(&live, "redis", "failed") && !is_in_state(&live, "database", "working")
    });
    let (is_ready, words) = report(&live, "redis");
    assert!(!is_ready && words["effect"].as_str().unwrap().contains("what was shown stays"));
    assert!(page(live.admin, "/healthz").starts_with("HTTP/1.1 200"), "a restart would not help");
    viewer.unsubscribe(EVENT, "still served");
    assert_eq!(viewer.reply("unsubscribed")["id"], "still served");
}
