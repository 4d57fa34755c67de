//! Entries that cannot be decoded, more of them than single bad ones: they wait, and are set aside
//! when they turn out to be few.

use tests::entries::{STREAM, iso};
use tests::platform::imei;

use crate::rig::{Rig, holds, is_ready, report};

/// Adds entries that no decoder takes.
fn publish_bad(rig: &Rig, count: usize) {
    let (device, time) = (imei(1), iso(rig.scene.now_ms()));
    let bad = ["ts", &time, "device_id", &device, "codec", "8", "payload", "{}"];
    for _ in 0..count {
        let entry = rig.scene.redis_says(&[&["XADD", STREAM, "*"][..], &bad].concat());
        assert!(entry.contains('-'), "{entry}");
    }
}

#[test]
fn f50_undecodable_entries_wait_and_are_set_aside_when_good_ones_outnumber_them() {
    let mut rig = Rig::new();
    let live = rig.start();
    publish_bad(&rig, 40);
    rig.scene.until("ten are set aside", || rig.letters() == 10);
    let waits = || report(&live, "reader")["state"] == "impaired";
    rig.scene.until("the others wait", || rig.pending() == 30 && waits());
    assert!(is_ready(live.admin), "what can be decoded is stored");
    rig.publish(10, 200);
    rig.until_stored(2_000);
    assert_eq!(rig.letters(), 40);
    rig.scene.until("all is well", || report(&live, "reader")["state"] == "working");
    assert_eq!(rig.metric(&live, "processor_dead_letters_total{why=\"decode\"}"), 40);
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
}

#[test]
fn f50_a_storm_of_undecodable_entries_holds_and_none_of_them_is_acknowledged() {
    let rig = Rig::new();
    let live = rig.start();
    publish_bad(&rig, 1_100);
    rig.scene.until("it holds", || holds(&live, "reader", "were refused"));
    assert!(!is_ready(live.admin));
    assert_eq!(rig.letters(), 10);
    rig.scene.until("they are pending", || rig.pending() + rig.unread() == 1_090);
    drop(live);
    // Whoever may set them all aside does.
    let mut config = rig.config();
    config.write.storm_percent = 100;
    let _live = rig.start_with(config);
    rig.until_acknowledged();
    assert_eq!(rig.letters(), 1_100);
}
