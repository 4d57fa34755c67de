//! Redis answers, and says no: lost groups, full disks and memories, replicas, pauses.

use pitwall::status::State;
use tests::redis::Redis;

use crate::rig::{DEVICES, Fix, Rig, START_MS, add, ask, config, entry, fixes};

const DESTROY: &str = "XGROUP DESTROY telemetry:teltonika live-broadcast-processor-1";

#[test]
fn f3_a_flushed_stream_is_joined_again_and_nothing_added_in_the_gap_is_missed() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    let mut added: Vec<Fix> = Vec::new();
    for (round, flush) in (0..).zip(["FLUSHALL", "DEL telemetry:teltonika", "FLUSHALL"]) {
        let before = fixes(round * 200, 50);
        add(&mut connection, &before);
        added.extend(&before);
        rig.until_seen(&added);
        // Within one millisecond the new stream would count through the ids of the old one.
        let read_ms = redis_ms(&mut connection);
        rig.until("a millisecond later", |_| redis_ms(&mut connection) > read_ms);
        ask(&mut connection, flush);
        let gap = fixes(round * 200 + 50, 100);
        add(&mut connection, &gap);
        added.extend(&gap);
        rig.until_seen(&added);
        rig.until("in the group again", |rig| rig.mode() == "group");
    }
    assert!(rig.log.count("\"level\":\"error\"") <= 1, "{}", rig.log.text());
}

/// Redis's clock.
fn redis_ms(connection: &mut redis::Connection) -> u64 {
    let (seconds, us): (u64, u64) = redis::cmd("TIME").query(connection).unwrap();
    seconds * 1_000 + us / 1_000
}

#[test]
fn f3_a_stream_that_begins_anew_with_smaller_ids_is_read_from_its_start() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    add(&mut connection, &fixes(0, 10));
    rig.until_seen(&fixes(0, 10));
    ask(&mut connection, "DEL telemetry:teltonika");
    for (number, fix) in (1..).zip(fixes(10, 50)) {
        entry(&format!("{number}-0"), fix).exec(&mut connection).unwrap();
    }
    rig.until_seen(&fixes(0, 60));
    assert_eq!(rig.metric("processor_live_stream_resets_total"), 1);
    assert!(rig.log.text().contains("last_seen_id"));
    rig.until_working();
}

#[test]
fn f25_a_group_destroyed_at_any_moment_costs_no_entry() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    let mut killer = redis.connect();
    for round in 0..30 {
        add(&mut connection, &fixes(round * 40, 20));
        ask(&mut killer, DESTROY);
        add(&mut connection, &fixes(round * 40 + 20, 20));
        if round % 10 == 9 {
            rig.until("in the group again", |rig| rig.mode() == "group");
        }
    }
    rig.until_seen(&fixes(0, 1_200));
    rig.until_working();
    assert!(rig.log.count("\"level\":\"error\"") <= 1, "{}", rig.log.text());
}

#[test]
fn f4_a_redis_that_may_evict_the_stream_is_not_ready_but_is_read() {
    let redis = Redis::try_start(&["--maxmemory-policy", "allkeys-lru"]).unwrap();
    let mut rig = Rig::with(config(&redis.url()));
    rig.until_state(State::Failed, "allkeys-lru");
    assert!(!rig.context.status.is_ready());
    let mut connection = redis.connect();
    add(&mut connection, &fixes(0, 10));
    rig.until_seen(&fixes(0, 10));
    ask(&mut connection, "CONFIG SET maxmemory-policy noeviction");
    rig.until_working();
    assert!(rig.context.status.is_ready());
}

#[test]
fn f4_an_evicted_stream_is_joined_again() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    add(&mut connection, &fixes(0, 500));
    rig.until_seen(&fixes(0, 500));
    // All that is needed to see an eviction: a policy, and no memory left.
    ask(&mut connection, "CONFIG SET maxmemory-policy allkeys-lru");
    ask(&mut connection, "CONFIG SET maxmemory 1mb");
    drop(redis::cmd("SET").arg("other").arg("1").query::<redis::Value>(&mut connection));
    let exists = |connection: &mut _| ask(connection, "EXISTS telemetry:teltonika");
    rig.until("evicted", |_| exists(&mut connection) == redis::Value::Int(0));
    ask(&mut connection, "CONFIG SET maxmemory 0");
    ask(&mut connection, "CONFIG SET maxmemory-policy noeviction");
    add(&mut connection, &fixes(500, 20));
    rig.until_seen(&fixes(0, 520));
    rig.until_working();
}

