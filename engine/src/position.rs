//! One decoded fix: compact, `Copy`, and the same for the live and the durable plane.

use crate::id::DeviceIndex;

/// The Teltonika codec an entry came in, as the `codec` column and field name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Codec {
    /// `8`
    Codec8,
    /// `8E`
    Codec8Extended,
    /// `16`
    Codec16,
}

impl Codec {
    /// The text of the stream field and of the database column.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Codec8 => "8",
            Self::Codec8Extended => "8E",
            Self::Codec16 => "16",
        }
    }

    /// The codec of a stream field, if it is one of the three.
    #[must_use]
    pub const fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"8" => Some(Self::Codec8),
            b"8E" => Some(Self::Codec8Extended),
            b"16" => Some(Self::Codec16),
            _ => None,
        }
    }
}

/// One decoded fix.
///
/// Latitude and longitude are finite and within ±90 and ±180, the other numbers within the ranges
/// of [`crate::limits`]: whoever holds a `Position` need not check again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// Device time, epoch milliseconds. With the device it is the identity of a fix.
    pub timestamp_ms: i64,
    /// Decimal degrees north.
    pub latitude: f64,
    /// Decimal degrees east.
    pub longitude: f64,
    /// Metres; `real` in the database, hence not wider here.
    pub altitude: f32,
    /// Degrees from north, 0 to 360.
    pub angle: f32,
    /// Kilometres per hour.
    pub speed: f32,
    /// Who sent it; [`DeviceIndex::ORPHAN`] until the roster has named it.
    pub device: DeviceIndex,
    /// Satellites in use, 0 to 255.
    pub satellites: u8,
    /// Teltonika priority: 0 low, 1 high, 2 panic.
    pub priority: u8,
    /// How the device wrote it.
    pub codec: Codec,
}

/// The size every table of positions is planned with.
pub const POSITION_BYTES: usize = 48;
const _: () = assert!(size_of::<Position>() <= POSITION_BYTES);

impl Position {
    /// True when the device had no fix: no satellites and exactly (0, 0). Stored, never shown.
    #[must_use]
    pub fn is_without_fix(&self) -> bool {
        self.satellites == 0 && self.latitude.abs() == 0.0 && self.longitude.abs() == 0.0
    }
}
