//! Signals and the end of the process, whatever is stuck.

use std::net::TcpStream;
use std::time::Duration;

use tests::client::page;
use tests::scene::{EVENT, Mood, Scene, metric};

use tests::child::Pitwall;

/// How long the end may take, whatever is the case.
const END: Duration = Duration::from_secs(25);

/// Tells the process to end, and expects it to do so in order and in time.
fn ends_in_order(scene: &Scene, process: &mut Pitwall) {
    process.signal("TERM");
    let (status, took) = process.ended(scene);
    assert_eq!(status.code(), Some(0), "{status}: {}", process.log());
    assert!(took < END, "{took:?}: {}", process.log());
}

#[test]
fn f77_sigterm_closes_viewers_1012_and_leaves_neither_group_nor_lease() {
    let scene = Scene::new();
    let mut process = Pitwall::start(&scene, &[]);
    let mut viewers: Vec<_> = (1..=20).map(|user| scene.viewer_at(process.live, user)).collect();
    for viewer in &mut viewers {
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
    }
    process.signal("TERM");
    for viewer in &mut viewers {
        assert_eq!(viewer.closed().0, 1012);
    }
    let (status, took) = process.ended(&scene);
    assert!(status.code() == Some(0) && took < END, "{status} after {took:?}");
    let groups = scene.redis_says(&["XINFO", "GROUPS", tests::entries::STREAM]);
    assert!(!groups.contains("live-broadcast-processor-1"), "{groups}");
    assert_eq!(scene.redis_says(&["EXISTS", "pitwall:instance:processor-1"]), "0");
}

#[test]
fn f78_the_end_comes_in_time_with_postgresql_down() {
    let mut scene = Scene::new();
    let mut process = Pitwall::start(&scene, &[]);
    scene.stop_postgres();
    ends_in_order(&scene, &mut process);
}

#[test]
fn f78_the_end_comes_in_time_with_viewers_that_read_nothing() {
    let mut scene = Scene::with_devices(300);
    let mut process = Pitwall::start(&scene, &[]);
    let mut stuck: Vec<_> =
        (1..=10).map(|user| scene.viewer_with_small_window_at(process.live, user)).collect();
    for viewer in &mut stuck {
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
    }
    let began_ms = scene.now_ms();
    for round in 0..60 {
        scene.publish_one_each(300, began_ms + round);
    }
    scene.until("they are stuck", || {
        let of = |name| metric(process.admin, name).unwrap_or(0.0);
        let due = of("processor_live_frames_due_total");
        let delivered = of("processor_live_frames_total{result=\"delivered\"}");
        due >= 10.0 * 300.0 * 60.0 && delivered < due / 2.0
    });
    ends_in_order(&scene, &mut process);
}

#[test]
fn f78_the_end_comes_in_time_while_directus_does_not_answer() {
    let scene = Scene::new();
    let mut process = Pitwall::start(&scene, &[]);
    let mut known = scene.viewer_at(process.live, 1);
    known.unsubscribe(EVENT, "known");
    known.reply("unsubscribed");
    scene.authority.knowledge().mood = Mood::Mute;
    // One waits to be known, the other for a decision.
    let mut unknown = scene.viewer_at(process.live, 2);
    known.subscribe(EVENT, "");
    scene.until("both calls are under way", || {
        scene.authority.count("/users/me") == 2 && scene.authority.count("/items/events") == 1
    });
    ends_in_order(&scene, &mut process);
    assert_eq!((unknown.closed().0, known.closed().0), (1012, 1012));
}

#[test]
fn f78_the_end_comes_in_time_while_redis_is_frozen() {
    let scene = Scene::new();
    let mut process = Pitwall::start(&scene, &[]);
    let mut viewer = scene.viewer_at(process.live, 1);
    viewer.subscribe(EVENT, "");
    viewer.reply("subscribed");
    scene.redis.program().signal("STOP").unwrap();
    ends_in_order(&scene, &mut process);
    scene.redis.program().signal("CONT").unwrap();
    assert_eq!(viewer.closed().0, 1012);
}

#[test]
fn f78_the_end_comes_in_time_with_everything_stuck_at_once() {
    let mut scene = Scene::new();
    let mut process = Pitwall::start(&scene, &[]);
    // A head that never ends, and a viewer who never answers a close.
    let _half_open = TcpStream::connect(process.live).unwrap();
    let _mute = scene.viewer_at(process.live, 1);
    scene.authority.knowledge().mood = Mood::Mute;
    let _unknown = scene.viewer_at(process.live, 2);
    scene.stop_postgres();
    scene.redis.program().signal("STOP").unwrap();
    ends_in_order(&scene, &mut process);
    scene.redis.program().signal("CONT").unwrap();
}

#[test]
fn f79_a_second_sigterm_ends_the_process_at_once_with_130() {
    let scene = Scene::new();
    let mut process = Pitwall::start(&scene, &[("LIVE_WS_DRAIN_TIMEOUT_MS", "15000")]);
    let _mute: Vec<_> = (1..=10).map(|user| scene.viewer_at(process.live, user)).collect();
    scene.wait_for_metric(process.admin, "processor_live_users", 10);
    process.signal("TERM");
    scene.until("it is ending", || process.log().contains("it takes in nobody"));
    process.signal("TERM");
    let (status, took) = process.ended(&scene);
    assert_eq!(status.code(), Some(130), "{status}: {}", process.log());
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn f79_sighup_and_sigpipe_leave_everybody_connected() {
    let mut scene = Scene::new();
    let process = Pitwall::start(&scene, &[]);
    let mut viewer = scene.viewer_at(process.live, 1);
    viewer.subscribe(EVENT, "");
    viewer.reply("subscribed");
    process.signal("HUP");
    scene.until("the hangup is told", || process.log().contains("SIGHUP has no effect"));
    process.signal("PIPE");
    let fix = scene.publish_next();
    assert_eq!(viewer.message()["ts"], fix.ts_ms);
    assert!(page(process.admin, "/readyz").starts_with("HTTP/1.1 200"));
}
