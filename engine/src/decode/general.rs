//! Reads every payload that means something, however it is written, and says why one does not.
//!
//! The whole text is validated while its top level is taken apart, then each field is read by the
//! same functions as in the fast reader. It is the only reader that words an error. Allocates
//! nothing, unless there is an escape somewhere in the payload: then the library takes the top level
//! apart, which costs it a buffer of 128 bytes and a `String` for each key.

use std::borrow::Cow;

use super::error::{DecodeError, Field, JsonFault};
use super::tally::Notes;
use super::timestamp::{self, TIMESTAMP_BYTES_MAX};
use super::{Decoded, Read, attributes, number, scan};
use crate::decode::TimestampFault;
use crate::id::DeviceIndex;
use crate::limits::{
    ALTITUDE_MAX, ALTITUDE_MIN, ANGLE_MAX, DEVICE_ID_BYTES_MAX, PAYLOAD_BYTES_MAX, SPEED_MAX,
};
use crate::position::{Codec, Position};

/// Room for the two texts that a payload may write with escapes.
#[derive(Debug)]
pub(super) struct Scratch {
    device_id: [u8; DEVICE_ID_BYTES_MAX],
    timestamp: [u8; TIMESTAMP_BYTES_MAX],
}

impl Default for Scratch {
    fn default() -> Self {
        Self { device_id: [0; _], timestamp: [0; _] }
    }
}

/// Reads a payload.
pub(super) fn read<'a>(
    payload: &'a [u8],
    codec: Codec,
    scratch: &'a mut Scratch,
) -> Result<Read<'a>, DecodeError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(DecodeError::PayloadTooLong);
    }
    let text = std::str::from_utf8(payload).map_err(|_| DecodeError::Json(JsonFault::NotUtf8))?;
    let members = Members::of(text)?;
    let mut notes = Notes { unknown_fields: members.unknown, ..Notes::default() };

    let device_id = members.text(Field::DeviceId, &mut scratch.device_id)?;
    let device_id = device_id.ok_or(DecodeError::DeviceIdTooLong)?;
    if device_id.is_empty() {
        return Err(DecodeError::DeviceIdEmpty);
    }
    let timestamp_text = members
        .text(Field::Timestamp, &mut scratch.timestamp)?
        .ok_or(DecodeError::Timestamp(TimestampFault::Form))?;
    let timestamp_ms = timestamp::read(timestamp_text).map_err(DecodeError::Timestamp)?;
    let latitude = coordinate(members.required_number(Field::Latitude)?, Field::Latitude)?;
    let longitude = coordinate(members.required_number(Field::Longitude)?, Field::Longitude)?;
    let altitude = members.number_or_zero(Field::Altitude, &mut notes)?;
    let angle = members.number_or_zero(Field::Angle, &mut notes)?;
    let speed = members.number_or_zero(Field::Speed, &mut notes)?;
    let satellites = members.number_or_zero(Field::Satellites, &mut notes)?;
    let priority = members.number_or_zero(Field::Priority, &mut notes)?;
    let position = Position {
        timestamp_ms,
        latitude,
        longitude,
        altitude: real(altitude, ALTITUDE_MIN, ALTITUDE_MAX, &mut notes.clamped),
        angle: real(angle, 0.0, ANGLE_MAX, &mut notes.clamped),
        speed: real(speed, 0.0, SPEED_MAX, &mut notes.clamped),
        device: DeviceIndex::ORPHAN,
        satellites: count(satellites, Field::Satellites, &mut notes.clamped)?,
        priority: count(priority, Field::Priority, &mut notes.clamped)?,
        codec,
    };
    let attributes = members.attributes(&mut notes)?;
    // Cannot fail: unescaping valid JSON in valid UTF-8 gives valid UTF-8.
    let device_id =
        std::str::from_utf8(device_id).map_err(|_| DecodeError::Json(JsonFault::NotUtf8))?;
    Ok(Read { decoded: Decoded { device_id, position, attributes }, timestamp_text, notes })
}

/// A coordinate that is on earth. An infinite one is not.
#[inline]
pub(super) fn coordinate(degrees: f64, field: Field) -> Result<f64, DecodeError> {
    let most = if field == Field::Latitude { 90.0 } else { 180.0 };
    if degrees.abs() <= most { Ok(degrees) } else { Err(DecodeError::OutOfRange(field)) }
}

