//! Reads the payload as the platform writes it: keys in its order, no whitespace, nothing escaped.
//!
//! One pass, eight bytes at a time, no allocation, no going back. It accepts only what the general
//! reader accepts, with the same result, and never says why not: `None` means "ask the other one".
//! Everything it accepts is ASCII, because it names each byte it lets pass.

use super::attributes::{BIGINT_DIGITS_MAX, IS_BASE64};
use super::general::{coordinate, count, real};
use super::number;
use super::tally::Notes;
use super::timestamp::{self, USUAL_BYTES};
use super::{Decoded, Read};
use crate::decode::Field;
use crate::id::DeviceIndex;
use crate::limits::{
    ALTITUDE_MAX, ALTITUDE_MIN, ANGLE_MAX, DEVICE_ID_BYTES_MAX, NUMBER_BYTES_MAX,
    PAYLOAD_BYTES_MAX, SPEED_MAX,
};
use crate::position::{Codec, Position};

/// Reads a payload, if it is written as usual.
#[inline]
pub(super) fn read(payload: &[u8], codec: Codec) -> Option<Read<'_>> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return None;
    }
    let mut notes = Notes { fast: true, ..Notes::default() };
    let rest = payload.strip_prefix(b"{\"device_id\":\"")?;
    let (device_id, rest) = plain_text(rest)?;
    if device_id.is_empty() || device_id.len() > DEVICE_ID_BYTES_MAX {
        return None;
    }
    let rest = rest.strip_prefix(b",\"timestamp\":\"")?;
    let (timestamp_text, rest) = rest.split_first_chunk::<USUAL_BYTES>()?;
    let timestamp_ms = timestamp::read_usual(timestamp_text)?;
    let (latitude, rest) = number::read(rest.strip_prefix(b"\",\"latitude\":")?)?;
    let (longitude, rest) = number::read(rest.strip_prefix(b",\"longitude\":")?)?;
    let (altitude, rest) = number::read(rest.strip_prefix(b",\"altitude\":")?)?;
    let (angle, rest) = number::read(rest.strip_prefix(b",\"angle\":")?)?;
    let (speed, rest) = number::read(rest.strip_prefix(b",\"speed\":")?)?;
    let (satellites, rest) = number::read(rest.strip_prefix(b",\"satellites\":")?)?;
    let (priority, rest) = number::read(rest.strip_prefix(b",\"priority\":")?)?;
    let attributes = rest.strip_prefix(b",\"attributes\":")?.strip_suffix(b"}")?;
    check_attributes(attributes)?;
    let position = Position {
        timestamp_ms,
        latitude: coordinate(latitude, Field::Latitude).ok()?,
        longitude: coordinate(longitude, Field::Longitude).ok()?,
        altitude: real(altitude, ALTITUDE_MIN, ALTITUDE_MAX, &mut notes.clamped),
        angle: real(angle, 0.0, ANGLE_MAX, &mut notes.clamped),
        speed: real(speed, 0.0, SPEED_MAX, &mut notes.clamped),
        device: DeviceIndex::ORPHAN,
        satellites: count(satellites, Field::Satellites, &mut notes.clamped).ok()?,
        priority: count(priority, Field::Priority, &mut notes.clamped).ok()?,
        codec,
    };
    let device_id = std::str::from_utf8(device_id).ok()?;
    Some(Read { decoded: Decoded { device_id, position, attributes }, timestamp_text, notes })
}

/// A string of plain ASCII whose opening quote has been passed: its text, and what follows its
/// closing quote. Digits, of which nearly all such texts consist, go by eights.
#[inline]
fn plain_text(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = plain_end(text, number::long_run_end(text, 0));
    match text.get(end)? {
        b'"' => Some((&text[..end], &text[end + 1..])),
        _ => None,
    }
}

/// Passes an object whose values are numbers and sentinels, and with which the text ends.
#[inline]
fn check_attributes(text: &[u8]) -> Option<()> {
    let mut rest = text.strip_prefix(b"{")?;
    if rest == b"}" {
        return Some(());
    }
    loop {
        rest = after_value(after_key(rest)?)?;
        match rest.split_first()? {
            (b',', next) => rest = next,
            (b'}', []) => return Some(()),
            _ => return None,
        }
    }
}

/// Passes a key and its colon.
#[inline]
fn after_key(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"\"")?;
    text.get(plain_end(text, 0)..)?.strip_prefix(b"\":")
}

/// Passes a number or a sentinel.
#[inline]
fn after_value(text: &[u8]) -> Option<&[u8]> {
    let start = match text.first()? {
        b'{' => return after_sentinel(text),
        b'-' => 1,
        _ => 0,
    };
    let end = number::run_end(text, start);
    let is_whole = end == start + 1 || end > start + 1 && text[start] != b'0';
    if is_whole && end <= NUMBER_BYTES_MAX && matches!(text.get(end)?, b',' | b'}') {
        return text.get(end..);
    }
    text.get(number::end(text, 0).ok()?..)
}

fn after_sentinel(text: &[u8]) -> Option<&[u8]> {
    if let Some(text) = text.strip_prefix(b"{\"__bigint\":\"") {
        let start = usize::from(*text.first()? == b'-');
        let end = number::long_run_end(text, start);
        if !(1..=BIGINT_DIGITS_MAX).contains(&(end - start)) {
            return None;
        }
        return text.get(end..)?.strip_prefix(b"\"}");
    }
    let text = text.strip_prefix(b"{\"__buffer_b64\":\"")?;
    let mut end = 0;
    while IS_BASE64[usize::from(*text.get(end)?)] {
        end += 1;
    }
    let rest = match end % 4 {
        0 => text.get(end..)?,
        2 => text.get(end..)?.strip_prefix(b"==")?,
        3 => text.get(end..)?.strip_prefix(b"=")?,
        _ => return None,
    };
    rest.strip_prefix(b"\"}")
}

/// Where the bytes that start at `at` and mean themselves in a string end.
#[inline]
fn plain_end(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at)
        && IS_PLAIN[usize::from(byte)]
    {
        at += 1;
    }
    at
}

/// ASCII without control characters, quote and backslash.
static IS_PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        table[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    table
};
