//! Every page, in good times and bad.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use pitwall::status::{Role, State};
use serde_json::json;
use tests::exposition::Exposition;

use crate::office::{CANARY, Office};

#[test]
fn healthz_is_well_until_a_loop_is_silent_and_names_it() {
    let office = Office::open();
    let answer = office.get("/healthz");
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    let _beating = office.context.status.heartbeat("roster", 60_000);
    assert_eq!(office.get("/healthz").status, 200);
    // Redis and the database are not asked, and have no say.
    office.context.status.component("redis", Some(Role::Live)).set(State::Failed, "gone", "", "");
    assert_eq!(office.get("/healthz").status, 200);
    let stuck = office.context.status.heartbeat("shard-1", 0);
    while stuck.silence_ms() == 0 {
        thread::yield_now();
    }
    let answer = office.get("/healthz");
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with("The loop `shard-1` has been silent for "), "{answer:?}");
    assert!(!answer.body.contains("roster"), "{answer:?}");
}

#[test]
fn readyz_names_each_component_with_its_state_and_effect() {
    let office = Office::open();
    let redis = office.context.status.component("redis", Some(Role::Live));
    let database = office.context.status.component("database", None);
    let answer = office.get("/readyz");
    assert_eq!((answer.status, &answer.value()["ready"]), (503, &json!(false)));
    redis.is_working("Redis answers.");
    database.set(State::Failed, "Nobody \"listens\".", "Entries appear late.", "Start it.");
    let answer = office.get("/readyz");
    assert_eq!(answer.status, 200);
    let mut value = answer.value();
    let since = value["components"][1]["since"].take();
    assert!(since.as_str().unwrap().ends_with('Z'), "{since}");
    value["components"][0]["since"].take();
    let expected = json!({ "ready": true, "draining": false, "components": [
        { "name": "redis", "state": "working", "needed": true, "role": "live",
          "reason": "Redis answers.", "effect": "", "remedy": "", "since": null },
        { "name": "database", "state": "failed", "needed": false, "role": null,
          "reason": "Nobody \"listens\".", "effect": "Entries appear late.",
          "remedy": "Start it.", "since": null },
    ]});
    assert_eq!(value, expected);
    office.context.status.drain();
    let answer = office.get("/readyz");
    assert_eq!((answer.status, &answer.value()["draining"]), (503, &json!(true)));
}

#[test]
fn readyz_of_a_role_asks_for_nothing_that_only_the_other_needs() {
    let office = Office::open();
    let status = &office.context.status;
    status.component("redis", Some(Role::Live)).is_working("Redis answers.");
    let writer = status.component("writer", Some(Role::Durable));
    writer.set(State::Failed, "There is no table.", "Nothing is stored.", "Make one.");
    let ready = |path: &str| office.get(path).status;
    assert_eq!((ready("/readyz?role=live"), ready("/readyz?role=durable")), (200, 503));
    assert_eq!((ready("/readyz"), ready("/readyz?role=chief")), (503, 400));
    writer.is_working("Positions are being stored.");
    assert_eq!((ready("/readyz?role=durable"), ready("/readyz")), (200, 200));
}

