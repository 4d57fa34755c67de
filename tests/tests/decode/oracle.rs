//! What a payload means, said as plainly as possible and without any of the engine's code.
//!
//! `serde_json` reads the JSON, recursively and with copies; the rules of the contract follow one by
//! one. Slow and obvious on purpose.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "every cast stands behind a check of the range, every comparison is meant exactly"
)]

use std::ops::RangeInclusive;

use engine::limits;
use serde::Deserializer;
use serde::de::{Deserialize, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What the engine has to find in a payload.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) device_id: String,
    pub(crate) timestamp_ms: i64,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    /// Altitude, angle, speed.
    pub(crate) reals: [f32; 3],
    /// Satellites, priority.
    pub(crate) counts: [u8; 2],
    pub(crate) attributes: String,
    /// Key and JSON text of each attribute, as the database has to get it.
    pub(crate) stored: Vec<(String, String)>,
    /// Unknown fields, clamped numbers, defaulted fields, unusual attributes.
    pub(crate) forgiven: [u64; 4],
}

/// The members of an object, in order, duplicates included.
pub(crate) struct Pairs<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

const KNOWN: [&str; 10] = [
    "device_id",
    "timestamp",
    "latitude",
    "longitude",
    "altitude",
    "angle",
    "speed",
    "satellites",
    "priority",
    "attributes",
];

/// `None` when the payload has to be refused.
pub(crate) fn decode(payload: &[u8]) -> Option<Expected> {
    let text = std::str::from_utf8(payload).ok()?;
    if text.len() > limits::PAYLOAD_BYTES_MAX {
        return None;
    }
    let document: &RawValue = serde_json::from_str(text).ok()?;
    check_tree(document, 0)?;
    let Pairs(members) = serde_json::from_str(document.get()).ok()?;
    if KNOWN.iter().any(|name| members.iter().filter(|(key, _)| key == name).count() > 1) {
        return None;
    }
    let unknown = members.iter().filter(|(key, _)| !KNOWN.contains(&key.as_str())).count();
    let mut forgiven = [unknown as u64, 0, 0, 0];

    let device_id: String = serde_json::from_str(field(&members, "device_id")?.get()).ok()?;
    if device_id.is_empty() || device_id.len() > limits::DEVICE_ID_BYTES_MAX {
        return None;
    }
    let timestamp: String = serde_json::from_str(field(&members, "timestamp")?.get()).ok()?;
    let timestamp_ms = milliseconds(&timestamp)?;
    let latitude = number(field(&members, "latitude")?)?;
    let longitude = number(field(&members, "longitude")?)?;
    if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
        return None;
    }
    let mut optional = |name, most| optional(field(&members, name), most, &mut forgiven);
    let reals = [
        optional("altitude", -32_768.0..=32_767.0)? as f32,
        optional("angle", 0.0..=360.0)? as f32,
        optional("speed", 0.0..=65_535.0)? as f32,
    ];
    let mut counts = [0; 2];
    for (count, name) in counts.iter_mut().zip(["satellites", "priority"]) {
        let exact = field(&members, name).map_or(Some(0.0), number)?;
        if exact.is_finite() && exact != exact.trunc() {
            return None;
        }
        *count = optional(name, 0.0..=255.0)? as u8;
    }
    let (attributes, stored) = attributes(field(&members, "attributes"), &mut forgiven)?;
    Some(Expected {
        device_id,
        timestamp_ms,
        latitude,
        longitude,
        reals,
        counts,
        attributes,
        stored,
        forgiven,
    })
}

/// The value of a field that is neither missing nor null.
fn field<'a>(members: &[(String, &'a RawValue)], name: &str) -> Option<&'a RawValue> {
    let found = members.iter().find(|(key, _)| key == name)?.1;
    (found.get() != "null").then_some(found)
}

/// A number that may be missing and is moved into its range.
fn optional(
    value: Option<&RawValue>,
    range: RangeInclusive<f64>,
    forgiven: &mut [u64; 4],
) -> Option<f64> {
    let Some(value) = value else {
        forgiven[2] += 1;
        return Some(0.0);
    };
    let value = number(value)?;
    if range.contains(&value) {
        return Some(value);
    }
    forgiven[1] += 1;
    Some(if value < 0.0 { *range.start() } else { *range.end() })
}

/// The text of the attributes, and each as the database gets it.
fn attributes(
    value: Option<&RawValue>,
    forgiven: &mut [u64; 4],
) -> Option<(String, Vec<(String, String)>)> {
    let Some(object) = value else {
        forgiven[2] += 1;
        return Some(("{}".to_owned(), Vec::new()));
    };
    let Pairs(members) = serde_json::from_str(object.get()).ok()?;
    let mut stored = Vec::new();
    for (key, value) in members {
        let (text, unusual) = stored_attribute(value.get())?;
        stored.push((key, text));
        forgiven[3] += u64::from(unusual);
    }
    Some((object.get().to_owned(), stored))
}

