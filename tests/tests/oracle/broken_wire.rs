//! A producer whose connection breaks knows what it does not know, and the oracle finds it out.

use std::time::Duration;

use tests::producer::{Entry, Mix, Producer};
use tests::program::comes_true;
use tests::proxy::{Ending, Event, Moment, Proxy, Rule};

use crate::honest::Rig;

#[test]
fn an_entry_whose_answer_was_lost_is_there_and_one_that_never_arrived_is_not() {
    let mut rig = Rig::new();
    let proxy = Proxy::to_redis(rig.redis.port());
    for moment in [Moment::Answered, Moment::Before] {
        rig.begin_anew();
        let mut producer = Producer::new(proxy.port(), Mix::rough(1));
        let rule = Rule::new(Event::command("XADD"), moment, Ending::Reset);
        let trap = proxy.trap(rule.skip(40).every(1_000).times(3));
        producer.burst(3_000);
        trap.wait_until_struck(3);
        let log = producer.log();
        // The rest of each pipeline is as unknown as the one that was cut.
        let unknown = log.unknown_count();
        assert_eq!(log.records.len(), 3_000);
        assert!((3..=300).contains(&unknown), "{unknown}");
        rig.drain();
        let verdict = rig.judge(&producer);
        verdict.assert_drained();
        assert_eq!(verdict.added + verdict.absent, 3_000);
        if moment == Moment::Answered {
            assert!(verdict.added >= 3_003 - unknown as u64, "those three are there: {verdict}");
        } else {
            assert!(verdict.absent >= 3, "those three are not: {verdict}");
        }
    }
}

#[test]
fn what_redis_refuses_is_nowhere() {
    let mut rig = Rig::new();
    let mut producer = rig.produce(Mix::rough(1), 100);
    rig.ask::<()>("CONFIG SET maxmemory 1");
    producer.burst(50);
    rig.ask::<()>("CONFIG SET maxmemory 0");
    producer.burst(50);
    let records = &producer.log().records;
    let nowhere = records.iter().filter(|record| record.entry == Entry::Nowhere).count();
    assert_eq!((records.len(), nowhere), (200, 50));
    rig.drain();
    let verdict = rig.judge(&producer);
    verdict.assert_drained();
    assert_eq!((verdict.added, verdict.absent), (150, 0));
}

#[test]
fn a_steady_producer_goes_on_through_resets_and_makes_up_for_lost_time() {
    let mut rig = Rig::new();
    let proxy = Proxy::to_redis(rig.redis.port());
    let steady = Producer::new(proxy.port(), Mix::rough(1)).steady(1_000);
    let patience = Duration::from_secs(20);
    let until = |count| {
        let look = Duration::from_millis(1);
        assert!(comes_true(patience, look, || steady.count() >= count), "it stands still");
    };
    for round in 1..=5 {
        until(round * 200);
        proxy.reset();
        // The stream is read meanwhile.
        rig.read(100).iter().for_each(|entry| rig.deal_with(entry));
    }
    until(1_500);
    let producer = steady.stop();
    rig.drain();
    let verdict = rig.judge(&producer);
    verdict.assert_drained();
    assert!(verdict.added >= 1_000, "{verdict}");
}
