//! What has waited for long is not replayed as film; what only looks old is.

use tests::proxy::Proxy;
use tests::redis::Redis;

use crate::rig::{DEVICES, Fix, Rig, START_MS, STREAM, add, ask, config, entry, fixes};

/// Adds entries with ids of this time, a millisecond apart from each other.
fn add_at(redis: &mut redis::Connection, first_ms: i64, fixes: &[Fix]) {
    let numbered: Vec<_> = (first_ms..).zip(fixes).collect();
    for numbered in numbered.chunks(1_000) {
        let mut pipe = redis::pipe();
        for (ms, fix) in numbered {
            pipe.add_command(entry(&format!("{ms}-0"), **fix)).ignore();
        }
        pipe.query::<()>(redis).unwrap();
    }
}

#[test]
fn f73_f28_after_a_long_lag_only_the_newest_of_each_device_is_shown() {
    const BACKLOG: u32 = 30_000;
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port());
    let mut rig = Rig::with(config(&format!("redis://127.0.0.1:{}", proxy.port())));
    rig.until_working();
    let mut connection = redis.connect();
    proxy.hold();
    let backlog = fixes(0, BACKLOG);
    add_at(&mut connection, pitwall::clock::wall_ms() - 600_000, &backlog);
    // A fix of the future is no device's newest: no slot would show it.
    add_at(&mut connection, pitwall::clock::wall_ms() - 400_000, &[(3, 4_000_000_000_000)]);
    proxy.cut();
    proxy.release();
    let newest = &backlog[backlog.len() - DEVICES as usize..];
    rig.until_seen_at_least(newest);
    let skipped = rig.metric("processor_live_skipped_total");
    let shown = rig.seen.len();
    assert!(shown <= DEVICES as usize * 20, "{shown} of {BACKLOG} shown");
    let sum = i64::from(BACKLOG) + 1 - i64::try_from(shown).unwrap();
    assert!(skipped == sum || skipped == sum - 1, "{skipped} of {sum} skipped");
    assert!(!rig.seen.contains(&(3, 4_000_000_000_000)));
    // Back to film: every one, in order.
    rig.seen.clear();
    add(&mut connection, &fixes(BACKLOG, 500));
    rig.until_seen(&fixes(BACKLOG, 500));
    rig.until_working();
}

#[test]
fn f73_the_read_that_ends_a_lag_is_no_film_either() {
    // A full read, and what is left.
    const BACKLOG: u32 = 1_024 + 776;
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port());
    let mut rig = Rig::with(config(&format!("redis://127.0.0.1:{}", proxy.port())));
    rig.until_working();
    // What the first read brings is given out at once when nothing has been for a while.
    rig.until("quiet for a while", |rig| rig.context.clock.monotonic_ms() > 1_000);
    let mut connection = redis.connect();
    proxy.hold();
    let backlog = fixes(0, BACKLOG);
    add_at(&mut connection, pitwall::clock::wall_ms() - 600_000, &backlog);
    proxy.cut();
    proxy.release();
    rig.until_seen_at_least(&backlog[backlog.len() - DEVICES as usize..]);
    let shown = rig.seen.len();
    assert!(shown <= DEVICES as usize * 2, "{shown} of {BACKLOG} shown");
    let skipped = rig.metric("processor_live_skipped_total");
    assert_eq!(skipped + i64::try_from(shown).unwrap(), i64::from(BACKLOG));
}

#[test]
fn f26_ids_that_hold_no_time_are_read_in_full_however_many_wait() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port());
    let mut rig = Rig::with(config(&format!("redis://127.0.0.1:{}", proxy.port())));
    rig.until_working();
    let mut connection = redis.connect();
    proxy.hold();
    add_at(&mut connection, 1, &fixes(0, 5_000));
    proxy.cut();
    proxy.release();
    rig.until_seen(&fixes(0, 5_000));
    assert_eq!(rig.metric("processor_live_skipped_total"), 0);
    assert_eq!(rig.metric("processor_live_hop_seconds_count{hop=\"redis\"}"), 0);
}

#[test]
fn f26_ids_far_in_the_future_are_read_as_any_other() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    add(&mut connection, &fixes(0, 10));
    add_at(&mut connection, 9_999_999_999_999, &fixes(10, 10));
    let last = format!("{0}-{0}", u64::MAX);
    entry(&last, (1, START_MS)).exec(&mut connection).unwrap();
    let mut expected = fixes(0, 20);
    expected.push((1, START_MS));
    rig.until_seen(&expected);
    // No id is left; a restarted stream is found all the same.
    assert!(entry("*", (2, START_MS)).exec(&mut connection).is_err());
    ask(&mut connection, &format!("DEL {STREAM}"));
    add(&mut connection, &fixes(20, 10));
    expected.extend(fixes(20, 10));
    rig.until_seen(&expected);
    rig.until_working();
}