/// A measured number, moved into its range, as the `real` the database keeps.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "in range, and a real is what is kept")]
pub(super) fn real(value: f64, min: f32, max: f32, clamped: &mut u32) -> f32 {
    let (min, max) = (f64::from(min), f64::from(max));
    *clamped += u32::from(value < min || value > max);
    value.clamp(min, max) as f32
}

/// A whole number, moved into 0 to 255. Whole is what its nearest double is.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "the cast saturates, and whether it changed anything is the question"
)]
pub(super) fn count(value: f64, field: Field, clamped: &mut u32) -> Result<u8, DecodeError> {
    let whole = value as u8;
    if f64::from(whole) == value {
        return Ok(whole);
    }
    if value.is_finite() && value.fract() != 0.0 {
        return Err(DecodeError::NotWhole(field));
    }
    *clamped += 1;
    Ok(whole)
}

/// The values of the known fields at the top level, as they stand in the payload.
#[derive(Default)]
struct Members<'a> {
    values: [Option<&'a [u8]>; Field::ALL.len()],
    unknown: u32,
    repeated: Option<Field>,
}

impl<'a> Members<'a> {
    /// Validates the text on the way.
    fn of(text: &'a str) -> Result<Self, DecodeError> {
        let members = Self::unescaped(text.as_bytes()).map_err(DecodeError::Json)?;
        let members = if text.contains('\\') { Self::by_library(text)? } else { members };
        members.repeated.map_or(Ok(members), |field| Err(DecodeError::Repeated(field)))
    }

    /// Takes keys as they are written.
    fn unescaped(text: &'a [u8]) -> Result<Self, JsonFault> {
        let mut members = Self::default();
        let mut walk = scan::document(text)?;
        while let Some(member) = walk.advance()? {
            members.put(Field::named(member.key), member.value);
        }
        walk.finish()?;
        Ok(members)
    }

    /// Takes keys for what they mean. The text has been validated.
    fn by_library(text: &'a str) -> Result<Self, DecodeError> {
        let unreadable = DecodeError::Json(JsonFault::Unreadable);
        let mut members = Self::default();
        for member in sonic_rs::to_object_iter(text) {
            let (key, value) = member.map_err(|_| unreadable)?;
            let Cow::Borrowed(value) = value.as_raw_cow() else { return Err(unreadable) };
            members.put(Field::named(key.as_bytes()), value.as_bytes());
        }
        Ok(members)
    }

    fn put(&mut self, field: Option<Field>, value: &'a [u8]) {
        let Some(field) = field else {
            self.unknown += 1;
            return;
        };
        if self.values[field as usize].replace(value).is_some() {
            self.repeated.get_or_insert(field);
        }
    }

    /// The value of a field; null is as good as missing.
    fn value(&self, field: Field) -> Option<&'a [u8]> {
        self.values[field as usize].filter(|&value| value != b"null")
    }

    /// The bytes of a text field, unescaped into `room` if need be; `None` when they do not fit.
    fn text(&self, field: Field, room: &'a mut [u8]) -> Result<Option<&'a [u8]>, DecodeError> {
        let value = self.value(field).ok_or(DecodeError::Missing(field))?;
        let inside = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""))
            .ok_or(DecodeError::NotText(field))?;
        if !inside.contains(&b'\\') {
            return Ok((inside.len() <= room.len()).then_some(inside));
        }
        let mut length = 0;
        for byte in scan::unescaped(inside) {
            let Some(place) = room.get_mut(length) else { return Ok(None) };
            *place = byte;
            length += 1;
        }
        Ok(Some(&room[..length]))
    }

    fn required_number(&self, field: Field) -> Result<f64, DecodeError> {
        let value = self.value(field).ok_or(DecodeError::Missing(field))?;
        number::value(value).ok_or(DecodeError::NotNumber(field))
    }

    fn number_or_zero(&self, field: Field, notes: &mut Notes) -> Result<f64, DecodeError> {
        if self.value(field).is_none() {
            notes.defaulted += 1;
            return Ok(0.0);
        }
        self.required_number(field)
    }

    fn attributes(&self, notes: &mut Notes) -> Result<&'a [u8], DecodeError> {
        let Some(attributes) = self.value(Field::Attributes) else {
            notes.defaulted += 1;
            return Ok(b"{}");
        };
        if attributes.first() != Some(&b'{') {
            return Err(DecodeError::AttributesNotObject);
        }
        notes.attributes_unusual = attributes::check(attributes)?;
        Ok(attributes)
    }
}
