//! What may stand in the stream instead of a position, row by row: stored or set aside, with the
//! reason, and the same for viewers as for the table.

use std::collections::HashMap;

use engine::decode::{Decoder, EntryFields};
use pitwall::config::Roles;
use tests::entries::{Fix, STREAM, iso};
use tests::platform::imei;
use tests::producer::{Kind, Mix, Producer};

use crate::rig::{GROUP, LETTERS, Rig};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What is to become of an entry.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// A row.
    Stored,
    /// A dead letter, with these words in its reason.
    SetAside(&'static str),
    /// A dead letter although it could be decoded, since no reply of Redis may be that long.
    TooLong,
}

use Fate::{SetAside, Stored, TooLong};

/// One row of the list.
struct Case {
    name: String,
    fields: Fields,
    fate: Fate,
}

/// The list, each case with a device and a time of its own.
struct Cases {
    all: Vec<Case>,
    now_ms: i64,
}

impl Cases {
    fn fix(&self) -> Fix {
        let number = self.all.len();
        Fix::new(&imei(number as u64 + 1), self.now_ms - i64::try_from(number).unwrap())
    }

    /// An entry of these fields.
    fn fields(&mut self, name: &str, fields: Fields, fate: Fate) {
        self.all.push(Case { name: name.to_owned(), fields, fate });
    }

    /// An entry with this payload.
    fn payload(&mut self, name: &str, payload: impl AsRef<[u8]>, fate: Fate) {
        self.changed(name, fate, |fields| fields[3].1 = payload.as_ref().to_vec());
    }

    /// A good entry, changed.
    fn changed(&mut self, name: &str, fate: Fate, change: impl FnOnce(&mut Fields)) {
        let mut fields = usual(&self.fix());
        change(&mut fields);
        self.fields(name, fields, fate);
    }

    /// A good payload with one part replaced by another.
    fn replaced(&mut self, name: &str, (from, to): (&str, &str), fate: Fate) {
        let payload = self.fix().payload();
        assert!(payload.contains(from), "{name}: {from} in {payload}");
        self.payload(&format!("{name}: {to:.40}"), payload.replacen(from, to, 1), fate);
    }
}

fn field(name: &str, value: impl AsRef<[u8]>) -> (Vec<u8>, Vec<u8>) {
    (name.as_bytes().to_vec(), value.as_ref().to_vec())
}

fn usual(fix: &Fix) -> Fields {
    vec![
        field("ts", iso(fix.ts_ms)),
        field("device_id", &fix.imei),
        field("codec", "8"),
        field("payload", fix.payload()),
    ]
}

fn entries(cases: &mut Cases) {
    cases.fields("1 no field of ours", vec![field("x", "1")], SetAside("no field `device_id`"));
    cases.changed("4 unknown fields", Stored, |it| it.push(field("hdop", b"\xff\0")));
    for (at, name) in [(0, "`ts`"), (1, "`device_id`"), (2, "`codec`"), (3, "`payload`")] {
        let reason: &str = match at {
            0 => "no field `ts`",
            1 => "no field `device_id`",
            2 => "no field `codec`",
            _ => "no field `payload`",
        };
        cases.changed(&format!("5 no {name}"), SetAside(reason), |it| drop(it.remove(at)));
    }
    for (at, reason) in
        [(0, "`ts` of the entry is not text"), (1, "`device_id` of the entry is not text")]
    {
        cases.changed("10 not UTF-8", SetAside(reason), |it| it[at].1 = b"\xc3\x28".to_vec());
        cases.changed("8 NUL", SetAside(reason), |it| it[at].1 = b"a\0b".to_vec());
    }
    for codec in ["", "8e", "12", "8 ", "\u{ff18}"] {
        let fate = SetAside("The codec is none of");
        cases.changed(&format!("codec {codec:?}"), fate, |it| it[2].1 = codec.into());
    }
    for codec in ["8E", "16"] {
        cases.changed(&format!("codec {codec}"), Stored, |it| it[2].1 = codec.into());
    }
    let twice = SetAside("the field `codec` twice");
    cases.changed("12 a field twice", twice, |it| it.push(field("codec", "8")));
    let other_case = SetAside("no field `payload`");
    cases.changed("33 another case", other_case, |it| it[3].0 = b"Payload".to_vec());
    cases.changed("the entry's time differs", Stored, |it| it[0].1 = b"yesterday".to_vec());
    for (count, fate) in [(64, Stored), (65, SetAside("more than 64 fields"))] {
        cases.changed("38 fields", fate, |it| it.resize(count, field("x", "y")));
    }
    cases.changed("38 100,000 fields", SetAside("more than 64 fields"), |it| {
        it.extend((4..100_000).map(|number| field(&format!("f{number}"), "v")));
    });
    cases.changed("7 a name of 2 MiB", TooLong, |it| it[1].1 = vec![b'7'; 2 << 20]);
    cases.changed("15 a record of 16 MiB", TooLong, |it| it[3].1 = vec![b'x'; 16 << 20]);
}

