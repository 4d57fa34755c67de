//! Many viewers at once: those who read nothing beside those who do, and those who come and go.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::client::{Client, masked};
use tests::platform::imei;
use tests::proxy::Proxy;
use tests::scene::{EVENT, Scene, metric, metric_sum};

use tests::child::{OPENED, Pitwall};

#[test]
fn f62_three_hundred_stuck_viewers_take_nothing_from_thirty_good_ones() {
    const DEVICES: u64 = 50;
    const ROUNDS: i64 = 40;
    const FRAMES: f64 = 2_000.0;
    let mut scene = Scene::with_devices(DEVICES);
    let live = scene.start();
    let mut stuck: Vec<Client> = (0..300)
        .map(|number| scene.viewer_with_small_window_at(live.address, number / 20 + 1))
        .collect();
    let mut good: Vec<Client> =
        (0..30).map(|number| scene.viewer_at(live.address, number + 100)).collect();
    for viewer in stuck.iter_mut().chain(&mut good) {
        viewer.subscribe(EVENT, "");
    }
    for viewer in &mut good {
        viewer.reply("subscribed");
    }
    let began_ms = scene.now_ms();
    let mut times: Vec<Duration> = Vec::new();
    for round in 0..ROUNDS {
        let published = Instant::now();
        scene.publish_one_each(DEVICES, began_ms + round);
        for viewer in &mut good {
            for device in 1..=DEVICES {
                let message = viewer.message();
                assert_eq!(message["deviceId"], imei(device), "each position, in order");
                assert_eq!(message["ts"], began_ms + round);
            }
        }
        times.push(published.elapsed());
    }
    times.sort();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    // Reading 1,500 messages in this process is most of it; whoever waited for the stuck would
    // wait for ever.
    assert!(most < Duration::from_secs(3), "median {median:?}, most {most:?}");
    let shows = |name| metric(live.admin, name).unwrap();
    let due = "processor_live_frames_due_total";
    scene.until("all is counted", || shows(due) == FRAMES * 330.0);
    let delivered = shows("processor_live_frames_total{result=\"delivered\"}");
    assert!(delivered < FRAMES * (30.0 + 150.0), "{delivered}: the stuck ones are stuck");
    assert_eq!(metric_sum(live.admin, "processor_live_viewers"), Some(330.0), "nobody was cut");
}

#[test]
fn f65_who_leaves_replies_unread_for_half_a_minute_is_cut_although_it_answers_pings() {
    let mut scene = Scene::with_devices(300);
    let live = scene.start();
    scene.publish_one_each(300, scene.now_ms());
    // So that a snapshot is more than what the kernel holds for one viewer.
    let accepted = "processor_live_positions_total{verdict=\"accepted\"}";
    scene.wait_for_metric(live.admin, accepted, 300);
    let mut deaf = scene.viewer_with_small_window(&live);
    for _ in 0..15 {
        deaf.subscribe(EVENT, "");
    }
    let began = Instant::now();
    let stalled = "processor_live_viewer_inputs_total{what=\"stalled\"}";
    let mut ponged = Instant::now();
    scene.until_within(Duration::from_secs(50), "the deaf one is cut", || {
        if ponged.elapsed() < Duration::from_secs(1) {
            return false;
        }
        ponged = Instant::now();
        // Fails when it is cut.
        deaf.stream().write_all(&masked(0x8a, b"")).ok();
        metric(live.admin, stalled) == Some(1.0)
    });
    assert!(began.elapsed() > Duration::from_secs(25), "{:?}", began.elapsed());
    let mut beside = scene.viewer(&live);
    beside.subscribe(EVENT, "");
    beside.reply("subscribed");
}

#[test]
fn f67_coming_back_after_a_cut_is_quick_and_asks_directus_once() {
    let mut scene = Scene::new();
    let live = scene.start();
    let proxy = Proxy::to(live.address.port());
    let address = (std::net::Ipv4Addr::LOCALHOST, proxy.port()).into();
    let mut times = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let mut viewer = scene.viewer_at(address, 1);
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
        times.push(began.elapsed());
        let fix = scene.publish_next();
        assert_eq!(viewer.message()["ts"], fix.ts_ms);
        proxy.cut();
        assert_eq!(viewer.hear_within(Duration::from_secs(5)).unwrap(), None, "it is cut");
    }
    times.sort();
    assert!(times[10] < Duration::from_millis(500), "median {:?}", times[10]);
    // What was answered is good for five seconds, and for thirty.
    let calls = (scene.identity_calls(), scene.authority.count("/items/events"));
    assert!(calls.0 <= 4 && calls.1 <= 2, "{calls:?} calls for 20 connections");
    scene.until("all of them are forgotten", || {
        metric_sum(live.admin, "processor_live_viewers") == Some(0.0)
    });
}

#[test]
fn f75_two_thousand_who_come_and_go_leave_nothing_behind() {
    let mut scene = Scene::new();
    let process = Pitwall::start(&scene, &[]);
    process.warm_up(&scene);
    let is_empty = || {
        ["processor_live_viewers", "processor_live_users", "processor_live_addresses"]
            .iter()
            .all(|name| metric_sum(process.admin, name) == Some(0.0))
            && metric(process.admin, "processor_live_half_open") == Some(0.0)
    };
    scene.until("the first one is forgotten", is_empty);
    let files = process.open_files();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (scene, address) = (&scene, process.live);
            scope.spawn(move || {
                for number in 0..500 {
                    let user = worker * 100 + number % 100 + 1;
                    match number % 5 {
                        0 => drop(TcpStream::connect(address).unwrap()),
                        1 => drop(scene.viewer_at(address, user)),
                        2 => {
                            let mut viewer = scene.viewer_at(address, user);
                            viewer.send(8, &1000_u16.to_be_bytes());
                            assert_eq!(viewer.closed().0, 1000);
                        }
                        _ => {
                            let mut viewer = scene.viewer_at(address, user);
                            viewer.subscribe(EVENT, "");
                            viewer.reply("subscribed");
                        }
                    }
                }
            });
        }
    });
    // Three of five become viewers for certain, and the first one.
    scene.wait_for_metric(process.admin, OPENED, 1_201);
    scene.until("all of them are forgotten", is_empty);
    // The pool of connections to Directus may have grown to what is in flight at once.
    process.closes_files(&scene, files + 32);
    let mut last = scene.viewer_at(process.live, 1);
    last.subscribe(EVENT, "");
    last.reply("subscribed");
    let fix = scene.publish_next();
    assert_eq!(last.message()["ts"], fix.ts_ms);
}
