//! The list of bad stream records, row by row: fields, texts and JSON.

use engine::decode::DecodeError::{self, *};
use engine::decode::{Decoded, Decoder, EntryField, EntryFields, Field, JsonFault};
use engine::position::Codec;

const USUAL: &str = include_str!("../../data/decode/usual.json");

type Pair<'a> = (&'a [u8], &'a [u8]);

fn pairs(payload: &[u8]) -> [Pair<'_>; 4] {
    [
        (b"ts", b"2026-06-06T08:15:30.000Z"),
        (b"device_id", b"356307042441013"),
        (b"codec", b"8"),
        (b"payload", payload),
    ]
}

/// The usual payload with one value replaced by another text.
pub(crate) fn with(field: &str, value: &str) -> String {
    let start = USUAL.find(&format!("\"{field}\":")).expect("a field of it") + field.len() + 3;
    let end = match field {
        "attributes" => USUAL.trim_end().len() - 1,
        _ => start + USUAL[start..].find(",\"").expect("not the last"),
    };
    format!("{}{value}{}", &USUAL[..start], USUAL[end..].trim_end())
}

/// The usual payload without one field.
fn without(field: &str) -> String {
    let replaced = with(field, "0");
    let member = format!("\"{field}\":0");
    replaced.replace(&format!("{member},"), "").replace(&format!(",{member}"), "")
}

pub(crate) fn check_payload(payload: impl AsRef<[u8]>, expected: Result<(), DecodeError>) {
    let payload = payload.as_ref();
    let mut decoder = Decoder::new();
    let decoded = decoder.decode_payload(payload, Codec::Codec8);
    let shown = String::from_utf8_lossy(&payload[..payload.len().min(400)]);
    assert_eq!(decoded.map(|_| ()), expected, "{shown}");
}

pub(crate) fn check(field: &str, value: &str, expected: Result<(), DecodeError>) {
    check_payload(with(field, value), expected);
}

