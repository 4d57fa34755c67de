//! Reads the payload as the platform writes it, whatever the order of its keys.
//!
//! No allocation, and one pass over what is written exactly as usual. Anything else is read from its
//! start again, key by key: the key that usually comes next is tried first, with one compare, another
//! one is looked up. Optional keys may be missing, unknown ones may hold a number, a word or a plain
//! text, and whitespace may stand between tokens.
//!
//! It accepts only what the general reader accepts, with the same result, and never says why not:
//! `None` means "ask the other one". Everything it accepts is ASCII, because it names each byte it
//! lets pass.

use super::attributes::compact::after_attributes;
use super::general::{coordinate, count, real};
use super::number;
use super::plain::{self, after, trimmed};
use super::tally::Notes;
use super::timestamp::{self, USUAL_BYTES};
use super::{Decoded, Read};
use crate::decode::Field;
use crate::id::DeviceIndex;
use crate::limits::{
    ALTITUDE_MAX, ALTITUDE_MIN, ANGLE_MAX, DEVICE_ID_BYTES_MAX, PAYLOAD_BYTES_MAX, SPEED_MAX,
};
use crate::position::{Codec, Position};

/// Reads a payload, if it is written without surprise.
#[inline]
pub(super) fn read(payload: &[u8], codec: Codec) -> Option<Read<'_>> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return None;
    }
    let found = match in_usual_order(payload) {
        Some(found) => found,
        None => in_any_order(payload)?,
    };
    found.read(codec)
}

/// Straight on, so that the processor can run ahead: no loop, no look-up, nothing optional.
#[inline]
fn in_usual_order(payload: &[u8]) -> Option<Found<'_>> {
    let mut found = Found::nothing();
    let rest = payload.strip_prefix(b"{\"device_id\":")?;
    let rest = found.take(Field::DeviceId, rest)?.strip_prefix(b",\"timestamp\":")?;
    let rest = found.take(Field::Timestamp, rest)?.strip_prefix(b",\"latitude\":")?;
    let rest = found.take(Field::Latitude, rest)?.strip_prefix(b",\"longitude\":")?;
    let rest = found.take(Field::Longitude, rest)?.strip_prefix(b",\"altitude\":")?;
    let rest = found.take(Field::Altitude, rest)?.strip_prefix(b",\"angle\":")?;
    let rest = found.take(Field::Angle, rest)?.strip_prefix(b",\"speed\":")?;
    let rest = found.take(Field::Speed, rest)?.strip_prefix(b",\"satellites\":")?;
    let rest = found.take(Field::Satellites, rest)?.strip_prefix(b",\"priority\":")?;
    let rest = found.take(Field::Priority, rest)?.strip_prefix(b",\"attributes\":")?;
    (found.take(Field::Attributes, rest)? == b"}").then_some(found)
}

/// Key by key. Kept apart: inlined, it would slow down the straight way.
#[inline(never)]
fn in_any_order(payload: &[u8]) -> Option<Found<'_>> {
    let mut found = Found::nothing();
    let (mut rest, mut expected) = (after(payload, b'{')?, 0);
    loop {
        let (field, value) = next_key(rest, expected)?;
        let value_end = match field {
            Some(field) => found.take(field, value)?,
            None => {
                found.unknown += 1;
                after_unknown(value)?
            }
        };
        let (separator, next) = plain::separator(value_end)?;
        rest = next;
        if separator == b'}' {
            return trimmed(rest).is_empty().then_some(found);
        }
        expected = field.map_or(expected, |field| field as usize + 1);
    }
}

/// Passes a key and its colon: its field, if v1 knows it, and what follows. `expected` is the place
/// in [`Field::ALL`] of the field that usually comes here.
#[inline]
fn next_key(text: &[u8], expected: usize) -> Option<(Option<Field>, &[u8])> {
    if let Some(key) = KEYS.get(expected)
        && key.begins(window(text)?)
    {
        return Some((Some(Field::ALL[expected]), trimmed(text.get(key.bytes..)?)));
    }
    look_up(text)
}

/// [`next_key`] for the others.
#[inline(never)]
fn look_up(text: &[u8]) -> Option<(Option<Field>, &[u8])> {
    let text = trimmed(text);
    let window = window(text)?;
    if let Some(at) = KEYS.iter().position(|key| key.begins(window)) {
        return Some((Some(Field::ALL[at]), trimmed(text.get(KEYS[at].bytes..)?)));
    }
    let (key, value) = plain::key(text)?;
    Some((Field::named(key), value))
}

/// The first bytes of a text. In a whole payload nothing but the last few bytes is shorter, and
/// there is no key of ours in them.
#[inline]
fn window(text: &[u8]) -> Option<u128> {
    match text.first_chunk() {
        Some(window) => Some(u128::from_le_bytes(*window)),
        None => short_window(text),
    }
}

#[cold]
fn short_window(text: &[u8]) -> Option<u128> {
    let mut window = [0; _];
    window.get_mut(..text.len())?.copy_from_slice(text);
    Some(u128::from_le_bytes(window))
}

/// A key with its quotes and its colon, as the low bytes of a word.
struct Key {
    mask: u128,
    text: u128,
    bytes: usize,
}

impl Key {
    const fn of(field: Field) -> Self {
        let (name, mut text, mut mask) = (field.name().as_bytes(), [0; 16], [0; 16]);
        let bytes = name.len() + 3;
        let mut at = 0;
        while at < bytes {
            mask[at] = 0xff;
            text[at] = if at > 0 && at <= name.len() { name[at - 1] } else { b'"' };
            at += 1;
        }
        text[bytes - 1] = b':';
        Self { mask: u128::from_le_bytes(mask), text: u128::from_le_bytes(text), bytes }
    }

