//! The newest showable fix of each device, for the time in which everything is too late to be film.

use engine::id::DeviceIndex;
use engine::limits::DEVICES_MAX;
use engine::position::Position;

/// No place yet.
const NOWHERE: u32 = u32::MAX;

/// At most one position per device: bounded by [`DEVICES_MAX`], 52 bytes each, 7 MB when full.
#[derive(Debug, Default)]
pub(super) struct Newest {
    place_by_device: Vec<u32>,
    positions: Vec<Position>,
    displaced_count: u64,
}

impl Newest {
    /// True when nothing is kept.
    pub(super) const fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Keeps a position if it is its device's newest. The first of two with one time stands, as in
    /// a slot. What no slot would show must not displace what one would: `newest_ms_max` is the
    /// latest time that is not in the future.
    pub(super) fn keep(&mut self, position: &Position, newest_ms_max: i64) {
        let is_shown = !position.is_without_fix() && position.timestamp_ms <= newest_ms_max;
        let device = position.device.0 as usize;
        if !is_shown || device >= DEVICES_MAX {
            self.displaced_count += u64::from(is_shown);
            return;
        }
        if device >= self.place_by_device.len() {
            self.place_by_device.resize(device + 1, NOWHERE);
        }
        let place = &mut self.place_by_device[device];
        if *place == NOWHERE {
            *place = u32::try_from(self.positions.len()).expect("DEVICES_MAX is below 2^32");
            self.positions.push(*position);
            return;
        }
        let kept = &mut self.positions[*place as usize];
        if position.timestamp_ms > kept.timestamp_ms {
            *kept = *position;
        }
        self.displaced_count += 1;
    }

    /// Gives out what is kept, one position per device.
    pub(super) fn take(&mut self, out: &mut Vec<Position>) {
        for DeviceIndex(device) in self.positions.iter().map(|position| position.device) {
            self.place_by_device[device as usize] = NOWHERE;
        }
        out.append(&mut self.positions);
    }

    /// Positions that will not be shown because a newer one of their device was read with them.
    pub(super) const fn displaced_count(&self) -> u64 {
        self.displaced_count
    }
}

#[cfg(test)]
mod tests {
    use engine::id::DeviceIndex;
    use engine::position::{Codec, Position};

    use super::Newest;

    fn position(device: u32, timestamp_ms: i64, latitude: f64, satellites: u8) -> Position {
        Position {
            timestamp_ms,
            latitude,
            longitude: 0.0,
            altitude: 0.0,
            angle: 0.0,
            speed: 0.0,
            device: DeviceIndex(device),
            satellites,
            priority: 0,
            codec: Codec::Codec8,
        }
    }

    fn check(kept: &mut Newest, expected: &[(u32, i64, f64)]) {
        let mut out = Vec::new();
        kept.take(&mut out);
        let told: Vec<_> = out.iter().map(|p| (p.device.0, p.timestamp_ms, p.latitude)).collect();
        assert_eq!(told, expected);
        assert!(kept.is_empty());
    }

    #[test]
    fn f73_one_position_per_device_is_kept_the_newest_by_the_devices_clock() {
        let mut kept = Newest::default();
        for (device, ms, latitude) in
            [(7, 10, 1.0), (2, 5, 2.0), (7, 30, 3.0), (7, 20, 4.0), (7, 30, 5.0)]
        {
            kept.keep(&position(device, ms, latitude, 9), 100);
        }
        assert_eq!(kept.displaced_count(), 3);
        check(&mut kept, &[(7, 30, 3.0), (2, 5, 2.0)]);
        kept.keep(&position(7, 1, 6.0, 9), 100);
        check(&mut kept, &[(7, 1, 6.0)]);
    }

    #[test]
    fn f73_what_no_slot_shows_displaces_nothing() {
        let mut kept = Newest::default();
        kept.keep(&position(1, 50, 1.0, 9), 100);
        kept.keep(&position(1, 101, 2.0, 9), 100);
        kept.keep(&position(1, 60, 0.0, 0), 100);
        check(&mut kept, &[(1, 50, 1.0)]);
        assert_eq!(kept.displaced_count(), 0);
    }
}