fn check_pairs(pairs: &[Pair<'_>], expected: Result<(), DecodeError>) {
    let entry = EntryFields::from_pairs(pairs.iter().copied());
    let mut decoder = Decoder::new();
    let result = entry.and_then(|entry| decoder.decode(&entry).map(|_| ()));
    assert_eq!(result, expected);
}

/// Decodes the usual payload with one value replaced, and looks at what came out.
pub(crate) fn see<T>(field: &str, value: &str, look: impl FnOnce(&Decoded<'_>) -> T) -> (T, u64) {
    let payload = with(field, value);
    let mut decoder = Decoder::new();
    let decoded = decoder.decode_payload(payload.as_bytes(), Codec::Codec8).expect("acceptable");
    let seen = look(&decoded);
    (seen, decoder.tally().clamped)
}

#[test]
fn d1_01_an_entry_without_fields_is_refused() {
    check_pairs(&[], Err(EntryFieldMissing(EntryField::DeviceId)));
}

#[test]
fn d1_04_unknown_fields_are_ignored_and_counted() {
    let payload = USUAL.trim_end().replacen('{', "{\"hdop\":0.9,\"x\":{\"y\":[]},", 1);
    let mut all = pairs(payload.as_bytes()).to_vec();
    all.push((b"extra", b"\xff"));
    let mut decoder = Decoder::new();
    decoder.decode(&EntryFields::from_pairs(all).unwrap()).unwrap();
    assert_eq!(decoder.tally().unknown_fields, 3);
}

#[test]
fn d1_05_a_missing_field_is_named() {
    let usual = pairs(USUAL.trim_end().as_bytes());
    for field in EntryField::ALL {
        let left: Vec<_> =
            usual.into_iter().filter(|(name, _)| *name != field.name().as_bytes()).collect();
        check_pairs(&left, Err(EntryFieldMissing(field)));
    }
    for field in Field::ALL {
        let required = (field as u8) < Field::Altitude as u8;
        let expected = if required { Err(Missing(field)) } else { Ok(()) };
        check_payload(without(field.name()), expected);
        check(field.name(), "null", expected);
    }
}

#[test]
fn d1_05_missing_optional_fields_are_zero_and_counted() {
    let payload =
        r#"{"device_id":"1","timestamp":"2026-06-06T08:15:30Z","latitude":1,"longitude":2}"#;
    let mut decoder = Decoder::new();
    let decoded = decoder.decode_payload(payload.as_bytes(), Codec::Codec8).unwrap();
    assert_eq!(decoded.attributes, b"{}");
    let position = decoded.position;
    assert_eq!([position.altitude, position.angle, position.speed].map(f32::to_bits), [0; 3]);
    assert_eq!([position.satellites, position.priority], [0; 2]);
    assert_eq!(decoder.tally().defaulted, 6);
}

#[test]
fn d1_06_an_empty_device_id_is_refused() {
    check("device_id", "\"\"", Err(DeviceIdEmpty));
}

#[test]
fn d1_07_a_long_device_id_is_refused() {
    for (length, expected) in
        [(64, Ok(())), (65, Err(DeviceIdTooLong)), (1024, Err(DeviceIdTooLong))]
    {
        check("device_id", &format!("\"{}\"", "7".repeat(length)), expected);
        check("device_id", &format!("\"{}\"", "\\u0037".repeat(length)), expected);
    }
    let mebibyte = format!("\"{}\"", "7".repeat(1 << 20));
    check("device_id", &mebibyte, Err(PayloadTooLong));
}

#[test]
fn d1_08_a_device_id_keeps_its_exact_bytes() {
    for (json, text) in [
        (r#""a\nb\tc""#, "a\nb\tc"),
        (r#""\\N\\.""#, "\\N\\."),
        (r#""\"{}""#, "\"{}"),
        ("\"\u{1F3C1}\"", "\u{1F3C1}"),
        (r#""\ud83c\udfc1""#, "\u{1F3C1}"),
        ("\"\u{202E}ab\"", "\u{202E}ab"),
        ("\"e\u{301}\"", "e\u{301}"),
        (r#""\u0001""#, "\u{1}"),
        (r#""\/\b\f\r""#, "/\u{8}\u{c}\r"),
        ("\"\u{7f}\"", "\u{7f}"),
    ] {
        assert_eq!(see("device_id", json, |decoded| decoded.device_id.to_owned()).0, text);
    }
}

#[test]
fn d1_09_device_ids_that_look_alike_stay_apart() {
    for text in ["0356307042441013", " 356307042441013", "356307042441013 ", "356307042441013"] {
        let json = format!("\"{text}\"");
        assert_eq!(see("device_id", &json, |decoded| decoded.device_id.to_owned()).0, text);
    }
}

#[test]
fn d1_10_invalid_utf8_is_refused_in_each_field() {
    let usual = pairs(USUAL.trim_end().as_bytes());
    for (at, expected) in [
        EntryFieldNotText(EntryField::Timestamp),
        EntryFieldNotText(EntryField::DeviceId),
        CodecUnknown,
        Json(JsonFault::NotUtf8),
    ]
    .into_iter()
    .enumerate()
    {
        for bad in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc3"] {
            let mut changed = usual;
            changed[at].1 = bad;
            check_pairs(&changed, Err(expected));
        }
    }
    for field in Field::ALL {
        let marked = with(field.name(), "\"?\"").into_bytes();
        let bad: Vec<u8> =
            marked.into_iter().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
        check_payload(bad, Err(Json(JsonFault::NotUtf8)));
    }
}

#[test]
fn d1_11_what_is_not_one_json_object_is_refused() {
    let usual = USUAL.trim_end();
    check_payload(usual, Ok(()));
    for (payload, fault) in [
        (String::new(), JsonFault::Truncated),
        (" ".to_owned(), JsonFault::Truncated),
        ("hello".to_owned(), JsonFault::NotObject),
        ("[]".to_owned(), JsonFault::NotObject),
        ("null".to_owned(), JsonFault::NotObject),
        (usual[..usual.len() - 1].to_owned(), JsonFault::Truncated),
        (format!("{usual}x"), JsonFault::Trailing),
        (format!("{usual}{usual}"), JsonFault::Trailing),
        (format!("{usual}\0"), JsonFault::Trailing),
        (format!("\u{feff}{usual}"), JsonFault::NotObject),
        (usual.replace("\"angle\"", "angle"), JsonFault::Syntax),
        (usual.replace('"', "'"), JsonFault::Syntax),
        (usual.replacen('{', "{/* */", 1), JsonFault::Syntax),
        (format!("{},}}", &usual[..usual.len() - 1]), JsonFault::Syntax),
    ] {
        check_payload(payload, Err(Json(fault)));
    }
    for attributes in ["{\"1\":[1}}", "{\"1\":{\"a\":1]}", "{\"1\":[}", "{\"1\" 1}", "{1:1}", "{,}"]
    {
        check("attributes", attributes, Err(Json(JsonFault::Syntax)));
    }
    check_payload(format!("\r\n\t {usual} \n"), Ok(()));
}

#[test]
fn d1_12_a_repeated_field_is_refused() {
    for field in Field::ALL {
        for key in [
            field.name().to_owned(),
            format!("\\u{:04x}{}", field.name().as_bytes()[0], &field.name()[1..]),
        ] {
            let payload = USUAL.trim_end().replacen('{', &format!("{{\"{key}\":null,"), 1);
            check_payload(payload, Err(Repeated(field)));
        }
    }
    for field in EntryField::ALL {
        let mut all = pairs(USUAL.trim_end().as_bytes()).to_vec();
        all.push((field.name().as_bytes(), b"8"));
        check_pairs(&all, Err(EntryFieldRepeated(field)));
    }
}

#[test]
fn d1_13_what_postgresql_cannot_store_is_refused_anywhere() {
    for (text, fault) in [
        ("\"\\u0000\"", JsonFault::Nul),
        ("\"a\0b\"", JsonFault::Nul),
        ("\"\\ud800\"", JsonFault::LoneSurrogate),
        ("\"\\udc00\"", JsonFault::LoneSurrogate),
        ("\"\\ud800\\u0041\"", JsonFault::LoneSurrogate),
        ("\"\\ud800x\"", JsonFault::LoneSurrogate),
        ("\"\\ud800\\ud800\"", JsonFault::LoneSurrogate),
        ("\"\\udbff\\n\"", JsonFault::LoneSurrogate),
        ("\"\u{1f}\"", JsonFault::ControlCharacter),
        ("\"\\x41\"", JsonFault::Escape),
        ("\"\\u12g4\"", JsonFault::Escape),
    ] {
        check("device_id", text, Err(Json(fault)));
        check("attributes", &format!("{{\"1\":[{{\"a\":{text}}}]}}"), Err(Json(fault)));
        check("attributes", &format!("{{{text}:1}}"), Err(Json(fault)));
        check("attributes", &format!("{{\"1\":{{\"__bigint\":{text}}}}}"), Err(Json(fault)));
        let unknown = USUAL.trim_end().replacen('{', &format!("{{\"x\":{text},"), 1);
        check_payload(unknown, Err(Json(fault)));
    }
}

#[test]
fn d1_14_deep_nesting_is_refused() {
    for (depth, expected) in [
        (16, Ok(())),
        (17, Err(Json(JsonFault::TooDeep))),
        (129, Err(Json(JsonFault::TooDeep))),
        (10_000, Err(Json(JsonFault::TooDeep))),
    ] {
        // Two containers stand around the value.
        let lists = format!("{}{}", "[".repeat(depth - 2), "]".repeat(depth - 2));
        check("attributes", &format!("{{\"1\":{lists}}}"), expected);
        let objects = format!("{}1{}", "{\"a\":".repeat(depth - 2), "}".repeat(depth - 2));
        let objects = if depth == 10_000 { lists } else { objects };
        check("attributes", &format!("{{\"1\":{objects}}}"), expected);
    }
}

#[test]
fn d1_15_a_payload_has_a_longest_length() {
    let usual = USUAL.trim_end();
    for (length, expected) in [
        (64 << 10, Ok(())),
        ((64 << 10) + 1, Err(PayloadTooLong)),
        (1 << 20, Err(PayloadTooLong)),
        (16 << 20, Err(PayloadTooLong)),
    ] {
        let padding = " ".repeat(length - usual.len());
        check_payload(format!("{usual}{padding}"), expected);
    }
}

#[test]
fn d1_33_fields_in_another_case_are_unknown() {
    let payload = USUAL.trim_end().replace("\"latitude\"", "\"Latitude\"");
    check_payload(payload, Err(Missing(Field::Latitude)));
    let mut all = pairs(USUAL.trim_end().as_bytes());
    all[3].0 = b"Payload";
    check_pairs(&all, Err(EntryFieldMissing(EntryField::Payload)));
}

#[test]
fn d1_37_a_compressed_payload_is_refused() {
    check_payload(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", Err(Json(JsonFault::NotUtf8)));
    check_payload(b"\x00\x01\x02\x03", Err(Json(JsonFault::NotObject)));
}

#[test]
fn d1_38_an_entry_has_a_largest_number_of_fields() {
    let mut all = pairs(USUAL.trim_end().as_bytes()).to_vec();
    all.resize(64, (b"x", b""));
    check_pairs(&all, Ok(()));
    all.push((b"x", b""));
    check_pairs(&all, Err(EntryFieldsTooMany));
    all.resize(100_000, (b"x", b""));
    check_pairs(&all, Err(EntryFieldsTooMany));
}

#[test]
fn only_the_three_codecs_are_known() {
    for (codec, expected) in [
        ("8", Ok(())),
        ("8E", Ok(())),
        ("16", Ok(())),
        ("8e", Err(CodecUnknown)),
        ("", Err(CodecUnknown)),
        ("12", Err(CodecUnknown)),
        (" 8", Err(CodecUnknown)),
        ("8\0", Err(CodecUnknown)),
    ] {
        let mut all = pairs(USUAL.trim_end().as_bytes());
        all[2].1 = codec.as_bytes();
        check_pairs(&all, expected);
    }
}

#[test]
fn the_payload_wins_over_the_entry_and_the_difference_is_counted() {
    for (at, value) in [(0, &b"2026-06-06T08:15:30Z"[..]), (0, b""), (1, b"1"), (1, b"")] {
        let mut all = pairs(USUAL.trim_end().as_bytes());
        all[at].1 = value;
        let mut decoder = Decoder::new();
        let decoded = decoder.decode(&EntryFields::from_pairs(all).unwrap()).unwrap();
        assert_eq!(decoded.device_id, "356307042441013");
        assert_eq!(decoded.position.timestamp_ms, 1_780_733_730_000);
        assert_eq!(decoder.tally().entry_mismatch, 1);
    }
}

#[test]
fn a_refused_entry_leaves_the_tally_alone() {
    let payload = with("speed", "-1").replace("\"priority\":0", "\"priority\":0.5");
    let mut decoder = Decoder::new();
    decoder.decode_payload(payload.as_bytes(), Codec::Codec8).unwrap_err();
    assert_eq!(decoder.tally(), Decoder::new().tally());
}

#[test]
fn a_broken_sentinel_is_refused() {
    check("attributes", r#"{"1":{"__bigint":"x"}}"#, Err(BigIntInvalid));
    for base64 in ["x", "q===", "====", "qw==qw==", "q-_v"] {
        check(
            "attributes",
            &format!(r#"{{"1":{{"__buffer_b64":"{base64}"}}}}"#),
            Err(BufferInvalid),
        );
    }
    check("attributes", "[]", Err(AttributesNotObject));
    check("attributes", "\"{}\"", Err(AttributesNotObject));
}
