//! A finished frame: the WebSocket header and JSON of one position, encoded once for everybody.
//!
//! Server frames are not masked, so the bytes are the same for every viewer. An entry of a snapshot
//! is cut from the same bytes, so a value has one text everywhere.

mod text;

use text::{INTEGER_TEXT_BYTES, NUMBER_TEXT_BYTES, TEXT_BYTES_MAX, Text};

use crate::id::{EVENT_ID_TEXT_BYTES, EventId};
use crate::limits::{DEVICE_ID_BYTES_MAX, FRAME_BYTES_MAX};
use crate::position::Position;

const TYPE: &[u8] = br#"{"type":"position","topic":"event:"#;
const DEVICE: &[u8; 14] = br#"","deviceId":""#;
const LATITUDE: &[u8; 8] = br#"","lat":"#;
const LONGITUDE: &[u8; 7] = br#","lon":"#;
const TIMESTAMP: &[u8; 6] = br#","ts":"#;
const SPEED: &[u8; 9] = br#","speed":"#;
const COURSE: &[u8; 10] = br#","course":"#;
const CLOSING: &[u8; 1] = b"}";

/// FIN and opcode text.
const FIRST_BYTE: u8 = 0x81;
/// The header of a payload of 126 bytes or more.
const HEADER_BYTES: usize = 4;

const _: () = {
    let names_bytes =
        LATITUDE.len() + LONGITUDE.len() + TIMESTAMP.len() + SPEED.len() + COURSE.len();
    let values_bytes = 4 * NUMBER_TEXT_BYTES + INTEGER_TEXT_BYTES;
    assert!(names_bytes + values_bytes + CLOSING.len() <= TEXT_BYTES_MAX);
    let named_bytes = HEADER_BYTES + HEAD_BYTES + 6 * DEVICE_ID_BYTES_MAX;
    assert!(named_bytes + TEXT_BYTES_MAX <= FRAME_BYTES_MAX);
};

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
    let mut text = Text::default();
    text.put(LATITUDE);
    text.put_degrees(position.latitude);
    text.put(LONGITUDE);
    text.put_degrees(position.longitude);
    text.put(TIMESTAMP);
    text.put_integer(position.timestamp_ms);
    write_optional(&mut text, SPEED, position.speed);
    write_optional(&mut text, COURSE, position.angle);
    text.put(CLOSING);
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.extend_from_slice(head);
    out.extend_from_slice(device);
    out.extend_from_slice(text.bytes());
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
fn write_optional<const BYTES: usize>(text: &mut Text, name: &[u8; BYTES], value: f32) {
    if value.abs() > 0.0 {
        text.put(name);
        text.put_small(value);
    }
}

#[cfg(test)]
mod tests {
    use super::{encode, entry, head};
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
}
