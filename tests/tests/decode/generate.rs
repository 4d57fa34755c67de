//! Payloads of every kind: as the platform writes them, as anybody may, and broken ones.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Texts for one field: usually a right one, now and then one of the others.
fn field(
    right: impl Strategy<Value = String> + 'static,
    others: &'static [&'static str],
) -> BoxedStrategy<String> {
    prop_oneof![30 => right, 1 => select(others).prop_map(str::to_owned)].boxed()
}

fn number(range: std::ops::Range<f64>) -> BoxedStrategy<String> {
    prop_oneof![
        4 => (range.clone(), 0_usize..8).prop_map(|(value, places)| format!("{value:.places$}")),
        2 => range.clone().prop_map(|value| value.to_string()),
        1 => range.clone().prop_map(|value| format!("{value:e}")),
        1 => range.clone().prop_map(|value| value.trunc().to_string()),
        1 => (range, 8_usize..24).prop_map(|(value, places)| format!("{value:.places$}")),
    ]
    .boxed()
}

fn whole() -> BoxedStrategy<String> {
    prop_oneof![
        8 => (0..300_u32).prop_map(|value| value.to_string()),
        1 => (-20..300).prop_map(|value| format!("{value}.0")),
        1 => (0..30).prop_map(|value| format!("{value}e1")),
    ]
    .boxed()
}

const NOT_NUMBERS: &[&str] = &[
    "null",
    "\"41.3\"",
    "true",
    "NaN",
    "1e400",
    "-1e400",
    "1e401",
    "1e-400",
    "0x10",
    "1,5",
    "",
    "[]",
    "+1",
    "01",
    "-0.0",
    "-0",
    "90",
    "90.0000001",
    "-90",
    "180",
    "180.0000001",
    "255",
    "256",
    "-1",
    "1.5",
    "0.1e1",
    "11.0",
    "32767.5",
    "-32769",
    "65535",
    "65536",
    "360",
    "361",
    "1E2",
    "1e+2",
    "2147483648",
    "9007199254740993",
    "{}",
    "1.00000000000000000000000000000000000000000000000000000000000000",
    "1.000000000000000000000000000000000000000000000000000000000000000",
];

const TIMESTAMPS: &[&str] = &[
    "null",
    "1780733730",
    "1780733730000",
    "\"\"",
    "\"infinity\"",
    "\"2026-06-06T08:15:30\"",
    "\"2026-06-06T08:15:60Z\"",
    "\"2026-02-29T00:00:00Z\"",
    "\"1970-01-01T00:00:00.000Z\"",
    "\"2106-01-01T00:00:00.000Z\"",
    "\"2026-06-06T08:15:30.000\\u005a\"",
    "\"2026-06-06T08:15:30.123456Z\"",
    "\"2026-06-06 08:15:30Z\"",
];

const DEVICE_IDS: &[&str] = &[
    "null",
    "\"\"",
    "356307042441013",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud83c\\udfc1\"",
    "\"\\\\N\\t\\n\\\"{}\"",
    "\"\u{1F3C1}\u{202E}e\u{301}\"",
    "\"\\x\"",
    "\" 356307042441013\"",
    "\"0356307042441013\"",
    "\"3563\\u003007042441013\"",
    "\"\\u00e\"",
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\u00e9\"",
];

