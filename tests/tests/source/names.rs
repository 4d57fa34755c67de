//! Two processes of one name, groups of the dead, clusters.

use std::time::{Duration, Instant};

use pitwall::error::Stop;
use pitwall::lease::RENEW_MS;
use pitwall::live::collection::Collector;
use pitwall::secret::Secret;
use pitwall::status::State;
use pitwall::stream::{Control, Server};
use tests::redis::Redis;

use crate::rig::{Rig, STREAM, add, ask, config, entry, fixes};

const LEASE: &str = "pitwall:instance:processor-1";

fn is_name_taken(stop: Option<&Stop>) -> bool {
    matches!(stop, Some(Stop::Config(words)) if words.contains("INSTANCE_ID"))
}

#[test]
fn f23_the_second_process_of_one_name_stops_and_the_first_goes_on() {
    let redis = Redis::start();
    let mut first = Rig::start(&redis);
    let mut second = Rig::with(config(&redis.url()));
    second.until("stopped", |rig| rig.stop().is_some());
    assert!(is_name_taken(second.stop().as_ref()), "{:?}", second.stop());
    assert_eq!(second.stop().map(|stop| stop.exit_code()), Some(78));
    second.end();
    add(&mut redis.connect(), &fixes(0, 100));
    first.until_seen(&fixes(0, 100));
    assert_eq!((first.stop(), first.mode()), (None, "group"));
}

#[test]
fn f23_the_lease_of_a_killed_life_runs_out_and_viewers_do_not_wait_for_it() {
    let redis = Redis::start();
    let mut connection = redis.connect();
    ask(&mut connection, &format!("SET {LEASE} killed PX 3000"));
    let mut rig = Rig::with(config(&redis.url()));
    rig.until_state(State::Impaired, LEASE);
    assert!(!*rig.is_alone.borrow(), "it may still be renewed");
    rig.until("routing", |rig| rig.rosters_seen > 0);
    add(&mut connection, &fixes(0, 10));
    rig.until_seen(&fixes(0, 10));
    assert_eq!(rig.mode(), "xread", "the group may still be another's");
    rig.until_working();
    assert!(*rig.is_alone.borrow());
}

#[test]
fn f23_a_lease_that_stands_still_longer_than_a_renewal_keeps_viewers_out_no_more() {
    let redis = Redis::start();
    ask(&mut redis.connect(), &format!("SET {LEASE} killed PX 20000"));
    let began = Instant::now();
    let mut rig = Rig::with(config(&redis.url()));
    rig.until("alone", |rig| *rig.is_alone.borrow());
    assert!(began.elapsed() >= Duration::from_millis(RENEW_MS), "{:?}", began.elapsed());
    assert_eq!((rig.mode(), rig.stop()), ("xread", None), "the lease is still another's");
}

#[test]
fn f1_viewers_are_let_in_when_redis_cannot_say_who_has_the_name() {
    let mut redis = Redis::start();
    let url = redis.url();
    redis.kill();
    let mut rig = Rig::with(config(&url));
    rig.until("alone", |rig| *rig.is_alone.borrow());
    assert_eq!(rig.stop(), None);
}

#[test]
fn f23_the_lease_is_given_back_after_the_group_not_before() {
    let redis = Redis::start();
    let mut connection = redis.connect();
    let rig = Rig::start(&redis);
    ask(&mut connection, "CONFIG SET slowlog-log-slower-than 0");
    rig.end();
    // The newest come first.
    let log = format!("{:?}", ask(&mut connection, "SLOWLOG GET 100"));
    let at = |part: &str| log.find(part).unwrap_or_else(|| panic!("no {part} in {log}"));
    assert!(at("redis.call('DEL'") < at("DESTROY"), "{log}");
}

#[test]
fn f23_who_loses_the_lease_to_another_process_stops() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    ask(&mut connection, &format!("SET {LEASE} another PX 60000"));
    rig.until("stopped", |rig| rig.stop().is_some());
    assert!(is_name_taken(rig.stop().as_ref()), "{:?}", rig.stop());
    rig.end();
    let held: String = redis::cmd("GET").arg(LEASE).query(&mut connection).unwrap();
    assert_eq!(held, "another", "it is not ours to give back");
    let groups: Vec<redis::Value> =
        redis::cmd("XINFO").arg("GROUPS").arg(STREAM).query(&mut connection).unwrap();
    assert_eq!(groups.len(), 1, "nor is the group");
}