/// Every string without NUL, every number within bounds, nothing nested too deep.
fn check_tree(value: &RawValue, depth: usize) -> Option<()> {
    let text = value.get();
    match text.as_bytes()[0] {
        b'{' | b'[' if depth == limits::PAYLOAD_DEPTH_MAX => None,
        b'{' => {
            let Pairs(members) = serde_json::from_str(text).ok()?;
            members.into_iter().try_for_each(|(key, value)| {
                if key.contains('\0') { None } else { check_tree(value, depth + 1) }
            })
        }
        b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            elements.into_iter().try_for_each(|element| check_tree(element, depth + 1))
        }
        b'"' => {
            let string: String = serde_json::from_str(text).ok()?;
            (!string.contains('\0')).then_some(())
        }
        b't' | b'f' | b'n' => Some(()),
        _ => {
            let exponent = text.split(['e', 'E']).nth(1).unwrap_or("0");
            let exponent = exponent.trim_start_matches(['+', '-']).trim_start_matches('0');
            let small =
                exponent.is_empty() || exponent.len() <= 3 && exponent.parse::<u32>().ok()? <= 400;
            (small && text.len() <= limits::NUMBER_BYTES_MAX).then_some(())
        }
    }
}

fn number(value: &RawValue) -> Option<f64> {
    let text = value.get();
    if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// The text the database gets, and whether the value is unusual. `None` for a broken sentinel.
fn stored_attribute(text: &str) -> Option<(String, bool)> {
    if !text.starts_with('{') {
        let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        return Some((text.to_owned(), !is_number));
    }
    let Pairs(members) = serde_json::from_str(text).ok()?;
    if let [(key, value)] = &members[..] {
        if key == "__bigint" {
            let decimal: String = serde_json::from_str(value.get()).ok()?;
            let digits = decimal.strip_prefix('-').unwrap_or(&decimal);
            let valid = (1..=20).contains(&digits.len())
                && digits.chars().all(|digit| digit.is_ascii_digit());
            return valid.then(|| (quoted(&decimal), false));
        }
        if key == "__buffer_b64" {
            let base64: String = serde_json::from_str(value.get()).ok()?;
            let letters = base64.strip_suffix('=').unwrap_or(&base64);
            let letters = letters.strip_suffix('=').unwrap_or(letters);
            let valid = base64.len().is_multiple_of(4)
                && letters.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '/');
            return valid.then(|| (quoted(&base64), false));
        }
    }
    match bytes_of_buffer(&members) {
        Some(bytes) => Some((quoted(&base64_of(&bytes)), false)),
        None => Some((text.to_owned(), true)),
    }
}

/// The bytes of `{"type":"Buffer","data":[…]}`.
fn bytes_of_buffer(members: &[(String, &RawValue)]) -> Option<Vec<u8>> {
    let of = |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| value.get());
    let kind: String = serde_json::from_str(of("type")?).ok()?;
    if members.len() != 2 || kind != "Buffer" {
        return None;
    }
    let data: Vec<&RawValue> = serde_json::from_str(of("data")?).ok()?;
    data.into_iter().map(|element| element.get().parse::<u8>().ok()).collect()
}

fn base64_of(bytes: &[u8]) -> String {
    let alphabet: Vec<char> =
        ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let mut text = String::new();
    for at in (0..bits.len()).step_by(6) {
        let six = format!("{:0<6}", &bits[at..bits.len().min(at + 6)]);
        text.push(alphabet[usize::from_str_radix(&six, 2).expect("six bits")]);
    }
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string")
}

/// ISO 8601 with a zone, to the millisecond.
fn milliseconds(text: &str) -> Option<i64> {
    let (moment, zone_minutes) = if let Some(moment) = text.strip_suffix('Z') {
        (moment, 0)
    } else {
        let (moment, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
        let sign = match &zone[..1] {
            "+" => 1,
            "-" => -1,
            _ => return None,
        };
        if &zone[3..4] != ":" {
            return None;
        }
        let (hours, minutes) = (decimal(zone.get(1..3)?)?, decimal(zone.get(4..)?)?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        (moment, sign * (hours * 60 + minutes))
    };
    let (moment, fraction) = moment.split_once('.').unwrap_or((moment, "0"));
    if moment.len() != 19 || !moment.is_ascii() || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    decimal(fraction)?;
    let nanoseconds = decimal(&format!("{fraction:0<9}"))?;
    if nanoseconds % 1_000_000 != 0 {
        return None;
    }
    let separators: String =
        [4, 7, 10, 13, 16].map(|at| moment.as_bytes()[at] as char).iter().collect();
    if separators != "--T::" {
        return None;
    }
    let part = |from: usize, to: usize| decimal(&moment[from..to]);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if hour > 23 || minute > 59 || second > 59 || !(1990..2110).contains(&year) {
        return None;
    }
    let lengths = |year: i64| {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    };
    if !(1..=12).contains(&month) || day < 1 || day > lengths(year)[month as usize - 1] {
        return None;
    }
    let whole_years: i64 = (1970..year).map(|year| lengths(year).iter().sum::<i64>()).sum();
    let whole_months: i64 = lengths(year)[..month as usize - 1].iter().sum();
    let days = whole_years + whole_months + day - 1;
    let seconds = ((days * 24 + hour) * 60 + minute - zone_minutes) * 60 + second;
    let timestamp_ms = seconds * 1000 + nanoseconds / 1_000_000;
    (limits::TIMESTAMP_MS_MIN..=limits::TIMESTAMP_MS_MAX)
        .contains(&timestamp_ms)
        .then_some(timestamp_ms)
}

/// A run of ASCII digits.
fn decimal(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
