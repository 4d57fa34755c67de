//! The way to Redis breaks: half-open, frozen, cut, forged.

use pitwall::status::State;
use tests::proxy::{Forgery, Proxy};
use tests::redis::Redis;

use crate::rig::{Fix, Rig, STREAM, add, config, entry, fixes};

/// A source that reaches Redis by a wire that can break.
fn rig_by(proxy: &Proxy) -> Rig {
    let mut rig = Rig::with(config(&format!("redis://127.0.0.1:{}", proxy.port())));
    rig.until_working();
    rig
}

#[test]
fn f16_a_half_open_connection_is_given_up_after_its_deadline_and_no_entry_is_missed() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port());
    let mut rig = rig_by(&proxy);
    let mut connection = redis.connect();
    add(&mut connection, &fixes(0, 20));
    rig.until_seen(&fixes(0, 20));
    proxy.hold_existing();
    // Redis gives these to the connection that nobody hears any more.
    add(&mut connection, &fixes(20, 20));
    let began = std::time::Instant::now();
    rig.until_seen(&fixes(0, 40));
    let took = began.elapsed();
    assert!(took.as_secs() < 10, "{took:?}: deadline 1.2 s, and the wait before a new connection");
    rig.until_working();
}

#[test]
fn f17_a_frozen_redis_is_left_and_found_again() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    add(&mut connection, &fixes(0, 20));
    rig.until_seen(&fixes(0, 20));
    redis.program().signal("STOP").unwrap();
    rig.until("failed", |rig| rig.state() == State::Failed);
    let threads = thread_count();
    rig.until("failed again", |rig| {
        rig.metric("processor_live_reads_total{result=\"error\"}") >= 2
    });
    assert!(thread_count() <= threads + 1, "no threads pile up");
    redis.program().signal("CONT").unwrap();
    add(&mut connection, &fixes(20, 20));
    rig.until_seen(&fixes(0, 40));
    rig.until_working();
}

/// Threads of the source and its resolvers; other tests run in this process, too.
fn thread_count() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("tokio")).count()
}

#[test]
fn f19_a_forged_reply_ends_the_connection_and_nothing_of_it_is_shown() {
    let good = encoded(&["9-1"], &["device-9"]);
    let mut odd = encoded(&["9-1", "9-2"], &["device-9", "device-9"]);
    let last = odd.windows(4).rposition(|part| part == b"*8\r\n").unwrap();
    odd.truncate(last);
    odd.extend_from_slice(b"*1\r\n$7\r\npayload\r\n");
    let forgeries: [(&str, Vec<u8>); 6] = [
        ("cut in the middle of a value", good[..good.len() - 20].to_vec()),
        ("garbage", b"HTTP/1.1 502 Bad Gateway\r\n\r\n".to_vec()),
        (
            "a header of 600 MB",
            b"*1\r\n*2\r\n$20\r\ntelemetry:teltonika\r\n*1\r\n$600000000\r\n".to_vec(),
        ),
        ("an odd number of texts behind a good entry", odd),
        (
            "a changed byte",
            good.iter().map(|&byte| if byte == b'9' { b'x' } else { byte }).collect(),
        ),
        ("an integer", b":17\r\n".to_vec()),
    ];
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port());
    let mut rig = rig_by(&proxy);
    let mut connection = redis.connect();
    let mut all: Vec<Fix> = Vec::new();
    for (round, (what, bytes)) in (0..).zip(forgeries) {
        let reconnects = rig.metric("processor_live_reconnects_total");
        proxy.forge(Forgery {
            instead_of: b"payload".to_vec(),
            is_cut: what.starts_with("cut"),
            bytes,
        });
        let added = fixes(round * 20, 20);
        let mut pipe = redis::pipe();
        pipe.atomic();
        for fix in &added {
            pipe.add_command(entry("*", *fix)).ignore();
        }
        pipe.query::<()>(&mut connection).unwrap();
        all.extend(added);
        rig.until_seen(&all);
        assert!(proxy.has_forged(), "{what}");
        rig.until("in the group again", |rig| rig.mode() == "group");
        assert!(rig.metric("processor_live_reconnects_total") > reconnects, "{what}");
    }
    rig.until_working();
}

#[test]
fn f14_an_entry_that_lost_its_fields_is_counted_and_the_others_are_shown() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port());
    let mut rig = rig_by(&proxy);
    let one = String::from_utf8(encoded(&["1-3"], &["device-4"])).unwrap();
    let trimmed = "*3\r\n*2\r\n$3\r\n1-1\r\n*-1\r\n*2\r\n$3\r\n1-2\r\n$-1\r\n*2\r\n$3\r\n1-3";
    let bytes = one.replace("*1\r\n*2\r\n$3\r\n1-3", trimmed).into_bytes();
    proxy.forge(Forgery { instead_of: b"payload".to_vec(), bytes, is_cut: false });
    add(&mut redis.connect(), &fixes(0, 1));
    rig.until("counted", |rig| rig.metric("processor_live_trimmed_total") == 2);
    rig.until("shown", |rig| rig.seen.first().is_some_and(|(device, _)| *device == 4));
    assert_eq!(rig.metric("processor_live_decode_errors_total"), 0, "it is no poison");
}

#[test]
fn f15_entries_deleted_before_they_are_read_are_passed_over() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    let mut pipe = redis::pipe();
    pipe.atomic();
    for (number, fix) in (1..).zip(fixes(0, 30)) {
        pipe.add_command(entry(&format!("{number}-0"), fix)).ignore();
    }
    for number in [1, 2, 15, 30] {
        pipe.cmd("XDEL").arg(STREAM).arg(format!("{number}-0")).ignore();
    }
    pipe.query::<()>(&mut connection).unwrap();
    let mut expected = fixes(0, 30);
    for gone in [29, 14, 1, 0] {
        expected.remove(gone);
    }
    rig.until_seen(&expected);
    assert_eq!(rig.metric("processor_live_lag_seconds"), 0);
}

/// The reply to a read that found these entries.
fn encoded(ids: &[&str], devices: &[&str]) -> Vec<u8> {
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let mut reply = format!("*1\r\n*2\r\n{}*{}\r\n", bulk(STREAM), ids.len());
    for (id, device) in ids.iter().zip(devices) {
        let payload = format!(
            "{{\"device_id\":\"{device}\",\"timestamp\":\"2026-06-06T08:15:30.000Z\",\
             \"latitude\":41.5,\"longitude\":19.5,\"altitude\":1,\"angle\":2,\"speed\":3,\
             \"satellites\":9,\"priority\":0,\"attributes\":{{}}}}"
        );
        reply += &format!("*2\r\n{}*8\r\n", bulk(id));
        for text in [
            "ts",
            "2026-06-06T08:15:30.000Z",
            "device_id",
            device,
            "codec",
            "8",
            "payload",
            &payload,
        ] {
            reply += &bulk(text);
        }
    }
    reply.into_bytes()
}