const UNUSUAL_ATTRIBUTES: &[&str] = &[
    "null",
    "true",
    "\"text\"",
    "[]",
    "[1,[2]]",
    "{}",
    "{\"__bigint\":1}",
    "{\"__bigint\":\"x\"}",
    "{\"__bigint\":\"1\",\"__bigint\":\"2\"}",
    "{\"\\u005f_bigint\":\"1\"}",
    "{ \"__bigint\" : \"1\" }",
    "{\"__bigint\":\"999999999999999999999\"}",
    "{\"__bigint\":\"-\"}",
    "{\"__buffer_b64\":\"q\"}",
    "{\"__buffer_b64\":\"qw==\"}",
    "{\"__buffer_b64\":\"q80=\"}",
    "{\"__buffer_b64\":\"q8=0\"}",
    "{\"__buffer_b64\":\"q83\\/\"}",
    "{\"__buffer_b64\":\"====\"}",
    "{\"__buffer_b64\":\"q===\"}",
    "{\"__buffer_b64\":\"q-_v\"}",
    "{\"__buffer_b64\":\"\"}",
    "{\"__buffer_b64\":null}",
    "{\"__bigint\":{\"__bigint\":\"1\"}}",
    "{\"type\":\"Buffer\",\"data\":[]}",
    "{\"type\":\"Buffer\",\"data\":[1, 2 ,255]}",
    "{\"data\":[0],\"type\":\"Buffer\"}",
    "{\"type\":\"Buffer\",\"data\":[256]}",
    "{\"type\":\"Buffer\",\"data\":[1.0]}",
    "{\"type\":\"Buffer\",\"data\":[-0]}",
    "{\"type\":\"Buffer\",\"data\":[1],\"x\":1}",
    "{\"type\":\"Buffer\",\"type\":\"Buffer\"}",
    "{\"type\":\"\\u0042uffer\",\"data\":[1,\"2,3\"]}",
    "{\"type\":\"Buffer\",\"data\":\"[1]\"}",
    "1e400",
    "-1E-400",
    "1e401",
    "123456789012345678901234567890",
    "-0",
    "0.0",
    "00",
    "1.",
    "--1",
    "[[[[[[[[[[[[[[]]]]]]]]]]]]]]",
    "[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]",
];

fn attribute_key() -> BoxedStrategy<String> {
    prop_oneof![
        20 => (0..1000_u32).prop_map(|id| id.to_string()),
        1 => select(&["__generation_type", "", "\\u0031", "a\\\"b", "\u{e9}", "{", "\\ud83d", "\\u0000"][..])
            .prop_map(str::to_owned),
    ]
    .boxed()
}

fn usual_attribute() -> BoxedStrategy<String> {
    prop_oneof![
        8 => any::<u32>().prop_map(|value| (value >> (value % 32)).to_string()),
        2 => any::<i16>().prop_map(|value| value.to_string()),
        1 => number(-1e6..1e6),
        1 => any::<i64>().prop_map(|value| format!("{{\"__bigint\":\"{value}\"}}")),
        1 => any::<u64>().prop_map(|value| format!("{{\"__bigint\":\"{value}\"}}")),
        1 => "([A-Za-z0-9+/]{4}){0,20}(|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)"
            .prop_map(|base64| format!("{{\"__buffer_b64\":\"{base64}\"}}")),
    ]
    .boxed()
}

fn object(members: &[(String, String)], space: &str) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("{space}\"{key}\"{space}:{space}{value}{space}"))
        .collect();
    format!("{{{}{space}}}", members.join(","))
}

/// JSON without escapes, with `space` around every token.
fn spaced(text: &str, space: &str) -> String {
    let (mut spaced, mut is_inside) = (String::new(), false);
    for character in text.chars() {
        is_inside ^= character == '"';
        if !is_inside && "{}[]:,".contains(character) {
            spaced.extend([space, &character.to_string(), space]);
        } else {
            spaced.push(character);
        }
    }
    spaced
}

fn timestamp() -> BoxedStrategy<String> {
    let day = (2000..2100, 1..13, 1..29).prop_map(|(y, m, d)| format!("{y}-{m:02}-{d:02}"));
    let time = (0..24, 0..60, 0..60).prop_map(|(h, m, s)| format!("{h:02}:{m:02}:{s:02}"));
    (day, time, 0..1000).prop_map(|(day, time, ms)| format!("{day}T{time}.{ms:03}Z")).boxed()
}