#[test]
fn f5_without_memory_for_the_group_reading_goes_on_and_the_group_comes_back() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    ask(&mut connection, "CONFIG SET maxmemory 1");
    ask(&mut connection, DESTROY);
    rig.until_state(State::Impaired, "OOM");
    assert!(rig.context.status.is_ready(), "viewers notice nothing");
    // Between two settings, in one write: nobody gets in between.
    let mut pipe = redis::pipe();
    pipe.cmd("CONFIG").arg("SET").arg("maxmemory").arg(0).ignore();
    for fix in fixes(0, 20) {
        pipe.add_command(entry("*", fix)).ignore();
    }
    pipe.cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).ignore();
    pipe.query::<()>(&mut connection).unwrap();
    rig.until_seen(&fixes(0, 20));
    ask(&mut connection, "CONFIG SET maxmemory 0");
    rig.until_working();
}

#[test]
fn f6_on_a_full_disk_live_goes_on_by_xread_and_returns_without_showing_twice() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    add(&mut connection, &fixes(0, 10));
    rig.until_seen(&fixes(0, 10));
    // A folder where the dump should be: saving fails as it does on a full disk.
    std::fs::create_dir(redis.directory().path().join("dump.rdb")).unwrap();
    save(&mut connection, "3600 1");
    ask(&mut connection, "BGSAVE");
    rig.until_state(State::Impaired, "MISCONF");
    assert_eq!(rig.mode(), "xread");
    for round in 0..3 {
        let mut pipe = redis::pipe();
        stop_writes(&mut pipe, "no");
        for fix in fixes(10 + round * 10, 10) {
            pipe.add_command(entry("*", fix)).ignore();
        }
        stop_writes(&mut pipe, "yes");
        pipe.query::<()>(&mut connection).unwrap();
        rig.until_seen(&fixes(0, 20 + round * 10));
    }
    ask(&mut connection, "CONFIG SET stop-writes-on-bgsave-error no");
    rig.until_working();
    add(&mut connection, &fixes(40, 10));
    rig.until_seen(&fixes(0, 50));
    // A server that is told to save does not end before it has.
    save(&mut connection, "");
}

/// Redis refuses writes after a failed save only if it is told to save at all.
fn save(connection: &mut redis::Connection, when: &str) {
    redis::cmd("CONFIG").arg("SET").arg("save").arg(when).exec(connection).unwrap();
}

fn stop_writes(pipe: &mut redis::Pipeline, word: &str) {
    pipe.cmd("CONFIG").arg("SET").arg("stop-writes-on-bgsave-error").arg(word).ignore();
}

#[test]
fn f8_on_a_replica_live_goes_on_by_xread_and_joins_the_group_after_the_promotion() {
    let primary = Redis::try_start(&["--repl-diskless-sync-delay", "0"]).unwrap();
    let port = primary.port().to_string();
    let replica = Redis::try_start(&["--replicaof", "127.0.0.1", &port]).unwrap();
    let (mut writer, mut promoted) = (primary.connect(), replica.connect());
    let mut rig = Rig::with(config(&replica.url()));
    rig.until("synchronized", |_| {
        format!("{:?}", ask(&mut promoted, "INFO replication")).contains("master_link_status:up")
    });
    rig.until_state(State::Impaired, "READONLY");
    add(&mut writer, &fixes(0, 200));
    rig.until_seen(&fixes(0, 200));
    assert_eq!(rig.mode(), "xread");
    ask(&mut promoted, "REPLICAOF NO ONE");
    add(&mut promoted, &fixes(200, 100));
    rig.until_working();
    add(&mut promoted, &fixes(300, 100));
    rig.until_seen(&fixes(0, 400));
}

#[test]
fn f18_while_writes_are_paused_live_reads_by_xread() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    ask(&mut connection, "CLIENT PAUSE 60000 WRITE");
    rig.until("by XREAD", |rig| rig.mode() == "xread");
    rig.until("impaired", |rig| rig.state() == State::Impaired);
    ask(&mut connection, "CLIENT UNPAUSE");
    add(&mut connection, &fixes(0, 10));
    rig.until_seen_at_least(&fixes(0, 10));
    rig.until_working();
}

#[test]
fn a_key_of_another_type_is_held_in_words_until_it_is_gone() {
    let redis = Redis::start();
    let mut connection = redis.connect();
    ask(&mut connection, "SET telemetry:teltonika text");
    let mut rig = Rig::with(config(&redis.url()));
    rig.until_state(State::Failed, "WRONGTYPE");
    ask(&mut connection, "DEL telemetry:teltonika");
    rig.until_working();
    add(&mut connection, &[(DEVICES - 1, START_MS)]);
    rig.until_seen(&[(DEVICES - 1, START_MS)]);
}

#[test]
fn a_wrong_password_is_held_in_words_without_the_password() {
    let redis = Redis::start();
    ask(&mut redis.connect(), "CONFIG SET requirepass right-one");
    let url = redis.url().replace("redis://", "redis://:wrong-one@");
    let mut rig = Rig::with(config(&url));
    rig.until_state(State::Failed, "WRONGPASS");
    assert!(!rig.log.text().contains("wrong-one"));
    assert_eq!(rig.stop(), None, "no reason to stop");
}
