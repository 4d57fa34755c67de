//! `pitwall dlq` and `pitwall pending` as an operator uses them, on a real Redis.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

use redis::Connection;
use serde_json::Value;
use tests::entries::{Fix, iso};
use tests::redis::Redis;

const STREAM: &str = "telemetry:teltonika";

const LETTERS: &str = "telemetry:teltonika:dlq";

type Fields<'a> = &'a [(&'a [u8], &'a [u8])];

/// What a command said, and how it ended.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    error: String,
}

fn pitwall(url: &str, words: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_program"));
    command.args(words.split(' ')).env_clear();
    command.env("REDIS_URL", url).env("POSTGRES_URL", "postgres://u:canary@127.0.0.1:1/x");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let said = Said {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        error: text(output.stderr),
    };
    assert!(!format!("{said:?}").contains("canary"), "{said:?}");
    let steers = |character: char| character.is_control() && character != '\n';
    assert!(!said.out.contains(steers) && !said.error.contains(steers), "{said:?}");
    said
}

fn ask<T: redis::FromRedisValue>(connection: &mut Connection, words: &str) -> T {
    let mut words = words.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    command.query(connection).unwrap()
}

/// Adds a letter, as the writer does.
fn letter(connection: &mut Connection, reason: &str, are_lost: bool, fields: Fields<'_>) -> String {
    let mut add = redis::cmd("XADD");
    add.arg(LETTERS).arg("*").arg(&["entry", "7-1", "reason", reason, "code", "22P02"]);
    add.arg(&["instance", "one", "at", "2026-06-06T08:15:30.000Z"]);
    if are_lost {
        add.arg("lost_fields").arg("1");
    }
    for (name, value) in fields {
        add.arg([b"raw:", *name].concat()).arg(*value);
    }
    add.query(connection).unwrap()
}

/// The fields of a good entry.
fn good(imei: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fix = Fix::new(imei, 1_780_733_730_000);
    let (ts, payload) = (iso(fix.ts_ms), fix.payload());
    [("ts", &*ts), ("device_id", imei), ("codec", "8"), ("payload", &*payload)]
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .to_vec()
}

fn borrowed(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect()
}

fn count(connection: &mut Connection, key: &str) -> u64 {
    ask(connection, &format!("XLEN {key}"))
}

#[test]
fn letters_are_listed_a_line_each_in_either_order_and_page_by_page() {
    let redis = Redis::start();
    let (url, mut connection) = (redis.url(), redis.connect());
    let said = pitwall(&url, "dlq list");
    assert_eq!(
        (said.code, &*said.out),
        (0, "There are no dead letters in telemetry:teltonika:dlq.\n")
    );
    let ids: Vec<String> = (0..250)
        .map(|number| {
            let device = format!("35630704244{number:04}");
            letter(
                &mut connection,
                "The payload is no JSON.",
                false,
                &[(b"device_id", device.as_bytes())],
            )
        })
        .collect();
    let said = pitwall(&url, "dlq list");
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("LETTER"), "{said:?}");
    // Ids of one listing may differ in length, and are padded then.
    assert_eq!(lines[1].split_whitespace().take(2).collect::<Vec<_>>(), [&*ids[249], "7-1"]);
    assert!(lines[1].ends_with("22P02  356307042440249  The payload is no JSON."), "{said:?}");
    assert_eq!(lines[22], "20 of 250 dead letters in telemetry:teltonika:dlq");
    assert_eq!(lines[23], format!("More: pitwall dlq list --from {}", ids[229]));

    let said = pitwall(&url, "dlq list --oldest --count 230");
    assert!(said.out.lines().nth(1).unwrap().starts_with(&ids[0]), "{said:?}");
    let more = said.out.lines().last().unwrap().strip_prefix("More: pitwall ").unwrap();
    assert_eq!(more, format!("dlq list --from {} --oldest", ids[230]));
    let said = pitwall(&url, more);
    assert!(said.out.lines().nth(1).unwrap().starts_with(&ids[230]), "{said:?}");
    assert_eq!(
        said.out.lines().last().unwrap(),
        "20 of 250 dead letters in telemetry:teltonika:dlq"
    );

    let said = pitwall(&url, "dlq list --json --count 1000 --oldest");
    let lines: Vec<Value> =
        said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listed: Vec<&str> = lines.iter().map(|line| line["letter"].as_str().unwrap()).collect();
    assert_eq!(listed, ids);
    assert_eq!(lines[3]["device_id"], "356307042440003");
    assert_eq!((&lines[3]["entry"], &lines[3]["lost_fields"]), (&"7-1".into(), &false.into()));
}