#[test]
fn f24_only_groups_of_the_dead_are_taken_away() {
    let redis = Redis::start();
    let mut connection = redis.connect();
    for group in ["dead", "leased", "own"] {
        let command = format!("XGROUP CREATE {STREAM} live-broadcast-{group} $ MKSTREAM");
        ask(&mut connection, &command);
    }
    for group in ["processor", "live-broadcaster"] {
        ask(&mut connection, &format!("XGROUP CREATE {STREAM} {group} $"));
    }
    entry("1-0", fixes(0, 1)[0]).exec(&mut connection).unwrap();
    for group in ["live-broadcast-dead", "live-broadcast-leased", "live-broadcast-own", "processor"]
    {
        ask(&mut connection, &format!("XREADGROUP GROUP {group} x COUNT 1 STREAMS {STREAM} >"));
    }
    ask(&mut connection, &format!("XGROUP CREATE {STREAM} live-broadcast-empty $"));
    ask(&mut connection, "SET pitwall:instance:leased token PX 60000");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Server::parse(&Secret::new(redis.url())).unwrap();
    let mut control = Control::new(&server).unwrap();
    let collector =
        |idle_ms| Collector::new(STREAM, "live-broadcast", "live-broadcast-own", idle_ms);

    let mut early = collector(0);
    let mut patient = collector(60_000);
    let mut collect =
        |collector: &mut Collector| runtime.block_on(collector.collect(&mut control)).unwrap();
    assert!(collect(&mut early).is_empty() && collect(&mut early).is_empty(), "nothing waits");
    entry("2-0", fixes(1, 1)[0]).exec(&mut connection).unwrap();
    assert!(collect(&mut patient).is_empty(), "idle for less than that");
    assert_eq!(collect(&mut patient), ["live-broadcast-empty"], "never read, twice");

    let mut hasty = collector(0);
    let deadline = Instant::now() + Duration::from_secs(10);
    while collect(&mut hasty) != ["live-broadcast-dead"] {
        assert!(Instant::now() < deadline, "a millisecond passes");
    }
    let left = format!("{:?}", ask(&mut connection, &format!("XINFO GROUPS {STREAM}")));
    for name in ["live-broadcast-leased", "live-broadcast-own", "processor", "live-broadcaster"] {
        assert!(left.contains(&format!("\"{name}\"")), "{left}");
    }
    assert!(!left.contains("dead") && !left.contains("empty"));
}

#[test]
fn f24_a_thousand_groups_of_the_killed_are_taken_away_at_once() {
    let redis = Redis::start();
    let mut connection = redis.connect();
    entry("1-0", fixes(0, 1)[0]).exec(&mut connection).unwrap();
    let mut pipe = redis::pipe();
    for number in 0..1_000 {
        let group = format!("live-broadcast-killed-{number}");
        pipe.cmd("XGROUP").arg("CREATE").arg(STREAM).arg(&group).arg("0").ignore();
        pipe.cmd("XREADGROUP").arg("GROUP").arg(&group).arg("x").arg("STREAMS").arg(STREAM);
        pipe.arg(">").ignore();
    }
    pipe.query::<()>(&mut connection).unwrap();
    entry("2-0", fixes(1, 1)[0]).exec(&mut connection).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Server::parse(&Secret::new(redis.url())).unwrap();
    let mut control = Control::new(&server).unwrap();
    let mut collector = Collector::new(STREAM, "live-broadcast", "live-broadcast-own", 0);
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut destroyed = 0;
    while destroyed < 1_000 {
        destroyed += runtime.block_on(collector.collect(&mut control)).unwrap().len();
        assert!(Instant::now() < deadline, "{destroyed}");
    }
    assert_eq!(destroyed, 1_000);
}

#[test]
fn f27_a_cluster_is_refused_in_words() {
    let redis = Redis::try_start(&["--cluster-enabled", "yes"]).unwrap();
    let mut rig = Rig::with(config(&redis.url()));
    rig.until("stopped", |rig| rig.stop().is_some());
    let stop = rig.stop().unwrap();
    assert!(matches!(&stop, Stop::Config(words) if words.contains("cluster")), "{stop:?}");
}

/// All that the source needs of Redis.
const RIGHTS: &str = "+xread +xreadgroup +xgroup +xinfo +xrange +time +client|setname +eval +get \
                      +set +del +pttl +exists ~telemetry:teltonika ~pitwall:instance:*";

#[test]
fn t30_few_rights_are_enough_and_without_the_lease_positions_still_flow() {
    let redis = Redis::start();
    let mut connection = redis.connect();
    for (user, more) in [("few", ""), ("fewer", "-eval")] {
        let rights = RIGHTS.split_whitespace().chain(more.split_whitespace());
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg(user).arg("on").arg(">secret-word").arg("resetchannels");
        command.arg(rights.collect::<Vec<_>>()).exec(&mut connection).unwrap();
    }
    let url = |user: &str| redis.url().replace("redis://", &format!("redis://{user}:secret-word@"));
    let mut rig = Rig::with(config(&url("few")));
    rig.until_working();
    assert_eq!(rig.log.count("allow CONFIG GET"), 1, "what it may not ask, it says");
    rig.end();

    let mut rig = Rig::with(config(&url("fewer")));
    rig.until_state(State::Impaired, "NOPERM");
    rig.until("routing", |rig| rig.rosters_seen > 0);
    add(&mut connection, &fixes(0, 10));
    rig.until_seen(&fixes(0, 10));
    assert!(!rig.log.text().contains("secret-word"));
}
