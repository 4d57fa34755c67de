//! The metrics of the whole program: readable by Prometheus, conserved, and nobody's secrets.

use tests::client::page;
use tests::exposition::Exposition;
use tests::platform::{imei, uuid};
use tests::scene::{EVENT, EVENT_OTHER, Scene};

const DEVICES: u64 = 100;

fn read(scene: &Scene, live: &tests::live::Live) -> Exposition {
    let page = scene.page(live, "/metrics");
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    Exposition::read(body)
}

#[test]
fn metrics_of_a_program_at_work_are_well_formed_and_frames_are_conserved() {
    let mut scene = Scene::with_devices(DEVICES);
    let live = scene.start();
    let mut slow = scene.viewer_with_small_window(&live);
    let mut leaver = scene.viewer(&live);
    let mut viewers: Vec<_> = (2..=5).map(|user| scene.viewer_at(live.address, user)).collect();
    for viewer in viewers.iter_mut().chain([&mut slow, &mut leaver]) {
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
    }
    let (began_ms, rounds) = (scene.now_ms(), 40_i64);
    for round in 0..rounds {
        if round == 20 {
            leaver.unsubscribe(EVENT, "");
        }
        scene.publish_one_each(DEVICES, began_ms + round);
        for viewer in &mut viewers {
            for _ in 0..DEVICES {
                viewer.message();
            }
        }
    }
    // While the slow one is still behind.
    drop(read(&scene, &live));
    let mut current = 0;
    while current < DEVICES {
        current += u64::from(slow.message()["ts"] == began_ms + rounds - 1);
    }
    let frames = |page: &Exposition, result: &str| {
        page.value(&format!("processor_live_frames_total{{result=\"{result}\"}}"))
    };
    let accepted = "processor_live_positions_total{verdict=\"accepted\"}";
    scene.until("all that was due is accounted for", || {
        let page = read(&scene, &live);
        let of = |result| frames(&page, result);
        let due = page.value("processor_live_frames_due_total");
        let left = due - of("delivered") - of("conflated") - of("abandoned");
        // Nobody watches the other event, whose shard may be behind what viewers have seen.
        due > 4.0 * 4_000.0 && left == 0.0 && page.value(accepted) >= 4_040.0
    });
    let page = read(&scene, &live);
    assert!(frames(&page, "conflated") > 0.0, "the slow one was behind");
    assert_eq!(page.text("processor_live_frames_residual"), "0");
    // One of the devices drives in two events.
    assert_eq!(page.text("processor_live_records_total"), "4000");
    assert_eq!(page.text(accepted), "4040");
    for name in ["processor_live_reads_total{result=\"entries\"}", "process_open_fds"] {
        assert!(page.value(name) > 0.0, "{name}");
    }
    assert_eq!(page.text("processor_live_auth_attempts_total{result=\"success\"}"), "6");
}

#[test]
fn t25_neither_metrics_nor_readiness_tell_who_watches_what() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    viewer.subscribe(EVENT, "");
    viewer.reply("subscribed");
    viewer.subscribe(EVENT_OTHER, "");
    assert_eq!(viewer.reply("error")["code"], "forbidden");
    let fix = scene.publish_next();
    assert_eq!(viewer.message()["ts"], fix.ts_ms);
    for path in ["/metrics", "/readyz", "/healthz", "/statusz"] {
        let page = page(live.admin, path);
        assert!(page.starts_with("HTTP/1.1 200"), "{path}: {page}");
        for secret in [&*imei(1), &uuid(1), EVENT, EVENT_OTHER, "eyJ", "session_token"] {
            assert!(!page.contains(secret), "{path} holds {secret}: {page}");
        }
    }
}