#[test]
fn t29_a_letter_is_shown_whole_and_steers_no_terminal() {
    let redis = Redis::start();
    let (url, mut connection) = (redis.url(), redis.connect());
    let fields: Fields<'_> = &[
        (b"device_id", "\u{1b}]0;owned\u{7}\u{9b}2J\r\nforged".as_bytes()),
        (b"payload", br#"{"device_id":"x","attributes":{"1":[2,"{,"]}}"#),
        (b"payload", b"\xff\x00again"),
    ];
    let id = letter(&mut connection, "It\nwas \u{1b}[31mred.", false, fields);
    let said = pitwall(&url, "dlq list");
    assert_eq!(said.out.lines().count(), 4, "{said:?}");
    assert!(said.out.contains("\\u{1b}]0;owned\\u{7}\\u{9b}2J\\r\\n…"), "{said:?}");
    let said = pitwall(&url, &format!("dlq show {id}"));
    for part in [
        "reason    It\\nwas \\u{1b}[31mred.\n",
        "code      22P02\n",
        "3 fields of the entry (The entry has the field `payload` twice",
        "\ndevice_id   \\u{1b}]0;owned\\u{7}\\u{9b}2J\\r\\nforged\n",
        "{\n  \"device_id\":\"x\",\n  \"attributes\":{\n    \"1\":[\n      2,\n      \"{,\"\n    ]\n  }\n}\n",
        "\npayload     \\xff\\0again\n",
    ] {
        assert!(said.out.contains(part), "{part} is missing in\n{}", said.out);
    }
    let said = pitwall(&url, &format!("dlq show {id} --json"));
    let line: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(line["fields"][1][1].as_str().unwrap().as_bytes(), fields[1].1);
    assert_eq!(line["fields"][2], serde_json::json!(["payload", { "base64": "/wBhZ2Fpbg==" }]));
    let said = pitwall(&url, "dlq show 1-1");
    assert!(said.code == 1 && said.error.contains("There is no dead letter 1-1"), "{said:?}");
    assert_eq!(pitwall(&url, "dlq show 1").code, 2);
}

#[test]
fn an_entry_goes_back_byte_by_byte_and_its_letter_goes_away() {
    let redis = Redis::start();
    let (url, mut connection) = (redis.url(), redis.connect());
    let every_byte: Vec<u8> = (0..=255).collect();
    let fields: Fields<'_> =
        &[(b"raw:a", &every_byte), (&every_byte, b""), (b"entry", b"2"), (b"entry", b"3")];
    let id = letter(&mut connection, "Refused.", false, fields);
    let said = pitwall(&url, &format!("dlq requeue {id}"));
    assert!(said.code == 0 && said.out.contains("It still cannot be decoded"), "{said:?}");
    type Entries = Vec<(String, Vec<(Vec<u8>, Vec<u8>)>)>;
    let found: Entries = ask(&mut connection, &format!("XRANGE {STREAM} - +"));
    assert_eq!(borrowed(&found[0].1), fields);
    assert!(
        said.out.starts_with(&format!("{id} is back in {STREAM} as {}.", found[0].0)),
        "{said:?}"
    );
    assert_eq!((found.len(), count(&mut connection, LETTERS)), (1, 0));
    let said = pitwall(&url, &format!("dlq requeue {id}"));
    assert!(said.code == 1 && said.error.contains(&format!("no dead letter {id}")), "{said:?}");
    assert_eq!(count(&mut connection, STREAM), 1);

    let id = letter(&mut connection, "Refused.", false, &borrowed(&good("356307042441013")));
    let said = pitwall(&url, &format!("dlq requeue {id}"));
    assert!(said.code == 0 && !said.out.contains("still"), "{said:?}");
}

