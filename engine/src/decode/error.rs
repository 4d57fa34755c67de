//! Why an entry is refused: small values that name the field, each with one plain sentence.

use std::fmt;

use crate::limits::{
    DEVICE_ID_BYTES_MAX, ENTRY_FIELDS_MAX, NUMBER_BYTES_MAX, NUMBER_EXPONENT_MAX,
    PAYLOAD_BYTES_MAX, PAYLOAD_DEPTH_MAX,
};

/// Why an entry is refused. The entry goes to the dead letters with this sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecodeError {
    /// More than [`ENTRY_FIELDS_MAX`] fields.
    EntryFieldsTooMany,
    /// A field of the entry is missing.
    EntryFieldMissing(EntryField),
    /// A field of the entry is there twice.
    EntryFieldRepeated(EntryField),
    /// A field of the entry holds NUL or is not UTF-8.
    EntryFieldNotText(EntryField),
    /// The codec is none of `8`, `8E`, `16`.
    CodecUnknown,
    /// The payload is longer than [`PAYLOAD_BYTES_MAX`].
    PayloadTooLong,
    /// The payload is not a JSON object that PostgreSQL could keep.
    Json(JsonFault),
    /// A required field of the payload is missing or null.
    Missing(Field),
    /// A field of the payload is there twice, so nobody can say which one is meant.
    Repeated(Field),
    /// A field of the payload must be a string and is not.
    NotText(Field),
    /// A field of the payload must be a number and is not.
    NotNumber(Field),
    /// A coordinate is not on earth.
    OutOfRange(Field),
    /// A field of the payload counts things and has a fraction.
    NotWhole(Field),
    /// The device has no name.
    DeviceIdEmpty,
    /// The device's name is longer than [`DEVICE_ID_BYTES_MAX`].
    DeviceIdTooLong,
    /// The timestamp does not name one millisecond.
    Timestamp(TimestampFault),
    /// The attributes are not an object.
    AttributesNotObject,
    /// `{"__bigint": …}` without a decimal of 1 to 20 digits.
    BigIntInvalid,
    /// `{"__buffer_b64": …}` without standard base64.
    BufferInvalid,
}

const _: () = assert!(size_of::<DecodeError>() <= 2);

/// A field of a stream entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryField {
    /// `device_id`
    DeviceId,
    /// `ts`
    Timestamp,
    /// `codec`
    Codec,
    /// `payload`
    Payload,
}

impl EntryField {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::DeviceId, Self::Timestamp, Self::Codec, Self::Payload];

    /// The name in the stream.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceId => "device_id",
            Self::Timestamp => "ts",
            Self::Codec => "codec",
            Self::Payload => "payload",
        }
    }

    #[inline]
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name().as_bytes() == name)
    }
}

/// A field of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Field {
    /// `device_id`
    DeviceId,
    /// `timestamp`
    Timestamp,
    /// `latitude`
    Latitude,
    /// `longitude`
    Longitude,
    /// `altitude`
    Altitude,
    /// `angle`
    Angle,
    /// `speed`
    Speed,
    /// `satellites`
    Satellites,
    /// `priority`
    Priority,
    /// `attributes`
    Attributes,
}

impl Field {
    /// All of them, in the order in which the platform writes them.
    pub const ALL: [Self; 10] = [
        Self::DeviceId,
        Self::Timestamp,
        Self::Latitude,
        Self::Longitude,
        Self::Altitude,
        Self::Angle,
        Self::Speed,
        Self::Satellites,
        Self::Priority,
        Self::Attributes,
    ];

    /// The key in the payload.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceId => "device_id",
            Self::Timestamp => "timestamp",
            Self::Latitude => "latitude",
            Self::Longitude => "longitude",
            Self::Altitude => "altitude",
            Self::Angle => "angle",
            Self::Speed => "speed",
            Self::Satellites => "satellites",
            Self::Priority => "priority",
            Self::Attributes => "attributes",
        }
    }

    pub(super) fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name().as_bytes() == name)
    }
}

/// What is wrong with the payload as JSON, or as JSON that PostgreSQL must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JsonFault {
    /// Not UTF-8.
    NotUtf8,
    /// Not an object.
    NotObject,
    /// The text ends too early.
    Truncated,
    /// A byte that JSON does not allow where it stands.
    Syntax,
    /// Something follows the object.
    Trailing,
    /// A control character stands raw in a string.
    ControlCharacter,
    /// An escape that JSON does not know.
    Escape,
    /// NUL, raw or escaped: PostgreSQL cannot store it.
    Nul,
    /// Half of a surrogate pair: no character, so PostgreSQL cannot store it.
    LoneSurrogate,
    /// Not written as JSON writes numbers.
    Number,
    /// A number of more than [`NUMBER_BYTES_MAX`] bytes.
    NumberTooLong,
    /// A number with an exponent beyond ±[`NUMBER_EXPONENT_MAX`].
    NumberExponent,
    /// Nested deeper than [`PAYLOAD_DEPTH_MAX`].
    TooDeep,
    /// Our validator accepts the text and the JSON library does not. Never seen; refused, so that a
    /// defect in either cannot store something wrong.
    Unreadable,
}

