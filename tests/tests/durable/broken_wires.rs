//! Connections that break where it hurts most, and what is left behind by them.

use tests::entries::{Fix, STREAM};
use tests::platform::imei;
use tests::proxy::{Ending, Event, Moment, Proxy, Rule};

use crate::rig::Rig;

#[test]
fn f35_rows_that_a_silent_session_holds_uncommitted_are_stored_over_another() {
    let mut rig = Rig::new();
    let proxy = Proxy::to_postgres(rig.scene.postgres_port());
    let mut config = rig.config_through(&proxy);
    (config.write.deadline_ms, config.write.lane_count) = (1_000, 1);
    let _live = rig.start_with(config);
    rig.publish(10, 1);
    rig.until_stored(10);
    // The server has all data and is not told to commit: nothing limits how long it waits for that.
    let trap = proxy.trap(Rule::new(Event::CopyEnded, Moment::Behind, Ending::Silence));
    rig.publish(10, 1);
    trap.wait_until_struck(1);
    rig.until_stored(20);
    assert_eq!(rig.letters(), 0);
}

#[test]
fn d1_undecodable_entries_of_a_backlog_are_set_aside_while_the_rest_is_stored() {
    let mut rig = Rig::new();
    // Three of a hundred, all of them read at once: more than may be refused of the first hundreds.
    for part in 0..30 {
        let device = imei(part + 1);
        let now_ms = rig.scene.now_ms();
        let fixes: Vec<Fix> = (0..32).map(|at| Fix::new(&device, now_ms + i64::from(at))).collect();
        rig.scene.publish_all(&fixes);
        assert!(rig.scene.redis_says(&["XADD", STREAM, "*", "not", "a fix"]).contains('-'));
    }
    let live = rig.start();
    rig.until_stored(30 * 32);
    assert_eq!(rig.letters(), 30);
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
}