#[test]
fn f5_what_redis_refuses_leaves_the_letter_and_the_stream_as_they_are() {
    let redis = Redis::start();
    let (url, mut connection) = (redis.url(), redis.connect());
    let id = letter(&mut connection, "Refused.", false, &borrowed(&good("356307042441013")));
    ask::<()>(&mut connection, "CONFIG SET maxmemory 1");
    let said = pitwall(&url, &format!("dlq requeue {id}"));
    assert!(said.code == 1 && said.error.contains("OOM"), "{said:?}");
    ask::<()>(&mut connection, "CONFIG SET maxmemory 0");
    assert_eq!((count(&mut connection, STREAM), count(&mut connection, LETTERS)), (0, 1));
    ask::<()>(&mut connection, &format!("SET {STREAM} x"));
    let said = pitwall(&url, &format!("dlq requeue {id}"));
    assert!(said.code == 1 && said.error.contains("WRONGTYPE"), "{said:?}");
    assert_eq!(count(&mut connection, LETTERS), 1);
}

#[test]
fn lost_fields_go_back_only_when_those_from_the_row_are_whole() {
    let redis = Redis::start();
    let (url, mut connection) = (redis.url(), redis.connect());
    let whole = letter(&mut connection, "Refused.", true, &borrowed(&good("356307042441013")));
    let part = letter(&mut connection, "Refused.", true, &[(b"device_id", b"356307042441013")]);
    let none = letter(&mut connection, "Refused.", true, &[]);
    let said = pitwall(&url, "dlq list");
    assert_eq!(said.out.matches("[fields lost] Refused.").count(), 3, "{said:?}");
    let said = pitwall(&url, &format!("dlq requeue {whole} {part} {none}"));
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].ends_with("made from its row, since the entry had been trimmed."), "{said:?}");
    assert!(lines[1].starts_with(&format!("{part} stays: the fields of its entry are lost")));
    assert!(lines[1].contains("not whole: The entry has no field `ts`"), "{said:?}");
    assert_eq!(lines[2], format!("{none} stays: it has no fields of an entry."));
    assert!(said.code == 1 && said.error.contains("2 of 3 letters were not put back"), "{said:?}");
    assert_eq!((count(&mut connection, STREAM), count(&mut connection, LETTERS)), (1, 2));
}

#[test]
fn all_letters_go_back_except_those_that_cannot() {
    let redis = Redis::start();
    let (url, mut connection) = (redis.url(), redis.connect());
    assert_eq!(
        pitwall(&url, "dlq requeue --all").out,
        format!("0 entries are back in {STREAM}.\n")
    );
    for number in 0..150 {
        let fields = good(&format!("35630704244{number:04}"));
        letter(&mut connection, "Refused.", false, &borrowed(&fields));
    }
    letter(&mut connection, "Refused.", false, &[(b"a", b"b")]);
    let lost = letter(&mut connection, "Refused.", true, &[]);
    let mut many = redis::cmd("XADD");
    many.arg(LETTERS).arg("*").arg(&["entry", "8-1", "raw:a", "b", "raw_rest", "1:c,1:d,"]);
    let many: String = many.query(&mut connection).unwrap();
    let said = pitwall(&url, "dlq requeue --all");
    assert_eq!((said.code, &*said.error), (1, "pitwall: 2 letters were not put back.\n"));
    for line in [
        format!("151 entries are back in {STREAM}."),
        "1 of them still cannot be decoded, and will be dead letters again.".to_owned(),
        format!("{lost} stays: it has no fields of an entry."),
        format!("{many} stays: its entry had 2 fields, which no entry of a position has."),
    ] {
        assert!(said.out.lines().any(|said| said == line), "{line} is missing in\n{}", said.out);
    }
    assert_eq!((count(&mut connection, STREAM), count(&mut connection, LETTERS)), (151, 2));
}