fn any_timestamp() -> BoxedStrategy<String> {
    let zone = prop_oneof![
        Just("Z".to_owned()),
        (select(&["+", "-"][..]), 0..25, 0..61).prop_map(|(s, h, m)| format!("{s}{h:02}:{m:02}")),
    ];
    let fraction =
        select(&["", ".1", ".12", ".123", ".123000", ".123000000", ".1230", ".", ".1231"][..]);
    prop_oneof![
        6 => timestamp(),
        1 => (timestamp(), fraction, zone)
            .prop_map(|(text, fraction, zone)| format!("{}{fraction}{zone}", &text[..19])),
        1 => (1998..2103, 0..14, 0..33)
            .prop_map(|(y, m, d)| format!("{y}-{m:02}-{d:02}T08:15:30.000Z")),
    ]
    .boxed()
}

fn platform_members() -> impl Strategy<Value = Vec<(String, String)>> {
    let measured = (number(-90.0..90.0), number(-180.0..180.0), number(-500.0..9000.0));
    let counted = (0..361, 0..70_000, 0..256, 0..3);
    let attributes = vec(((0..1000_u32).prop_map(|id| id.to_string()), usual_attribute()), 0..12);
    ("[0-9]{15}", timestamp(), measured, counted, attributes).prop_map(
        |(device, timestamp, measured, (angle, speed, satellites, priority), attributes)| {
            let (latitude, longitude, altitude) = measured;
            [
                ("device_id", format!("\"{device}\"")),
                ("timestamp", format!("\"{timestamp}\"")),
                ("latitude", latitude),
                ("longitude", longitude),
                ("altitude", altitude),
                ("angle", format!("{angle}")),
                ("speed", format!("{speed}")),
                ("satellites", format!("{satellites}")),
                ("priority", format!("{priority}")),
                ("attributes", object(&attributes, "")),
            ]
            .map(|(key, value)| (key.to_owned(), value))
            .to_vec()
        },
    )
}

/// Exactly as the platform writes them: all of these belong to the fast reader.
pub(crate) fn platform_payload() -> impl Strategy<Value = String> {
    platform_members().prop_map(|members| object(&members, ""))
}

