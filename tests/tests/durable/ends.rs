//! The end of the process: in order, in time, with nothing in the dark, whatever is stuck.

use std::time::Duration;

use pitwall::config::Config;
use tests::child::Pitwall;
use tests::producer::{Mix, Producer, Steady};
use tests::proxy::Proxy;
use tests::scene::metric;

use crate::rig::{Rig, at_once};

/// How long the end may take, whatever is the case.
const END: Duration = Duration::from_secs(25);

const RECORDS: &str = "processor_consumer_records_total";

const IN_FLIGHT: &str = "processor_writer_in_flight_rows";

/// A process of its own that only stores, with these settings beside.
fn start(rig: &Rig, settings: &[(&str, &str)]) -> Pitwall {
    let all = [&[("ROLES", "durable")], settings].concat();
    Pitwall::start(&rig.scene, &all)
}

fn steady(rig: &Rig, seed: u64) -> Steady {
    Producer::new(rig.scene.redis.port(), Mix::rough(seed)).steady(2_000)
}

fn reads(rig: &Rig, process: &Pitwall, records: u64) {
    rig.scene.wait_for_metric(process.admin, RECORDS, records);
}

/// Tells the process to end, and expects it to do so in order and in time.
fn ends_in_order(rig: &Rig, process: &mut Pitwall) -> Duration {
    process.signal("TERM");
    let (status, took) = process.ended(&rig.scene);
    assert_eq!(status.code(), Some(0), "{status}: {}", process.log());
    assert!(took < END, "{took:?}: {}", process.log());
    took
}

#[test]
fn f77_sigterm_under_load_stores_and_acknowledges_all_that_was_read() {
    let rig = Rig::new();
    let producer = steady(&rig, 77);
    for round in 0..3 {
        let roles = if round == 0 { "live,durable" } else { "durable" };
        let mut process = start(&rig, &[("ROLES", roles)]);
        reads(&rig, &process, 1_000);
        let took = ends_in_order(&rig, &mut process);
        assert_eq!(rig.pending(), 0, "{}", process.log());
        assert!(took < Duration::from_secs(10), "nothing was stuck: {took:?}");
    }
    let producer = producer.stop();
    rig.judge(&producer).assert_clean();
    let _live = rig.start();
    rig.until_drained(&producer).assert_drained();
}

#[test]
fn f78_sigterm_ends_in_time_whatever_is_stuck_and_the_next_stores_what_is_left_pending() {
    at_once(&[&postgresql_is_down, &postgresql_does_not_answer, &redis_stands_still]);
}

fn postgresql_is_down() {
    let mut rig = Rig::own();
    let mut process = start(&rig, &[]);
    let producer = steady(&rig, 78);
    reads(&rig, &process, 1_000);
    rig.scene.stop_postgres();
    rig.scene.wait_for_metric(process.admin, IN_FLIGHT, 1_000);
    ends_in_order(&rig, &mut process);
    assert!(process.log().contains("left pending in Redis"), "{}", process.log());
    assert!(rig.pending() >= 1_000);
    rig.scene.start_postgres();
    let producer = producer.stop();
    rig.judge(&producer).assert_clean();
    let _live = rig.start();
    rig.until_drained(&producer).assert_drained();
}

fn postgresql_does_not_answer() {
    let rig = Rig::new();
    let proxy = Proxy::to_postgres(rig.scene.postgres_port());
    let url = rig.scene.postgres_url_at(proxy.port());
    let mut process = start(&rig, &[("POSTGRES_URL", &url)]);
    let producer = steady(&rig, 79);
    reads(&rig, &process, 1_000);
    proxy.hold();
    rig.scene.wait_for_metric(process.admin, IN_FLIGHT, 1_000);
    ends_in_order(&rig, &mut process);
    assert!(rig.pending() >= 1_000);
    let producer = producer.stop();
    rig.judge(&producer).assert_clean();
    let _live = rig.start();
    rig.until_drained(&producer).assert_drained();
}

fn redis_stands_still() {
    let rig = Rig::new();
    let mut process = start(&rig, &[]);
    let producer = steady(&rig, 80);
    reads(&rig, &process, 1_000);
    rig.scene.redis.program().signal("STOP").unwrap();
    ends_in_order(&rig, &mut process);
    rig.scene.redis.program().signal("CONT").unwrap();
    let producer = producer.stop();
    rig.judge(&producer).assert_clean();
    // It could not give its name back, so the next has another.
    let mut config = Config { instance_id: "next".to_owned(), ..rig.config() };
    config.write.claim_threshold_ms = 500;
    let _live = rig.start_with(config);
    rig.until_drained(&producer).assert_drained();
}

#[test]
fn f17_threads_do_not_pile_up_while_redis_stands_still() {
    let rig = Rig::new();
    let process = start(&rig, &[]);
    let producer = Producer::new(rig.scene.redis.port(), Mix::plain(17)).steady(2_000);
    reads(&rig, &process, 1_000);
    let threads = process.threads();
    rig.scene.redis.program().signal("STOP").unwrap();
    let errors = "processor_consumer_reads_total{result=\"error\"}";
    let mut most = 0;
    rig.scene.until("it has tried twice", || {
        most = most.max(process.threads());
        metric(process.admin, errors).is_some_and(|count| count >= 2.0)
    });
    assert!(most <= threads, "{most} instead of {threads}");
    rig.scene.redis.program().signal("CONT").unwrap();
    rig.until_drained(&producer.stop()).assert_drained();
    assert_eq!(process.threads(), threads);
}