    #[inline]
    fn begins(&self, window: u128) -> bool {
        window & self.mask == self.text
    }
}

/// In the order of [`Field::ALL`].
static KEYS: [Key; Field::ALL.len()] = {
    let mut keys = [const { Key::of(Field::DeviceId) }; Field::ALL.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = Key::of(Field::ALL[at]);
        at += 1;
    }
    keys
};

/// What has been read so far.
struct Found<'a> {
    device_id: &'a [u8],
    timestamp_text: &'a [u8],
    timestamp_ms: i64,
    /// By field; 0 for those that are missing or no numbers.
    numbers: [f64; Field::ALL.len()],
    attributes: &'a [u8],
    /// One bit for each field.
    seen: u32,
    unknown: u32,
}

const REQUIRED: u32 =
    bit(Field::DeviceId) | bit(Field::Timestamp) | bit(Field::Latitude) | bit(Field::Longitude);

const ALL: u32 = (1 << Field::ALL.len()) - 1;

const fn bit(field: Field) -> u32 {
    1 << field as u32
}

impl<'a> Found<'a> {
    const fn nothing() -> Self {
        Self {
            device_id: b"",
            timestamp_text: b"",
            timestamp_ms: 0,
            numbers: [0.0; _],
            attributes: b"{}",
            seen: 0,
            unknown: 0,
        }
    }

    /// Takes the value of a field from the start of `text`: what follows it.
    #[inline(always)]
    fn take(&mut self, field: Field, text: &'a [u8]) -> Option<&'a [u8]> {
        if self.seen & bit(field) != 0 {
            return None;
        }
        self.seen |= bit(field);
        match field {
            Field::DeviceId => self.take_device_id(text),
            Field::Timestamp => self.take_timestamp(text),
            Field::Attributes => {
                let rest = after_attributes(text)?;
                self.attributes = text.get(..text.len() - rest.len())?;
                Some(rest)
            }
            _ => {
                let (number, rest) = number::read(text)?;
                self.numbers[field as usize] = number;
                Some(rest)
            }
        }
    }

    /// Digits, of which nearly all of them consist, go by eights.
    #[inline]
    fn take_device_id(&mut self, text: &'a [u8]) -> Option<&'a [u8]> {
        let text = text.strip_prefix(b"\"")?;
        let (device_id, rest) =
            text.split_at_checked(plain::end(text, number::long_run_end(text, 0)))?;
        if device_id.is_empty() || device_id.len() > DEVICE_ID_BYTES_MAX {
            return None;
        }
        self.device_id = device_id;
        rest.strip_prefix(b"\"")
    }

    #[inline]
    fn take_timestamp(&mut self, text: &'a [u8]) -> Option<&'a [u8]> {
        let text = text.strip_prefix(b"\"")?;
        if let Some((usual, rest)) = text.split_first_chunk::<USUAL_BYTES>()
            && let Some(timestamp_ms) = timestamp::read_usual(usual)
        {
            (self.timestamp_text, self.timestamp_ms) = (usual, timestamp_ms);
            return rest.strip_prefix(b"\"");
        }
        let (other, rest) = plain::string(text)?;
        (self.timestamp_text, self.timestamp_ms) = (other, timestamp::read(other).ok()?);
        Some(rest)
    }

    /// Puts together what has been found, if nothing required is missing.
    #[inline(always)]
    fn read(&self, codec: Codec) -> Option<Read<'a>> {
        if self.seen & REQUIRED != REQUIRED {
            return None;
        }
        let missing = (ALL & !self.seen).count_ones();
        let mut notes = Notes {
            fast: true,
            unknown_fields: self.unknown,
            defaulted: missing,
            ..Notes::default()
        };
        let number = |field| self.numbers[field as usize];
        let position = Position {
            timestamp_ms: self.timestamp_ms,
            latitude: coordinate(number(Field::Latitude), Field::Latitude).ok()?,
            longitude: coordinate(number(Field::Longitude), Field::Longitude).ok()?,
            altitude: real(number(Field::Altitude), ALTITUDE_MIN, ALTITUDE_MAX, &mut notes.clamped),
            angle: real(number(Field::Angle), 0.0, ANGLE_MAX, &mut notes.clamped),
            speed: real(number(Field::Speed), 0.0, SPEED_MAX, &mut notes.clamped),
            device: DeviceIndex::ORPHAN,
            satellites: count(number(Field::Satellites), Field::Satellites, &mut notes.clamped)
                .ok()?,
            priority: count(number(Field::Priority), Field::Priority, &mut notes.clamped).ok()?,
            codec,
        };
        let device_id = std::str::from_utf8(self.device_id).ok()?;
        let decoded = Decoded { device_id, position, attributes: self.attributes };
        Some(Read { decoded, timestamp_text: self.timestamp_text, notes })
    }
}

/// Passes the value of a field that v1 does not know: a number, a word or a plain text.
#[cold]
fn after_unknown(text: &[u8]) -> Option<&[u8]> {
    match text.first()? {
        b'"' => Some(plain::string(text.get(1..)?)?.1),
        b't' => text.strip_prefix(b"true"),
        b'f' => text.strip_prefix(b"false"),
        b'n' => text.strip_prefix(b"null"),
        _ => text.get(number::end(text, 0).ok()?..),
    }
}
