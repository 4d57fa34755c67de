//! Rows and numbers from a seed: every one is something that `decode` lets through.

use engine::limits::{ALTITUDE_MAX, ALTITUDE_MIN, ANGLE_MAX, NUMBER_BYTES_MAX, SPEED_MAX};
use engine::position::Codec;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::{Fix, TS_MS};

/// Numbers at the edges of what a payload may carry.
pub(crate) const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-0.0",
    "1e400",
    "-1E+400",
    "1e-400",
    "0e400",
    "5e-324",
    "1.7976931348623157e308",
    "9007199254740993",
    "18446744073709551615",
    "9999999999999999999999999999999999999999999999999999999999999999",
    "-999999999999999999999999999999999999999999999999999999999999999",
    "0.00000000000000000000000000000000000000000000000000000000000001",
    "9.9999999999999999999999999999999999999999999999999999999999e400",
    "-9.99999999999999999999999999999999999999999999999999999999e-400",
];

/// Rows with texts, numbers and attributes of every kind; no timestamp twice.
pub(crate) fn fixes(seed: u8, rows: usize) -> Vec<Fix> {
    let mut fixes: Vec<Fix> = draw(seed, vec(fix(), rows));
    for (at, fix) in (0..).zip(&mut fixes) {
        fix.position.timestamp_ms = TS_MS + at;
    }
    fixes
}

/// JSON numbers of any form, up to the longest and the largest exponent.
pub(crate) fn numbers(seed: u8, count: usize) -> Vec<String> {
    draw(seed, vec(number(), count))
}

fn draw<T: std::fmt::Debug>(seed: u8, strategy: impl Strategy<Value = T>) -> T {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    strategy.new_tree(&mut runner).unwrap().current()
}

fn fix() -> impl Strategy<Value = Fix> {
    let real = |low: f32, high: f32| prop_oneof![low..=high, Just(low), Just(high), Just(-0.0)];
    let degrees = (-90.0..=90.0, -180.0..=180.0);
    let reals = (real(ALTITUDE_MIN, ALTITUDE_MAX), real(0.0, ANGLE_MAX), real(0.0, SPEED_MAX));
    let codec = select(vec![Codec::Codec8, Codec::Codec8Extended, Codec::Codec16]);
    let rest = (any::<u8>(), any::<u8>(), codec);
    (text(1), degrees, reals, rest, attributes()).prop_map(
        |(device_id, degrees, reals, rest, (attributes, attributes_stored))| {
            let mut fix = Fix::new(&device_id, 0).with_attributes(&attributes, &attributes_stored);
            let position = &mut fix.position;
            (position.latitude, position.longitude) = degrees;
            (position.altitude, position.angle, position.speed) = reals;
            (position.satellites, position.priority, position.codec) = rest;
            fix
        },
    )
}

/// Up to 16 characters, 64 bytes, rich in those that text formats trip over.
fn text(chars_min: usize) -> impl Strategy<Value = String> {
    let tricky: Vec<char> = "\t\\N.\n\r'\"{}[]:,0123456789\u{1}\u{7f}\u{202e}".chars().collect();
    let legal = any::<char>().prop_filter("no NUL in PostgreSQL", |&c| c != '\0');
    vec(prop_oneof![select(tricky), legal], chars_min..=16).prop_map(String::from_iter)
}

/// An attributes object as the payload has it, and as the database must.
fn attributes() -> impl Strategy<Value = (String, String)> {
    let key = prop_oneof![4 => (0..1_000_u32).prop_map(|id| id.to_string()), 1 => text(0)];
    vec((key, value()), 0..12).prop_map(|members| {
        let object = |stored: bool| {
            let member = |(key, (value, value_stored)): &(String, (String, String))| {
                let key = serde_json::to_string(key).unwrap();
                format!("{key}:{}", if stored { value_stored } else { value })
            };
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        };
        (object(false), object(true))
    })
}

fn value() -> impl Strategy<Value = (String, String)> {
    let kept = |text: String| (text.clone(), text);
    let bytes = || vec(any::<u8>(), 0..20);
    prop_oneof![
        6 => any::<u32>().prop_map(move |number| kept(number.to_string())),
        2 => number().prop_map(kept),
        1 => text(0).prop_map(move |text| kept(serde_json::to_string(&text).unwrap())),
        1 => any::<u64>().prop_map(|n| (format!("{{\"__bigint\":\"{n}\"}}"), format!("\"{n}\""))),
        1 => bytes().prop_map(|bytes| {
            let text = base64(&bytes);
            (format!("{{\"__buffer_b64\":\"{text}\"}}"), format!("\"{text}\""))
        }),
        1 => bytes().prop_map(|bytes| {
            let list = serde_json::to_string(&bytes).unwrap();
            let text = base64(&bytes);
            (format!("{{\"type\":\"Buffer\",\"data\":{list}}}"), format!("\"{text}\""))
        }),
    ]
}

fn number() -> impl Strategy<Value = String> {
    let sign = select(vec!["", "-"]);
    let whole = prop_oneof![Just("0".to_owned()), "[1-9][0-9]{0,25}"];
    let fraction = prop_oneof![Just(String::new()), "\\.[0-9]{1,25}"];
    let exponent = prop_oneof![
        Just(String::new()),
        (select(vec!["e", "E", "e+", "E+", "e-", "E-"]), 0..=400_u32)
            .prop_map(|(sign, digits)| format!("{sign}{digits}")),
    ];
    (sign, whole, fraction, exponent).prop_map(|(sign, whole, fraction, exponent)| {
        let number = format!("{sign}{whole}{fraction}{exponent}");
        assert!(number.len() <= NUMBER_BYTES_MAX);
        number
    })
}

/// Standard base64 by its definition: six bits a digit.
fn base64(bytes: &[u8]) -> String {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".as_bytes();
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let mut text: String = (0..bits.len())
        .step_by(6)
        .map(|at| format!("{:0<6}", &bits[at..bits.len().min(at + 6)]))
        .map(|six| char::from(digits[usize::from_str_radix(&six, 2).unwrap()]))
        .collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}