#[test]
fn letters_are_deleted_one_by_one_or_all_when_that_is_meant() {
    let redis = Redis::start();
    let (url, mut connection) = (redis.url(), redis.connect());
    let ids: Vec<String> =
        (0..5).map(|_| letter(&mut connection, "Refused.", false, &[])).collect();
    let said = pitwall(&url, &format!("dlq drop {} {}", ids[1], ids[3]));
    assert_eq!(said.out, format!("{} is deleted.\n{} is deleted.\n", ids[1], ids[3]));
    let said = pitwall(&url, &format!("dlq drop {}", ids[1]));
    assert!(said.code == 1 && said.error.contains("There is no dead letter"), "{said:?}");
    assert_eq!(pitwall(&url, "dlq drop").code, 2, "it does not say which");
    assert_eq!(pitwall(&url, &format!("dlq drop --all {}", ids[0])).code, 2, "one or all?");
    let said = pitwall(&url, "dlq drop --all");
    assert!(
        said.code == 1 && said.error.contains("3 dead letters for good: say --yes"),
        "{said:?}"
    );
    assert_eq!(count(&mut connection, LETTERS), 3);
    let said = pitwall(&url, "dlq drop --all --yes");
    assert_eq!((said.code, &*said.out), (0, "3 dead letters are deleted.\n"));
    assert_eq!((count(&mut connection, LETTERS), count(&mut connection, STREAM)), (0, 0));
}

#[test]
fn what_is_pending_is_told_for_each_consumer_and_for_the_oldest_entries() {
    let redis = Redis::start();
    let (url, mut connection) = (redis.url(), redis.connect());
    ask::<()>(&mut connection, &format!("XGROUP CREATE {STREAM} processor 0 MKSTREAM"));
    let said = pitwall(&url, "pending");
    let none = "0 entries are pending in group processor of telemetry:teltonika\n";
    assert_eq!((said.code, &*said.out), (0, none));
    for number in 1..=7 {
        ask::<()>(&mut connection, &format!("XADD {STREAM} {number}-0 a b"));
    }
    for (consumer, count) in [("one", 3), ("t\x1bo", 2), ("idle", 1)] {
        let read = format!("XREADGROUP GROUP processor {consumer} COUNT {count} STREAMS {STREAM}");
        ask::<()>(&mut connection, &format!("{read} >"));
        ask::<()>(&mut connection, &format!("{read} 0"));
    }
    ask::<()>(
        &mut connection,
        &format!("XREADGROUP GROUP processor one COUNT 1 STREAMS {STREAM} 0"),
    );
    ask::<()>(&mut connection, &format!("XACK {STREAM} processor 6-0"));
    ask::<()>(&mut connection, &format!("XTRIM {STREAM} MINID 2"));
    let said = pitwall(&url, "pending --count 4");
    let cells = |line: &str| {
        line.split("  ")
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let lines: Vec<Vec<String>> = said.out.lines().map(cells).collect();
    assert_eq!(lines[0], ["5 entries are pending in group processor of telemetry:teltonika"]);
    assert_eq!(lines[2], ["CONSUMER", "PENDING", "OLDEST", "DELIVERIES", "SILENT"]);
    let numbers = |at: usize| [&*lines[at][0], &*lines[at][1], &*lines[at][3]];
    assert_eq!(numbers(3), ["idle", "0", "-"], "{}", said.out);
    assert_eq!(numbers(4), ["one", "3", "3"]);
    assert_eq!(numbers(5), ["t\\u{1b}o", "2", "2"]);
    let entry = |at: usize| (&*lines[at][0], &*lines[at][2], &*lines[at][4], lines[at].get(5));
    assert_eq!(entry(8), ("1-0", "one", "3", Some(&"trimmed".to_owned())), "{}", said.out);
    assert_eq!(entry(9), ("2-0", "one", "2", None));
    assert_eq!(entry(11), ("4-0", "t\\u{1b}o", "2", None));
    assert_eq!(lines.len(), 12);

    let said = pitwall(&url, "pending --json --count 1");
    let lines: Vec<Value> =
        said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5, "the group, three consumers, an entry");
    assert_eq!((&lines[0]["kind"], &lines[0]["pending"]), (&"group".into(), &5.into()));
    assert_eq!((&lines[3]["consumer"], &lines[3]["pending"]), (&"t\u{1b}o".into(), &2.into()));
    assert_eq!((&lines[4]["entry"], &lines[4]["trimmed"]), (&"1-0".into(), &true.into()));
}

