//! Redis dies and comes back: with its memory, without it, with an older one, and slowly.

use pitwall::status::State;
use tests::proxy::Proxy;
use tests::redis::Redis;

use crate::rig::{Fix, Rig, add, ask, config, entry, fixes};

#[test]
fn f1_after_a_kill_with_everything_on_disk_no_entry_is_missed() {
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut redis = Redis::start_append_only();
    let mut rig = Rig::start(&redis);
    for round in 0..4 {
        add(&mut redis.connect(), &fixes(round * 100, 60));
        // Some of these are not read yet when the server dies.
        redis.kill_and_restart(&durable);
        let mut connection = redis.connect();
        rig.until("loaded", |_| {
            let info: String =
                redis::cmd("INFO").arg("persistence").query(&mut connection).unwrap();
            info.lines().any(|line| line == "loading:0")
        });
        add(&mut redis.connect(), &fixes(round * 100 + 60, 40));
        rig.until_seen_at_least(&fixes(0, (round + 1) * 100));
    }
    assert_eq!(rig.seen, fixes(0, 400), "nor shown twice");
    rig.until_working();
    assert_eq!(rig.metric("processor_live_stream_resets_total"), 0);
    assert!(rig.metric("processor_live_reconnects_total") >= 4);
}

#[test]
fn f2_after_a_kill_without_persistence_the_new_stream_is_read_from_its_start() {
    let mut redis = Redis::start();
    let mut rig = Rig::start(&redis);
    add(&mut redis.connect(), &fixes(0, 50));
    rig.until_seen(&fixes(0, 50));
    redis.kill();
    rig.until("failed", |rig| rig.state() == State::Failed);
    redis.restart(&[]);
    rig.until("reset", |rig| rig.metric("processor_live_stream_resets_total") == 1);
    add(&mut redis.connect(), &fixes(50, 50));
    rig.until_seen(&fixes(0, 100));
    rig.until_working();
    assert_eq!(rig.log.count("the stream has begun anew"), 1);
    rig.until("leased again", |_| {
        ask(&mut redis.connect(), "EXISTS pitwall:instance:processor-1") == redis::Value::Int(1)
    });
}

#[test]
fn f9_a_server_that_is_loading_is_waited_for() {
    let mut redis = Redis::start();
    let mut connection = redis.connect();
    for key in 0..100 {
        ask(&mut connection, &format!("SET key-{key} {}", "x".repeat(1_000 + key)));
    }
    let mut rig = Rig::start(&redis);
    ask(&mut connection, "CONFIG SET rdbcompression no");
    ask(&mut connection, "SAVE");
    // Ten seconds, unless it is told to be quick; after each key it looks at its clients.
    let slowly = ["--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024"];
    redis.kill_and_begin_to_load(&slowly);
    rig.until_state(State::Failed, "LOADING");
    assert!(!rig.context.status.is_ready());
    ask(&mut redis.connect(), "CONFIG SET key-load-delay 0");
    rig.until_working();
    add(&mut redis.connect(), &fixes(0, 10));
    rig.until_seen(&fixes(0, 10));
}

#[test]
fn f10_a_failover_that_loses_the_tail_hides_nothing_that_is_added_afterwards() {
    let primary = Redis::try_start(&["--repl-diskless-sync-delay", "0"]).unwrap();
    let port = primary.port().to_string();
    let replica = Redis::try_start(&["--replicaof", "127.0.0.1", &port]).unwrap();
    let (mut old, mut new) = (primary.connect(), replica.connect());
    let name = Proxy::to(primary.port());
    let mut rig = Rig::with(config(&format!("redis://127.0.0.1:{}", name.port())));
    rig.until_working();
    let numbered = |from: u32, fixes: &[Fix]| -> Vec<redis::Cmd> {
        (from..).zip(fixes).map(|(number, fix)| entry(&format!("{number}-0"), *fix)).collect()
    };
    for command in numbered(1, &fixes(0, 150)) {
        command.exec(&mut old).unwrap();
    }
    rig.until("replicated", |_| {
        ask(&mut new, "XLEN telemetry:teltonika") == redis::Value::Int(150)
    });
    // From here on the replica hears nothing; what is added now is lost with the old primary.
    ask(&mut new, "REPLICAOF NO ONE");
    for command in numbered(151, &fixes(150, 50)) {
        command.exec(&mut old).unwrap();
    }
    rig.until_seen(&fixes(0, 200));
    name.lead_to(replica.port());
    for command in numbered(151, &fixes(200, 20)) {
        command.exec(&mut new).unwrap();
    }
    rig.until_seen_at_least(&fixes(0, 220));
    rig.until_working();
    add(&mut new, &fixes(220, 10));
    rig.until_seen_at_least(&fixes(0, 230));
}
