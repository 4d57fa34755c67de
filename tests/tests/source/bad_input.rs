//! Entries that are none: counted, passed over, and nothing beside them suffers.

use tests::redis::Redis;

use crate::rig::{Fix, Rig, STREAM, entry, fixes};

/// Adds an entry of these fields.
fn add_fields(pipe: &mut redis::Pipeline, fields: &[(&str, &[u8])]) {
    pipe.cmd("XADD").arg(STREAM).arg("*");
    for (name, value) in fields {
        pipe.arg(name).arg(*value);
    }
    pipe.ignore();
}

#[test]
fn d1_35_bad_entries_among_good_ones_are_counted_and_cost_no_other() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let whole: [(&str, &[u8]); 4] =
        [("ts", b"x"), ("device_id", b"device-1"), ("codec", b"8"), ("payload", b"{}")];
    let long = vec![b'x'; 1_000_000];
    let many: Vec<(String, &[u8])> = (0..2_000).map(|n| (n.to_string(), &b"1"[..])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, value)| (&**name, *value)).collect();
    let bad: [&[(&str, &[u8])]; 9] = [
        &[("other", b"1")],
        &whole[..3],
        &whole,
        &[whole[0], whole[1], ("codec", b"9"), whole[3]],
        &[whole[0], whole[1], whole[2], ("payload", b"\xff\xfe")],
        &[whole[0], whole[1], whole[2], ("payload", b"")],
        &[whole[0], whole[1], whole[2], ("payload", &long)],
        &[whole[0], ("device_id", &long), whole[2], whole[3]],
        &many,
    ];
    let mut pipe = redis::pipe();
    let mut expected: Vec<Fix> = Vec::new();
    for (number, bad) in (0..).zip(bad) {
        add_fields(&mut pipe, bad);
        for fix in fixes(number * 3, 3) {
            pipe.add_command(entry("*", fix)).ignore();
            expected.push(fix);
        }
    }
    add_fields(&mut pipe, bad[0]);
    pipe.query::<()>(&mut redis.connect()).unwrap();
    rig.until_seen(&expected);
    rig.until("counted", |rig| rig.metric("processor_live_decode_errors_total") == 10);
    assert_eq!(rig.log.count("cannot be decoded"), 1, "once a minute");
}

#[test]
fn d1_15_an_entry_too_long_to_be_read_is_stepped_over() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut connection = redis.connect();
    let long = vec![b'x'; 3_000_000];
    let mut pipe = redis::pipe();
    pipe.atomic();
    for fix in fixes(0, 5) {
        pipe.add_command(entry("*", fix)).ignore();
    }
    add_fields(&mut pipe, &[("device_id", b"device-1"), ("payload", &long)]);
    add_fields(&mut pipe, &[("payload", &long), ("device_id", b"device-1")]);
    for fix in fixes(5, 5) {
        pipe.add_command(entry("*", fix)).ignore();
    }
    pipe.query::<()>(&mut connection).unwrap();
    rig.until_seen(&fixes(0, 10));
    assert_eq!(rig.metric("processor_live_decode_errors_total"), 2);
    assert_eq!(rig.log.count("too long to be read"), 1, "once a minute");
    rig.until_working();
    assert_eq!(rig.seen, fixes(0, 10), "nor is anything shown twice");
}

#[test]
fn d1_4_fields_nobody_knows_are_ignored_and_counted() {
    let redis = Redis::start();
    let mut rig = Rig::start(&redis);
    let mut command = entry("*", fixes(0, 1)[0]);
    command.arg("firmware").arg("1.2.3").arg("hdop").arg("0.9");
    command.exec(&mut redis.connect()).unwrap();
    rig.until_seen(&fixes(0, 1));
    assert_eq!(rig.metric("processor_live_forgiven_total{what=\"unknown_field\"}"), 2);
}