#[test]
fn statusz_tells_everything_to_programs_and_to_people() {
    let office = Office::open();
    office.context.status.component("redis", Some(Role::Live)).is_working("Redis answers.");
    let _beating = office.context.status.heartbeat("roster", 60_000);
    let value = office.get("/statusz").value();
    assert_eq!(value["version"], json!(env!("CARGO_PKG_VERSION")));
    assert_eq!(value["instance_id"], json!("processor-1"));
    assert_eq!(value["ready"], json!(true));
    assert_eq!(value["components"][0]["name"], json!("redis"));
    assert_eq!(value["loops"][0]["silence_ms_max"], json!(60_000));
    let limits = value["limits"].as_array().unwrap();
    let viewers = json!({ "name": "LIVE_VIEWERS_MAX", "used": 17, "allowed": 100_000 });
    assert!(limits.contains(&viewers), "{limits:?}");
    assert!(limits.iter().any(|limit| limit["name"] == json!("RLIMIT_NOFILE")), "{limits:?}");
    assert!(value["shards"].as_u64() > Some(0));

    let browser = "GET /statusz HTTP/1.1\r\nHost: localhost\r\nAccept: text/html,*/*\r\n\r\n";
    for answer in [office.get("/statusz?format=text"), office.ask(browser)] {
        assert!(answer.head.contains("Content-Type: text/plain; charset=utf-8"), "{answer:?}");
        for words in ["instance processor-1: ready", "redis        working", "Redis answers."] {
            assert!(answer.body.contains(words), "{words}: {}", answer.body);
        }
        assert!(answer.body.contains("LIVE_VIEWERS_MAX                         17     100000"));
    }
    let script = browser.replace("text/html", "application/json");
    assert_eq!(office.ask(&script).value()["ready"], json!(true));
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let office = Office::open();
    let answer = office.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("Content-Type: text/plain; version=0.0.4\r\n"), "{answer:?}");
    let page = Exposition::read(&answer.body);
    assert_eq!(page.text("processor_live_parts_total"), "3");
    assert_eq!(page.text("processor_live_reads_total{result=\"error\"}"), "0");
    let build = format!("pitwall_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(page.text(&build), "1");
    assert!(page.value("process_resident_memory_bytes") > 1_000_000.0);
    assert!(page.value("process_cpu_seconds_total") > 0.0);
    let files = page.value("process_open_fds");
    assert!(files > 5.0 && files < page.value("process_max_fds"), "{files}");
    assert!(page.value("process_start_time_seconds") > 1.7e9);
    let held: Vec<_> = (0..10).map(|_| office.connect()).collect();
    let files_then = Exposition::read(&office.get("/metrics").body).value("process_open_fds");
    assert!(files_then >= files + 10.0, "{files} {files_then}");
    drop(held);
}

#[test]
fn a_flamegraph_shows_who_was_busy() {
    let office = Office::open();
    let end = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let busy = thread::Builder::new().name("very-busy".to_owned());
        let spin = || {
            while !end.load(Ordering::Relaxed) {
                std::hint::spin_loop()
            }
        };
        busy.spawn_scoped(scope, spin).unwrap();
        let other = scope.spawn(|| office.get("/debug/flamegraph?seconds=1"));
        let answers = [office.get("/debug/flamegraph?seconds=1"), other.join().unwrap()];
        end.store(true, Ordering::Relaxed);
        answers
    });
    assert!(answers.iter().any(|answer| answer.status == 200), "{answers:?}");
    for answer in answers {
        if answer.status == 200 {
            assert!(answer.head.contains("Content-Type: image/svg+xml"), "{}", answer.head);
            assert!(answer.body.contains("<svg") && answer.body.contains("very-busy"));
        } else {
            assert_eq!(answer.status, 503, "one at a time");
        }
    }
    for seconds in ["0", "61", "-1", "x", ""] {
        let answer = office.get(&format!("/debug/flamegraph?seconds={seconds}"));
        assert_eq!(answer.status, 400, "{seconds}");
    }
}

#[test]
fn t4_no_page_holds_a_secret_of_the_settings() {
    let office = Office::open();
    let status = &office.context.status;
    status.component("database", None).set(State::Failed, "It is away.", "", "");
    for path in ["healthz", "readyz", "statusz", "statusz?format=text", "metrics", "debug/", "x"] {
        let bearer = format!(
            "GET /{path} HTTP/1.1\r\nHost: localhost\r\nCookie: s={CANARY}\r\n\
             Authorization: Bearer {CANARY}\r\n\r\n"
        );
        let answer = office.ask(&bearer);
        assert!(!answer.body.contains(CANARY) && !answer.head.contains(CANARY), "{path}");
    }
    assert!(!format!("{:?}", office.context).contains(CANARY));
}
