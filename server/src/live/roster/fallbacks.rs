//! What slots are told about flagged fixes, and which devices show a fallback now.

use std::collections::HashMap;

use engine::position::Position;

use super::super::source::Withdrawn;
use super::fixes::Fixes;

/// Devices whose newest fix is flagged: at most as many as are registered.
#[derive(Debug, Default)]
pub(super) struct Fallbacks {
    by_device: HashMap<Box<str>, Fallback>,
}

/// What a device shows instead of its newest fix.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fallback {
    flagged_ms: Vec<i64>,
    good_ms: Option<i64>,
}

/// What the slots are told of one chunk of devices.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// To be withdrawn. Told again at every refresh while the newest fix is flagged: it may have
    /// reached the slot only after it was flagged, and what is not shown is not harmed.
    pub(super) withdrawn: Vec<Withdrawn>,
    /// To be offered, after that.
    pub(super) offered: Vec<(Box<str>, Position)>,
    /// Devices of which something else was flagged than at the last look.
    pub(super) changed: u64,
}

impl Fallbacks {
    /// True when the device shows a fallback.
    pub(super) fn has(&self, device_id: &str) -> bool {
        self.by_device.contains_key(device_id)
    }

    /// How many devices show one.
    pub(super) fn count(&self) -> usize {
        self.by_device.len()
    }

    /// Forgets the devices that are not registered any more.
    pub(super) fn retain(&mut self, is_registered: impl Fn(&str) -> bool) {
        self.by_device.retain(|device_id, _| is_registered(device_id));
    }

    /// Judges what the database has of a device. `is_cold` means that its slots may be empty.
    pub(super) fn judge(&mut self, fixes: Fixes, is_cold: bool, orders: &mut Orders) {
        let Fixes { device_id, is_flagged, mut flagged_ms, good } = fixes;
        let before = self.by_device.remove(&device_id);
        let good_ms = good.map(|good| good.timestamp_ms);
        let is_restored = before.as_ref().is_some_and(|before| before.good_ms < good_ms);
        if let Some(good) = good
            && (is_cold || is_restored || (!is_flagged && before.is_some()))
        {
            orders.offered.push((device_id.clone(), good));
        }
        if !is_flagged {
            return;
        }
        // What was shown instead was flagged, too, so long ago that it is not named any more.
        let shown_ms = before.as_ref().and_then(|before| before.good_ms);
        flagged_ms.extend(shown_ms.filter(|shown| !flagged_ms.contains(shown)));
        // A good fix of the same millisecond stands where a flagged one stood.
        flagged_ms.retain(|&flagged| Some(flagged) > good_ms);
        orders.withdrawn.extend(flagged_ms.iter().map(|&faulty_ms| Withdrawn {
            device_id: device_id.clone(),
            faulty_ms,
            good,
        }));
        let now = Fallback { flagged_ms, good_ms };
        orders.changed += u64::from(before.as_ref() != Some(&now));
        self.by_device.insert(device_id, now);
    }
}

#[cfg(test)]
mod tests {
    use engine::id::DeviceIndex;
    use engine::position::{Codec, Position};

    use super::{Fallbacks, Fixes, Orders};

    fn position(timestamp_ms: i64) -> Position {
        Position {
            timestamp_ms,
            latitude: 41.3,
            longitude: 19.8,
            altitude: 0.0,
            angle: 0.0,
            speed: 0.0,
            device: DeviceIndex::ORPHAN,
            satellites: 9,
            priority: 0,
            codec: Codec::Codec8,
        }
    }

    /// What is withdrawn, each with its fallback, and what is offered.
    type Told = (Vec<(i64, Option<i64>)>, Vec<i64>);

    struct Device(Fallbacks);

    impl Device {
        fn judge(&mut self, flagged_ms: &[i64], good_ms: Option<i64>, is_cold: bool) -> Told {
            let mut orders = Orders::default();
            let fixes = Fixes {
                device_id: "a".into(),
                is_flagged: !flagged_ms.is_empty(),
                flagged_ms: flagged_ms.to_vec(),
                good: good_ms.map(position),
            };
            self.0.judge(fixes, is_cold, &mut orders);
            let good = |good: &Option<Position>| good.as_ref().map(|good| good.timestamp_ms);
            let withdrawn = orders.withdrawn.iter().map(|w| (w.faulty_ms, good(&w.good))).collect();
            (withdrawn, orders.offered.iter().map(|(_, offer)| offer.timestamp_ms).collect())
        }

        /// A look of a refresh at a device whose slots are warm.
        fn look(&mut self, flagged_ms: &[i64], good_ms: Option<i64>) -> Told {
            self.judge(flagged_ms, good_ms, false)
        }
    }

    #[test]
    fn cold_slots_get_the_newest_good_fix() {
        let judge = |flagged_ms: &[i64], good_ms| {
            Device(Fallbacks::default()).judge(flagged_ms, good_ms, true)
        };
        assert_eq!(judge(&[], Some(9)), (vec![], vec![9]));
        assert_eq!(judge(&[9], Some(8)), (vec![(9, Some(8))], vec![8]));
        assert_eq!(judge(&[9], None), (vec![(9, None)], vec![]));
    }

    #[test]
    fn a_flagged_fix_is_withdrawn_at_every_look_and_offered_again_when_unflagged() {
        let mut device = Device(Fallbacks::default());
        assert_eq!(device.look(&[9], Some(8)), (vec![(9, Some(8))], vec![]));
        assert!(device.0.has("a") && device.0.count() == 1);
        assert_eq!(device.look(&[9], Some(8)), (vec![(9, Some(8))], vec![]));
        assert_eq!(device.look(&[], Some(9)), (vec![], vec![9]));
        assert_eq!(device.look(&[], Some(9)), (vec![], vec![]));
    }

    #[test]
    fn a_flagged_fallback_is_withdrawn_too() {
        let mut device = Device(Fallbacks::default());
        device.look(&[9], Some(8));
        // Both are named, or only the newest: what was shown is remembered.
        let both = vec![(9, Some(7)), (8, Some(7))];
        assert_eq!(device.look(&[9, 8], Some(7)), (both, vec![]));
        assert_eq!(device.look(&[9], None), (vec![(9, None), (7, None)], vec![]));
        assert_eq!(device.look(&[9], Some(7)), (vec![(9, Some(7))], vec![7]));
    }

    #[test]
    fn a_good_fix_of_the_same_millisecond_is_not_withdrawn() {
        let mut device = Device(Fallbacks::default());
        assert_eq!(device.look(&[9], Some(9)), (vec![], vec![]));
    }

    #[test]
    fn who_is_not_registered_any_more_is_forgotten() {
        let mut device = Device(Fallbacks::default());
        device.look(&[9], Some(8));
        device.0.retain(|_| false);
        assert_eq!(device.0.count(), 0);
    }
}