/// What the platform writes, in any order, with unknown fields, without some optional ones, spaced:
/// all of these belong to the fast reader too.
pub(crate) fn reordered_payload() -> impl Strategy<Value = String> {
    let unknown = select(
        &[
            ("hdop", "0.9"),
            ("Speed", "-12e2"),
            ("", "\"\""),
            ("event_id_of_the_record", "\"a {},:[]\""),
            ("speed ", "true"),
            ("priorit", "false"),
            ("attributes2", "null"),
        ][..],
    );
    let space = select(&["", "", " ", "\r\n\t "][..]);
    let missing = prop_oneof![Just(0), any::<u8>()];
    let unknown = vec(unknown, 0..3);
    (platform_members(), unknown, missing, space)
        .prop_map(|(mut members, unknown, missing, space)| {
            const OPTIONAL: [&str; 6] =
                ["altitude", "angle", "speed", "satellites", "priority", "attributes"];
            members.retain(|(key, _)| {
                let place = OPTIONAL.iter().position(|name| name == key);
                place.is_none_or(|place| missing >> place & 1 == 0)
            });
            members
                .extend(unknown.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
            (members, space)
        })
        .prop_flat_map(|(members, space)| {
            Just(members)
                .prop_shuffle()
                .prop_map(move |members| spaced(&object(&members, ""), space))
        })
}

fn members() -> BoxedStrategy<Vec<(String, String)>> {
    let attribute = prop_oneof![
        12 => usual_attribute(),
        1 => select(UNUSUAL_ATTRIBUTES).prop_map(str::to_owned),
    ];
    let space = select(&["", "", " ", "\t\r\n "][..]);
    let attributes = (vec((attribute_key(), attribute), 0..8), space)
        .prop_map(|(members, space)| object(&members, space));
    let texts = (
        field("[0-9]{15}".prop_map(|id| format!("\"{id}\"")), DEVICE_IDS),
        field(any_timestamp().prop_map(|text| format!("\"{text}\"")), TIMESTAMPS),
        field(attributes, &["null", "[]", "\"{}\"", "{\"a\":1,}", "{}"]),
    );
    let numbers = (
        field(number(-90.0..90.0), NOT_NUMBERS),
        field(number(-180.0..180.0), NOT_NUMBERS),
        field(number(-500.0..9000.0), NOT_NUMBERS),
        field(number(0.0..360.0), NOT_NUMBERS),
        field(number(0.0..400.0), NOT_NUMBERS),
        field(whole(), NOT_NUMBERS),
        field(whole(), NOT_NUMBERS),
    );
    (texts, numbers)
        .prop_map(|((device, timestamp, attributes), numbers)| {
            let (latitude, longitude, altitude, angle, speed, satellites, priority) = numbers;
            [
                ("device_id", device),
                ("timestamp", timestamp),
                ("latitude", latitude),
                ("longitude", longitude),
                ("altitude", altitude),
                ("angle", angle),
                ("speed", speed),
                ("satellites", satellites),
                ("priority", priority),
                ("attributes", attributes),
            ]
            .map(|(key, value)| (key.to_owned(), value))
            .to_vec()
        })
        .boxed()
}

/// As anybody may write them: any order, spacing, escapes, unknown, missing and repeated fields.
pub(crate) fn any_payload() -> impl Strategy<Value = String> {
    let extra = select(
        &[
            ("hdop", "0.9"),
            ("Speed", "12"),
            ("x", "{\"y\":[1,2,{\"z\":null}]}"),
            ("", "\"\""),
            ("speed", "1"),
            ("sp\\u0065ed", "1"),
            ("device_id", "\"2\""),
            ("n", "1e999"),
            ("\\ud83d", "1"),
            ("x", "\"\\u0000\""),
            ("x", "\"\\ud83c\\udfc1\""),
            ("x", "\"\\udfc1\""),
            ("x", "tru"),
        ][..],
    );
    let change = prop_oneof![
        4 => Just(Change::None),
        2 => Just(Change::Shuffle),
        1 => (0_usize..10).prop_map(Change::Remove),
        1 => (0_usize..11, extra).prop_map(|(at, (key, value))| Change::Insert(at, key, value)),
        1 => (0_usize..10).prop_map(Change::EscapeKey),
    ];
    let space = select(&["", "", "", " ", "\n\t"][..]);
    (members(), change, space, any::<usize>()).prop_map(|(mut members, change, space, order)| {
        match change {
            Change::None => {}
            Change::Shuffle => {
                for at in 1..members.len() {
                    members.swap(at, (order >> at) % (at + 1));
                }
            }
            Change::Remove(at) => drop(members.remove(at)),
            Change::Insert(at, key, value) => {
                members.insert(at, (key.to_owned(), value.to_owned()))
            }
            Change::EscapeKey(at) => {
                let key = members[at].0.clone();
                members[at].0 = format!("\\u{:04x}{}", key.as_bytes()[0], &key[1..]);
            }
        }
        object(&members, space)
    })
}

#[derive(Clone, Debug)]
enum Change {
    None,
    Shuffle,
    Remove(usize),
    Insert(usize, &'static str, &'static str),
    EscapeKey(usize),
}

/// Payloads with a few bytes changed, added, removed or cut off.
pub(crate) fn mutated_payload() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        2 => any::<u8>(),
        4 => b'0'..=b'9',
        5 => select(&b"\"\\{}[]:,.-+eE019 /tfnu\0\x1f\x7f\x80\xc3\xed\xff"[..]),
    ];
    let base = prop_oneof![platform_payload(), reordered_payload(), any_payload()];
    let mutation = (0_u8..6, any::<prop::sample::Index>(), byte);
    (base, vec(mutation, 1..3)).prop_map(|(text, mutations)| {
        let mut text = text.into_bytes();
        for (kind, index, byte) in mutations {
            if text.is_empty() {
                break;
            }
            let at = index.index(text.len());
            match kind {
                0..=2 => text[at] = byte,
                3 => text.insert(at, byte),
                4 => drop(text.remove(at)),
                _ if byte < 16 => text.truncate(at),
                _ => {
                    let middle = text.len() / 2;
                    text.swap(at, middle);
                }
            }
        }
        text
    })
}