/// What is wrong with a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampFault {
    /// Not `YYYY-MM-DDTHH:MM:SS[.fraction]` and a zone.
    Form,
    /// No zone: nobody can say which moment is meant.
    ZoneMissing,
    /// A zone beyond ±23:59.
    Zone,
    /// No such day.
    Date,
    /// No such time of day. Leap seconds are none.
    TimeOfDay,
    /// Finer than a millisecond: the wire has milliseconds and the table microseconds, so two fixes
    /// could be one here and two there.
    TooFine,
    /// Before [`crate::limits::TIMESTAMP_MS_MIN`].
    TooOld,
    /// After [`crate::limits::TIMESTAMP_MS_MAX`].
    TooFar,
}

impl std::error::Error for DecodeError {}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntryFieldsTooMany => {
                write!(f, "The entry has more than {ENTRY_FIELDS_MAX} fields.")
            }
            Self::EntryFieldMissing(field) => {
                write!(f, "The entry has no field `{}`.", field.name())
            }
            Self::EntryFieldRepeated(field) => {
                write!(f, "The entry has the field `{}` twice.", field.name())
            }
            Self::EntryFieldNotText(field) => {
                write!(f, "The field `{}` of the entry is not text.", field.name())
            }
            Self::CodecUnknown => f.write_str("The codec is none of 8, 8E and 16."),
            Self::PayloadTooLong => {
                write!(f, "The payload is longer than {PAYLOAD_BYTES_MAX} bytes.")
            }
            Self::Json(fault) => fault.fmt(f),
            Self::Missing(field) => write!(f, "The payload has no `{}`.", field.name()),
            Self::Repeated(field) => write!(f, "The payload has `{}` twice.", field.name()),
            Self::NotText(field) => write!(f, "`{}` is not a string.", field.name()),
            Self::NotNumber(field) => write!(f, "`{}` is not a number.", field.name()),
            Self::OutOfRange(field) => write!(f, "`{}` is out of range.", field.name()),
            Self::NotWhole(field) => write!(f, "`{}` is not a whole number.", field.name()),
            Self::DeviceIdEmpty => f.write_str("`device_id` is empty."),
            Self::DeviceIdTooLong => {
                write!(f, "`device_id` is longer than {DEVICE_ID_BYTES_MAX} bytes.")
            }
            Self::Timestamp(fault) => fault.fmt(f),
            Self::AttributesNotObject => f.write_str("`attributes` is not an object."),
            Self::BigIntInvalid => {
                f.write_str("A `__bigint` in `attributes` is not a decimal of 1 to 20 digits.")
            }
            Self::BufferInvalid => {
                f.write_str("A `__buffer_b64` in `attributes` is not standard base64.")
            }
        }
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("The payload is not UTF-8."),
            Self::NotObject => f.write_str("The payload is not a JSON object."),
            Self::Truncated => f.write_str("The payload ends before its JSON does."),
            Self::Syntax => f.write_str("The payload is not JSON."),
            Self::Trailing => f.write_str("Something follows the JSON of the payload."),
            Self::ControlCharacter => {
                f.write_str("A string of the payload has a raw control character.")
            }
            Self::Escape => f.write_str("A string of the payload has an unknown escape."),
            Self::Nul => f.write_str("A string of the payload has a NUL."),
            Self::LoneSurrogate => f.write_str("A string of the payload has a lone surrogate."),
            Self::Number => f.write_str("A number of the payload is not written as in JSON."),
            Self::NumberTooLong => {
                write!(f, "A number of the payload is longer than {NUMBER_BYTES_MAX} bytes.")
            }
            Self::NumberExponent => {
                write!(f, "An exponent in the payload is beyond {NUMBER_EXPONENT_MAX}.")
            }
            Self::TooDeep => {
                write!(f, "The payload is nested deeper than {PAYLOAD_DEPTH_MAX} levels.")
            }
            Self::Unreadable => f.write_str("The two JSON readers disagree about the payload."),
        }
    }
}

impl fmt::Display for TimestampFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "`timestamp` is not an ISO 8601 date and time.",
            Self::ZoneMissing => "`timestamp` has no zone.",
            Self::Zone => "The zone of `timestamp` does not exist.",
            Self::Date => "The day of `timestamp` does not exist.",
            Self::TimeOfDay => "The time of day of `timestamp` does not exist.",
            Self::TooFine => "`timestamp` is finer than a millisecond.",
            Self::TooOld => "`timestamp` is before the year 2000.",
            Self::TooFar => "`timestamp` is after the year 2099.",
        })
    }
}
