//! What reaches the shards: in order, whole, and waited for.

use std::sync::Arc;

use engine::id::EventId;
use engine::roster::Registration;
use pitwall::live::mailbox::{FEED_MAIL_MAX, FeedMail};
use pitwall::live::source::{SourceMail, Withdrawn};
use pitwall::shutdown::Stage;
use redis::Commands;
use tests::redis::Redis;
use tests::sample::position;

use crate::rig::{DEVICES, Rig, START_MS, STREAM, add, fixes};

#[test]
fn entries_reach_the_shard_in_order_and_are_counted() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    add(&mut connection, &fixes(0, 2_500));
    rig.until_seen(&fixes(0, 2_500));
    add(&mut connection, &[(DEVICES + 5, START_MS)]);
    rig.until("an orphan", |rig| rig.metric("processor_live_orphans_total") == 1);
    assert_eq!(rig.metric("processor_live_records_total"), 2_501);
    assert_eq!(rig.metric("processor_live_lag_seconds"), 0);
    assert_eq!(rig.metric("processor_live_hop_seconds_count{hop=\"redis\"}"), 2_501);
    assert_eq!(rig.metric("processor_live_decode_errors_total"), 0);
    assert_eq!(rig.seen.len(), 2_500);
}

#[test]
fn what_was_added_before_the_start_is_not_shown() {
    let redis = Redis::start();
    let mut connection = redis.connect();
    add(&mut connection, &fixes(0, 100));
    let mut rig = Rig::start(&redis);
    add(&mut connection, &fixes(100, 5));
    rig.until_seen(&fixes(100, 5));
}

#[test]
fn a_shard_without_room_is_waited_for_and_nothing_is_lost() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    // One letter each: the next is added when the one before has been read.
    let all = fixes(0, 100);
    let room = u32::try_from(FEED_MAIL_MAX).unwrap();
    for number in 0..=room {
        add(&mut connection, &fixes(number, 1));
        while rig.metric("processor_live_records_total") <= i64::from(number) {
            std::thread::yield_now();
        }
    }
    add(&mut connection, &all[FEED_MAIL_MAX + 1..]);
    while rig.metric("processor_live_mailbox_waits_total") < 20 {
        std::thread::yield_now();
    }
    assert_eq!(rig.metric("processor_live_records_total"), i64::from(room) + 1);
    let heartbeat = rig.context.status.heartbeats().first().unwrap().clone();
    assert!(heartbeat.silence_ms() < 1_000, "the heart beats while it waits");
    rig.until_seen(&all);
}

#[test]
fn mail_of_the_keeper_keeps_its_order() {
    let redis = Redis::start();
    let rig = Rig::start(&redis);
    let next = rig.roster.next(&[Registration { device_id: "late", event: EventId(8) }]).unwrap();
    let offered = ["late", "device-3", "unknown"].map(|id| (Box::from(id), position(START_MS)));
    // A race's worth of flags: more than a mailbox has room for, were each a letter of its own.
    let flagged = ["late", "unknown"].into_iter().chain(std::iter::repeat_n("late", 1_000));
    let withdrawn = flagged.map(|id| Withdrawn {
        device_id: Box::from(id),
        faulty_ms: START_MS,
        good: Some(position(START_MS - 1)),
    });
    let withdrawn = withdrawn.collect();
    for mail in [
        SourceMail::Roster(Arc::new(next.clone())),
        SourceMail::Offer(offered.into()),
        SourceMail::Withdraw(withdrawn),
    ] {
        rig.mail.blocking_send(mail).unwrap();
    }
    let device = next.device("late");
    assert!(
        matches!(rig.mailbox.feed.recv().unwrap(), FeedMail::Roster(seen) if seen.generation() == 2)
    );
    let FeedMail::Positions(batch) = rig.mailbox.feed.recv().unwrap() else { panic!("an offer") };
    assert_eq!(batch.read_us, 0, "it did not come out of Redis");
    assert_eq!(batch.routed.iter().map(|r| r.position.device).collect::<Vec<_>>(), [device]);
    let FeedMail::Withdrawals(withdrawals) = rig.mailbox.feed.recv().unwrap() else {
        panic!("withdrawals")
    };
    assert_eq!(withdrawals.len(), 1_001, "one letter for all, nothing for the unknown");
    let withdrawal = &withdrawals[0];
    let seat = next.seats(device)[0];
    assert_eq!((withdrawal.event, withdrawal.slot), (seat.event, seat.slot));
    assert_eq!(withdrawal.good.unwrap().device, device);
    assert!(rig.mailbox.feed.is_empty());
}

#[test]
fn at_the_end_the_group_and_the_lease_are_given_back_and_not_before() {
    let redis = Redis::start();
    let rig = Rig::start(&redis);
    let mut connection = redis.connect();
    rig.context.shutdown.begin();
    rig.context.shutdown.advance(Stage::Closing);
    let leased = |connection: &mut redis::Connection| {
        connection.exists::<_, bool>("pitwall:instance:processor-1").unwrap()
    };
    assert!(leased(&mut connection));
    rig.end();
    assert!(!leased(&mut connection));
    let groups: Vec<redis::Value> =
        redis::cmd("XINFO").arg("GROUPS").arg(STREAM).query(&mut connection).unwrap();
    assert!(groups.is_empty());
}

#[test]
fn the_end_comes_in_time_although_redis_does_not_answer() {
    let redis = Redis::start();
    let rig = Rig::start(&redis);
    redis.program().signal("STOP").unwrap();
    let began = std::time::Instant::now();
    rig.end();
    redis.program().signal("CONT").unwrap();
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}
