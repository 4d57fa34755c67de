//! One good position, for tests that do not care which.

use engine::id::DeviceIndex;
use engine::position::{Codec, Position};

/// The position of the contract's example, at this device time.
#[must_use]
pub const fn position(timestamp_ms: i64) -> Position {
    Position {
        timestamp_ms,
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
