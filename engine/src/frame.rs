//! A finished frame: the WebSocket header and JSON of one position, encoded once for everybody.
//!
//! Server frames are not masked, so the bytes are the same for every viewer. An entry of a snapshot
//! is cut from the same bytes, so a value has one text everywhere.

use crate::id::{EVENT_ID_TEXT_BYTES, EventId};
use crate::limits::{DEVICE_ID_BYTES_MAX, FRAME_BYTES_MAX};
use crate::position::Position;

const TYPE: &[u8] = br#"{"type":"position","topic":"event:"#;
const DEVICE: &[u8] = br#"","deviceId":""#;
const LATITUDE: &[u8] = br#"","lat":"#;
const LONGITUDE: &[u8] = br#","lon":"#;
const TIMESTAMP: &[u8] = br#","ts":"#;
const SPEED: &[u8] = br#","speed":"#;
const COURSE: &[u8] = br#","course":"#;
const CLOSING: &[u8] = b"}";

/// FIN and opcode text.
const FIRST_BYTE: u8 = 0x81;
/// The header of a payload of 126 bytes or more.
const HEADER_BYTES: usize = 4;
/// The longest number that JavaScript writes: `-1.7976931348623157e+308`.
const NUMBER_TEXT_BYTES: usize = 25;
/// The longest text of a 64-bit integer.
const INTEGER_TEXT_BYTES: usize = 20;

const _: () = assert!(
    HEADER_BYTES
        + HEAD_BYTES
        + 6 * DEVICE_ID_BYTES_MAX
        + LATITUDE.len()
        + LONGITUDE.len()
        + TIMESTAMP.len()
        + SPEED.len()
        + COURSE.len()
        + 4 * NUMBER_TEXT_BYTES
        + INTEGER_TEXT_BYTES
        + CLOSING.len()
        <= FRAME_BYTES_MAX
);

/// Everything of a frame's payload that comes before the device id: the same for a whole event.
pub const HEAD_BYTES: usize = TYPE.len() + EVENT_ID_TEXT_BYTES + DEVICE.len();

/// Where, in a frame's payload, the part begins that a snapshot entry shares: at `"deviceId"`.
const ENTRY_START: usize = TYPE.len() + EVENT_ID_TEXT_BYTES + 2;

/// The head of every frame of an event.
#[must_use]
pub fn head(event: EventId) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let (kind, rest) = head.split_at_mut(TYPE.len());
    let (topic, device) = rest.split_at_mut(EVENT_ID_TEXT_BYTES);
    kind.copy_from_slice(TYPE);
    topic.copy_from_slice(&event.text());
    device.copy_from_slice(DEVICE);
    head
}

/// Appends the finished frame of `position`; `device` is the escaped device id.
pub fn encode(out: &mut Vec<u8>, head: &[u8; HEAD_BYTES], device: &[u8], position: &Position) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.extend_from_slice(head);
    out.extend_from_slice(device);
    out.extend_from_slice(LATITUDE);
    write_degrees(out, position.latitude);
    out.extend_from_slice(LONGITUDE);
    write_degrees(out, position.longitude);
    out.extend_from_slice(TIMESTAMP);
    write_integer(out, position.timestamp_ms);
    write_optional(out, SPEED, position.speed);
    write_optional(out, COURSE, position.angle);
    out.extend_from_slice(CLOSING);
    let payload_bytes = out.len() - start - HEADER_BYTES;
    if let Ok(short @ 0..=125) = u8::try_from(payload_bytes) {
        // RFC 6455 wants the shortest header; only a device id of a few letters gets here.
        out.copy_within(start + HEADER_BYTES.., start + 2);
        out.truncate(start + 2 + payload_bytes);
        out[start..start + 2].copy_from_slice(&[FIRST_BYTE, short]);
    } else {
        let length = u16::try_from(payload_bytes).expect("FRAME_BYTES_MAX is asserted above");
        let [high, low] = length.to_be_bytes();
        out[start..start + HEADER_BYTES].copy_from_slice(&[FIRST_BYTE, 126, high, low]);
    }
}