#[test]
fn that_redis_is_away_or_has_no_group_is_told_with_what_to_do() {
    let mut redis = Redis::start();
    let (url, mut connection) = (redis.url(), redis.connect());
    for add in ["", "XADD telemetry:teltonika * a b"] {
        if !add.is_empty() {
            ask::<()>(&mut connection, add);
        }
        let said = pitwall(&url, "pending");
        assert!(said.code == 1 && said.out.is_empty(), "{said:?}");
        assert!(said.error.contains("There is no group processor"), "{said:?}");
        assert!(said.error.contains("Start pitwall with `durable` among its ROLES"), "{said:?}");
    }
    ask::<()>(&mut connection, "CONFIG SET requirepass canary-of-redis");
    let wrong = url.replace("redis://", "redis://:another-canary@");
    for words in ["pending", "dlq list", "dlq drop --all --yes"] {
        let said = pitwall(&wrong, words);
        assert!(said.code == 1 && said.error.contains("authentication failed"), "{said:?}");
        assert!(said.error.contains("REDIS_URL"), "{said:?}");
        let said = pitwall(&url, words);
        assert!(said.code == 1 && said.error.contains("NOAUTH"), "{said:?}");
    }
    redis.kill();
    for words in ["pending", "dlq list", "dlq show 1-1", "dlq requeue --all", "dlq drop 1-1"] {
        let said = pitwall(&wrong, words);
        assert!(said.code == 1 && said.error.contains("Start Redis, or let REDIS_URL"), "{said:?}");
    }
    let said = pitwall("http://canary", "dlq list");
    assert!(said.code == 78 && said.error.contains("REDIS_URL"), "{said:?}");
}

#[test]
fn t30_few_rights_are_enough_for_every_command() {
    let redis = Redis::start();
    let mut connection = redis.connect();
    let rights = "ACL SETUSER few on >secret-word resetchannels ~telemetry:teltonika \
                  ~telemetry:teltonika:dlq +xread +xreadgroup +xgroup +xinfo +xrange +time \
                  +client|setname +eval +get +set +del +pttl +exists +xack +xautoclaim +xpending \
                  +xadd +xlen +xdel +xtrim +xrevrange";
    ask::<()>(&mut connection, rights);
    ask::<()>(&mut connection, &format!("XGROUP CREATE {STREAM} processor 0 MKSTREAM"));
    let url = redis.url().replace("redis://", "redis://few:secret-word@");
    let mut add =
        || letter(&mut connection, "Refused.", false, &borrowed(&good("356307042441013")));
    let (first, second, _third) = (add(), add(), add());
    for words in [
        "pending",
        "dlq list",
        &format!("dlq show {first}"),
        &format!("dlq requeue {first}"),
        &format!("dlq drop {second}"),
        "dlq requeue --all",
        "dlq drop --all --yes",
    ] {
        let said = pitwall(&url, words);
        assert!(said.code == 0 && said.error.is_empty(), "{words}: {said:?}");
    }
}