fn payloads(cases: &mut Cases) {
    let usual = |cases: &Cases| cases.fix().payload();
    let text = usual(cases);
    cases.payload("11 cut off", &text[..text.len() - 1], SetAside("ends before its JSON does"));
    for tail in ["x", "{}", "\0"] {
        let payload = usual(cases) + tail;
        cases.payload("11 something behind it", payload, SetAside("Something follows the JSON"));
    }
    for (payload, reason) in [
        ("", "ends before its JSON does"),
        ("hello", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("\u{feff}{}", "not a JSON object"),
        ("{}", "has no `device_id`"),
        ("{'device_id':1}", "not JSON"),
    ] {
        cases.payload(&format!("11 {payload:?}"), payload, SetAside(reason));
    }
    cases.payload("37 compressed", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", SetAside("not UTF-8"));
    let spaces = usual(cases);
    let spaces = format!("{}{spaces}", " ".repeat((64 << 10) - spaces.len()));
    cases.payload("15 64 KiB", &spaces, Stored);
    let reason = SetAside("longer than 65536 bytes");
    cases.payload("15 a byte more", " ".to_owned() + &spaces, reason);
    cases.payload("15 attributes of 1 MiB", vec![b'7'; 1 << 20], reason);
    for depth in [129, 10_000] {
        let lists = format!("{{\"1\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let from = "{\"239\":1,\"66\":12840}";
        cases.replaced("14 deep", (from, &lists), SetAside("nested deeper than 16"));
    }
    let mut bytes = usual(cases).into_bytes();
    let at = bytes.len() - 5;
    bytes[at] = 0xff;
    cases.payload("10 not UTF-8", bytes, SetAside("not UTF-8"));
    for (member, reason) in [
        ("\"device_id\":", "has no `device_id`"),
        ("\"timestamp\":", "has no `timestamp`"),
        ("\"latitude\":", "has no `latitude`"),
        ("\"longitude\":", "has no `longitude`"),
    ] {
        cases.replaced("5 missing", (member, "\"x\":"), SetAside(reason));
    }
    for member in ["altitude", "angle", "speed", "satellites", "priority", "attributes"] {
        let (from, to) = (format!("\"{member}\":"), format!("\"no_{member}\":"));
        cases.replaced("5 missing", (&from, &to), Stored);
    }
    let twice = ("\"latitude\":", "\"latitude\":1,\"latitude\":");
    cases.replaced("12 twice", twice, SetAside("`latitude` twice"));
    for (to, reason) in [
        ("\"\\u0000\"", "has a NUL"),
        ("\"\\ud800\"", "a lone surrogate"),
        ("\"\u{1}\"", "a raw control character"),
        ("{\"__bigint\":\"x\"}", "`__bigint`"),
        ("{\"__buffer_b64\":\"?\"}", "`__buffer_b64`"),
        ("1e401", "An exponent"),
    ] {
        cases.replaced("13 an attribute", ("12840", to), SetAside(reason));
    }
    for to in [
        "18446744073709551616000",
        "1e3",
        "-0.0",
        "{\"__bigint\":\"18446744073709551615\"}",
        "{\"__buffer_b64\":\"q83v\"}",
        "{\"type\":\"Buffer\",\"data\":[0,255]}",
        "\"\\ud83c\\udfc1 \\\\N \\\\.\"",
    ] {
        cases.replaced("32 an attribute", ("12840", to), Stored);
    }
}

fn names(cases: &mut Cases) {
    let own = |cases: &Cases| format!("\"device_id\":\"{}\"", cases.fix().imei);
    for (name, reason) in [
        (String::new(), "`device_id` is empty"),
        ("7".repeat(65), "`device_id` is longer"),
        ("7".repeat(1_024), "`device_id` is longer"),
    ] {
        let (from, to) = (own(cases), format!("\"device_id\":\"{name}\""));
        cases.replaced("6, 7 a name", (&from, &to), SetAside(reason));
    }
    for name in [
        "a\\nb\\tc",
        "\\\\N",
        "\\\\.",
        "\\\"{}",
        "\u{1F3C1}",
        "\u{202e}ab",
        "e\u{301}",
        "\u{e9}",
        "0356307042441013",
        " 356307042441013",
        "356307042441013 ",
        "ABC",
        "abc",
    ] {
        let (from, to) = (own(cases), format!("\"device_id\":\"{name}\""));
        cases.replaced("8, 9, 31 a name", (&from, &to), Stored);
    }
    let (from, to) = (own(cases), "\"device_id\":356307042441013");
    cases.replaced("a name that is a number", (&from, to), SetAside("`device_id` is not a string"));
}

fn numbers(cases: &mut Cases) {
    let latitude = "\"latitude\":41.3275";
    for value in ["90", "-90", "-0.0", "9e1", "-33.8674869"] {
        cases.replaced("16, 40", (latitude, &format!("\"latitude\":{value}")), Stored);
    }
    for (value, reason) in [
        ("90.0000001", "`latitude` is out of range"),
        ("91", "`latitude` is out of range"),
        ("1e400", "`latitude` is out of range"),
        ("NaN", "not JSON"),
        ("Infinity", "not JSON"),
        ("\"41.3\"", "`latitude` is not a number"),
        ("true", "`latitude` is not a number"),
        ("1,5", "not JSON"),
        ("0x10", "not written as in JSON"),
        ("null", "has no `latitude`"),
    ] {
        cases.replaced("16", (latitude, &format!("\"latitude\":{value}")), SetAside(reason));
    }
    let longitude = "\"longitude\":19.8187";
    for (value, fate) in [
        ("180", Stored),
        ("-180", Stored),
        ("180.0000001", SetAside("`longitude` is out of range")),
        ("181", SetAside("`longitude` is out of range")),
    ] {
        cases.replaced("17", (longitude, &format!("\"longitude\":{value}")), fate);
    }
    for (from, values) in [
        ("\"altitude\":120", &["-500", "9000", "65535", "2147483648", "-1e400"][..]),
        ("\"speed\":63", &["-1", "0", "400", "65535", "255.5", "1e400"]),
        ("\"angle\":214", &["359", "360", "-1", "65535"]),
        ("\"satellites\":11", &["0", "255", "-1", "256", "11.0", "1.1e1"]),
    ] {
        let (name, _) = from.split_once(':').unwrap();
        for value in values {
            cases.replaced("21, 32", (from, &format!("{name}:{value}")), Stored);
        }
    }
    let part = ("\"satellites\":11", "\"satellites\":11.5");
    cases.replaced("21", part, SetAside("`satellites` is not a whole number"));
    let nowhere = cases.fix().payload().replace("41.3275", "0").replace("19.8187", "0");
    cases.payload("19 no fix", nowhere.replace("\"satellites\":11", "\"satellites\":0"), Stored);
}

fn times(cases: &mut Cases) {
    for (value, reason) in [
        ("1780733730", "`timestamp` is not a string"),
        ("1780733730000", "`timestamp` is not a string"),
        ("-1", "`timestamp` is not a string"),
        ("\"1780733730000\"", "not an ISO 8601"),
        ("\"infinity\"", "not an ISO 8601"),
        ("\"2026-06-06T08:15:30.000\"", "has no zone"),
        ("\"2026-06-06T08:15:60.000Z\"", "time of day"),
        ("\"2026-06-06T08:15:30.123456789Z\"", "finer than a millisecond"),
        ("\"2026-02-30T08:15:30.000Z\"", "The day of"),
        ("\"1970-01-01T00:00:00.000Z\"", "before the year 2000"),
        ("\"1980-01-06T00:00:00.000Z\"", "before the year 2000"),
        ("\"2106-02-07T06:28:16.000Z\"", "after the year 2099"),
        ("\"9999-12-31T23:59:59.999Z\"", "after the year 2099"),
        ("\"294277-01-01T00:00:00.000Z\"", "not an ISO 8601"),
    ] {
        let own = format!("\"{}\"", iso(cases.fix().ts_ms));
        cases.replaced("22, 23", (&own, value), SetAside(reason));
    }
    let future = [59_000, 61_000, 86_400_000].map(|ms| iso(cases.now_ms + ms));
    let odd = ["2006-10-21T08:15:30.000Z", "2038-01-19T03:14:08Z", "2026-06-06T10:15:30+02:00"];
    for value in odd.into_iter().chain(future.iter().map(String::as_str)) {
        let own = iso(cases.fix().ts_ms);
        cases.replaced("22, 23, 24", (&own, value), Stored);
    }
}

#[test]
fn d1_every_bad_record_is_stored_or_set_aside_as_the_list_says_and_so_for_viewers() {
    let rig = Rig::new();
    let mut config = rig.config();
    config.roles = Roles::default();
    // So many at once would be a storm.
    config.write.storm_percent = 100;
    let live = rig.scene.start_with(config);
    let mut cases = Cases { all: Vec::new(), now_ms: rig.scene.now_ms() };
    for add in [entries, payloads, names, numbers, times] {
        add(&mut cases);
    }
    let mut pipe = redis::pipe();
    for case in &cases.all {
        pipe.cmd("XADD").arg(STREAM).arg("*").arg(&case.fields);
    }
    let ids: Vec<String> = pipe.query(&mut rig.scene.redis.connect()).unwrap();
    rig.until_acknowledged();
    let letters = letters(&rig);
    let (mut stored, mut set_aside) = (0, 0);
    for (case, id) in cases.all.iter().zip(&ids) {
        let Case { name, fields, fate } = case;
        let letter = letters.get(id);
        let mut decoder = Decoder::new();
        let pairs = fields.iter().map(|(name, value)| (&**name, &**value));
        let decided = EntryFields::from_pairs(pairs).and_then(|it| {
            let decoded = decoder.decode(&it)?;
            Ok((decoded.device_id.to_owned(), decoded.position.timestamp_ms))
        });
        match (fate, letter, decided) {
            (Stored, None, Ok((device_id, ts_ms))) => {
                assert_eq!(rows(&rig, &device_id, ts_ms), 1, "{name}");
                stored += 1;
            }
            (SetAside(words), Some(letter), Err(error)) => {
                let reason = String::from_utf8_lossy(&letter[1].1);
                assert!(reason.contains(words), "{name}: {reason}");
                assert_eq!(reason, error.to_string(), "{name}: it is the same for viewers");
                check_letter(name, letter, fields);
                set_aside += 1;
            }
            (TooLong, Some(letter), _) => {
                assert_eq!(letter[1].1, b"The entry is longer than pitwall reads.", "{name}");
                check_letter(name, letter, fields);
                set_aside += 1;
            }
            (fate, letter, decided) => {
                panic!("{name}: {fate:?}, a letter: {}, {decided:?}", letter.is_some())
            }
        }
    }
    assert_eq!(stored, rig.stored());
    assert_eq!(set_aside, letters.len() as u64);
    for name in ["processor_consumer_decode_errors_total", "processor_live_decode_errors_total"] {
        rig.scene.wait_for_metric(live.admin, name, set_aside);
        assert_eq!(rig.metric(&live, name), set_aside, "{name}");
    }
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
}

/// The dead letters by their entries.
fn letters(rig: &Rig) -> HashMap<String, Fields> {
    let mut range = redis::cmd("XRANGE");
    range.arg(LETTERS).arg("-").arg("+");
    let all: Vec<(String, Fields)> = range.query(&mut rig.scene.redis.connect()).unwrap();
    let by_entry = all.into_iter().map(|(_, fields)| {
        assert_eq!(fields[0].0, b"entry");
        (String::from_utf8(fields[0].1.clone()).unwrap(), fields)
    });
    by_entry.collect()
}

/// A letter has every field of its entry, byte for byte and in order; what is beyond a thousand is
/// packed.
fn check_letter(name: &str, letter: &Fields, fields: &Fields) {
    assert_eq!(letter[2], field("code", "decode"), "{name}");
    let raw: Fields = letter
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(b"raw:")?.to_vec(), value.clone())))
        .collect();
    assert!(raw == fields[..fields.len().min(1_000)], "{name}");
    assert_eq!(letter.last().unwrap().0 == b"raw_rest", fields.len() > 1_000, "{name}");
}

fn rows(rig: &Rig, device_id: &str, ts_ms: i64) -> i64 {
    let mut count = 0;
    rig.scene.sql(async |client| {
        let statement = "SELECT count(*) FROM positions WHERE device_id = $1
            AND ts = 'epoch'::timestamptz + $2 * interval '1 ms'";
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century")]
        let row = client.query_one(statement, &[&device_id, &(ts_ms as f64)]).await;
        count = row.unwrap().get(0);
    });
    count
}

#[test]
fn d1_35_bad_records_anywhere_in_a_batch_cost_no_good_one() {
    for (seed, undecodable) in [(1, 1_000), (2, 300)] {
        let rig = Rig::new();
        let mut config = rig.config();
        config.write.storm_percent = 100;
        let mix = Mix { undecodable, late: 0, duplicates: 0, ..Mix::rough(seed) };
        let mut producer = Producer::new(rig.scene.redis.port(), mix);
        producer.burst(500);
        let _live = rig.start_with(config);
        let verdict = rig.until_drained(&producer);
        verdict.assert_drained();
        assert_eq!(verdict.dead_lettered, producer.log().count(Kind::Undecodable) as u64);
    }
}

#[test]
fn d1_36_a_record_given_eleven_times_by_outages_is_stored_and_only_what_is_refused_is_set_aside() {
    let rig = Rig::new();
    rig.make_group();
    rig.publish_at_once(1, 10, ["XADD telemetry:teltonika * payload {", ""]);
    let read = format!("XREADGROUP GROUP {GROUP} processor-1 STREAMS {STREAM}");
    rig.ask(&format!("{read} >"));
    for _ in 0..11 {
        rig.ask(&format!("{read} 0"));
    }
    let given = rig.ask(&format!("XPENDING {STREAM} {GROUP} - + 1"));
    assert_eq!(given.lines().last(), Some("12"), "{given}");
    let live = rig.start();
    rig.until_stored(10);
    assert_eq!(rig.letters(), 1);
    assert_eq!(rig.metric(&live, "processor_consumer_redelivered_total"), 11);
}