/// The part of a frame that a snapshot entry shares: all after its `{`.
#[must_use]
pub fn entry(frame: &[u8]) -> &[u8] {
    let header_bytes = if frame[1] == 126 { HEADER_BYTES } else { 2 };
    &frame[header_bytes + ENTRY_START..]
}

/// v1 leaves `speed` and `course` out when they are 0.
fn write_optional(out: &mut Vec<u8>, name: &[u8], value: f32) {
    if value.abs() > 0.0 {
        out.extend_from_slice(name);
        write_small(out, value);
    }
}

/// Writes a coordinate as JavaScript would.
///
/// Devices send multiples of 1e-7. If `value` is the double nearest to such a multiple, the trimmed
/// decimal of it is the shortest text that reads back equal, because two decimals of at most 15
/// digits never share a double. The rest, and what JavaScript writes with an exponent, goes the
/// general way.
fn write_degrees(out: &mut Vec<u8>, value: f64) {
    const SCALE: f64 = 1e7;
    const UNITS_MAX: u64 = 100_000_000_000_000;
    let scaled = value * SCALE;
    #[expect(clippy::cast_possible_truncation, reason = "compared with the original below")]
    let units = (scaled + 0.5_f64.copysign(scaled)) as i64;
    #[expect(
        clippy::cast_precision_loss,
        clippy::float_cmp,
        reason = "exact equality is the point"
    )]
    let is_multiple = units as f64 / SCALE == value;
    let magnitude = units.unsigned_abs();
    if !is_multiple || !(10..=UNITS_MAX).contains(&magnitude) {
        write_general(out, value);
        return;
    }
    if units < 0 {
        out.push(b'-');
    }
    write_unsigned(out, magnitude / 10_000_000);
    let fraction = magnitude % 10_000_000;
    if fraction == 0 {
        return;
    }
    let mut digits = *b".0000000";
    digits[1] = digit(fraction / 1_000_000);
    digits[2..4].copy_from_slice(pair(fraction / 10_000));
    digits[4..6].copy_from_slice(pair(fraction / 100));
    digits[6..8].copy_from_slice(pair(fraction));
    let end = digits.iter().rposition(|&digit| digit != b'0').expect("the point is not a zero");
    out.extend_from_slice(&digits[..=end]);
}

fn write_general(out: &mut Vec<u8>, value: f64) {
    let mut buffer = ryu_js::Buffer::new();
    out.extend_from_slice(buffer.format(value).as_bytes());
}

/// Writes a `real`: mostly a whole number.
fn write_small(out: &mut Vec<u8>, value: f32) {
    #[expect(clippy::cast_possible_truncation, reason = "compared with the original below")]
    let whole = value as i32;
    #[expect(
        clippy::cast_precision_loss,
        clippy::float_cmp,
        reason = "exact equality is the point"
    )]
    if whole as f32 == value {
        write_integer(out, i64::from(whole));
        return;
    }
    let mut buffer = ryu_js::Buffer::new();
    out.extend_from_slice(buffer.format(value).as_bytes());
}

fn write_integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_unsigned(out, value.unsigned_abs());
}

fn write_unsigned(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; INTEGER_TEXT_BYTES];
    let mut at = digits.len();
    while value >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(pair(value));
        value /= 100;
    }
    // The pair above may have been all there was; a lone 0 is all there is.
    if value > 0 || at == digits.len() {
        at -= 1;
        digits[at] = digit(value);
    }
    out.extend_from_slice(&digits[at..]);
}

/// `00` to `99`: two digits for one division.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut at = 0;
    let mut text = 0;
    while at < pairs.len() {
        pairs[at] = [digit(text / 10), digit(text)];
        at += 1;
        text += 1;
    }
    pairs
};

/// The last two digits.
fn pair(value: u64) -> &'static [u8; 2] {
    &PAIRS[(value % 100) as usize]
}

const fn digit(value: u64) -> u8 {
    b'0' + (value % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::{encode, entry, head, write_degrees, write_general, write_integer, write_small};
    use crate::id::{DeviceIndex, EventId};
    use crate::position::{Codec, Position};

    fn position() -> Position {
        Position {
            timestamp_ms: 1_780_733_730_000,
            latitude: 41.3275,
            longitude: 19.8187,
            altitude: 120.0,
            angle: 214.0,
            speed: 63.0,
            device: DeviceIndex(0),
            satellites: 11,
            priority: 0,
            codec: Codec::Codec8,
        }
    }

    fn check(position: &Position, device: &str, expected: &str) {
        let mut out = Vec::new();
        encode(&mut out, &head(EventId(7)), device.as_bytes(), position);
        let (header, payload) = out.split_at(if out[1] == 126 { 4 } else { 2 });
        assert_eq!(std::str::from_utf8(payload).unwrap(), expected);
        assert_eq!(header[0], 0x81);
        let length = if header.len() == 4 {
            usize::from(header[2]) << 8 | usize::from(header[3])
        } else {
            usize::from(header[1])
        };
        assert_eq!(length, payload.len());
        let shared = std::str::from_utf8(entry(&out)).unwrap();
        assert!(shared.starts_with(r#""deviceId":""#) && expected.ends_with(shared), "{shared}");
    }

    #[test]
    fn a_frame_is_exactly_what_the_contract_says() {
        check(
            &position(),
            "356307042441013",
            r#"{"type":"position","topic":"event:00000000-0000-0000-0000-000000000007","deviceId":"356307042441013","lat":41.3275,"lon":19.8187,"ts":1780733730000,"speed":63,"course":214}"#,
        );
        check(
            &Position { speed: 0.0, angle: -0.0, latitude: -0.0, longitude: 180.0, ..position() },
            "1",
            r#"{"type":"position","topic":"event:00000000-0000-0000-0000-000000000007","deviceId":"1","lat":0,"lon":180,"ts":1780733730000}"#,
        );
    }

    #[test]
    fn degrees_read_the_same_on_both_paths() {
        let mut state = 7_u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Of all magnitudes, so that short texts and long ones come.
            let units = (state >> 20) >> (state % 44);
            #[expect(clippy::cast_precision_loss, reason = "below 2^44")]
            let value = units as f64 / if state & 64 == 0 { 1e7 } else { -1e7 };
            let (mut fast, mut general) = (Vec::new(), Vec::new());
            write_degrees(&mut fast, value);
            write_general(&mut general, value);
            assert_eq!(fast, general, "{value:e}");
        }
    }

    #[test]
    fn integers_have_no_zeros_in_front() {
        fn check(value: i64) {
            let mut out = Vec::new();
            write_integer(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
        check(i64::MIN);
        check(i64::MAX);
        for digits in 0..19 {
            let power = 10_i64.pow(digits);
            for value in [power - 1, power, power + 1, 9 * power, -power] {
                check(value);
            }
        }
    }

    #[test]
    fn a_usual_frame_fits_the_room_that_tables_are_planned_with() {
        let longest = Position {
            latitude: -89.123_456_7,
            longitude: -179.123_456_7,
            speed: 255.0,
            angle: 359.0,
            ..position()
        };
        let mut out = Vec::new();
        encode(&mut out, &head(EventId(7)), b"356307042441013", &longest);
        assert_eq!(out.len(), 186);
        assert!(out.len() <= crate::limits::FRAME_BYTES_TYPICAL);
    }

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        fn degrees(value: f64, expected: &str) {
            let mut out = Vec::new();
            write_degrees(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        fn small(value: f32, expected: &str) {
            let mut out = Vec::new();
            write_small(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        degrees(0.0, "0");
        degrees(-0.0, "0");
        degrees(-90.0, "-90");
        degrees(1e-7, "1e-7");
        degrees(9e-7, "9e-7");
        degrees(0.000_001, "0.000001");
        degrees(-0.000_001_5, "-0.0000015");
        degrees(41.327_512_3, "41.3275123");
        degrees(179.999_999_9, "179.9999999");
        degrees(41.327_512_34, "41.32751234");
        degrees(0.1 + 0.2, "0.30000000000000004");
        degrees(1.5e-300, "1.5e-300");
        small(255.5, "255.5");
        small(0.1, "0.1");
        small(65_535.0, "65535");
        small(1e-7, "1e-7");
    }
}
