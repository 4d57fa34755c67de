//! How many answers may be on their way at once, and how many of them to one address.
//!
//! A crowd behind one address, such as the spectators in one radio network, gets many while most are
//! free. Once half are taken an address gets few, so that whoever comes from elsewhere finds room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Answers that are on their way at one time. Each holds up to 128 KiB in the kernel, so 32 MiB in
/// all; over a slow line the page takes some seconds, and who finds no room reloads.
pub(super) const DELIVERIES_MAX: usize = 256;

/// How many of them one address may have while half or more are free: ten browsers that load the page
/// over some six connections each.
pub(super) const SHARE_MAX: usize = DELIVERIES_MAX / 4;

/// How many it may have otherwise. So it takes ten addresses to take all.
pub(super) const SHARE_WHEN_CROWDED_MAX: usize = 16;

/// Hands out places. Costs some 50 B for each address that has one.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    by_network: HashMap<u128, usize>,
}

/// One place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    network: u128,
}

impl Places {
    /// A place, unless there is none, or this network has its share.
    pub(super) fn take(self: &Arc<Self>, network: u128) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_network.get(&network).copied().unwrap_or_default();
        let is_crowded = taken.count >= DELIVERIES_MAX / 2;
        let share = if is_crowded { SHARE_WHEN_CROWDED_MAX } else { SHARE_MAX };
        if own >= share || taken.count >= DELIVERIES_MAX {
            return None;
        }
        taken.by_network.insert(network, own + 1);
        taken.count += 1;
        Some(Place { places: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.count -= 1;
        if let Some(own) = taken.by_network.get_mut(&self.network) {
            *own -= 1;
            if *own == 0 {
                taken.by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{DELIVERIES_MAX, Place, Places, SHARE_MAX, SHARE_WHEN_CROWDED_MAX};

    /// Takes all that a network gets.
    fn take_all(places: &Arc<Places>, network: u128) -> Vec<Place> {
        std::iter::from_fn(|| places.take(network)).collect()
    }

    #[test]
    fn a_network_gets_many_while_most_are_free_and_few_when_they_are_not() {
        let places = Arc::new(Places::default());
        let first = take_all(&places, 1);
        let second = take_all(&places, 2);
        assert_eq!([first.len(), second.len()], [SHARE_MAX; 2]);
        let third = take_all(&places, 3);
        assert_eq!(third.len(), SHARE_WHEN_CROWDED_MAX);
        drop((first, second, third));
        let taken = places.taken.lock().unwrap();
        assert_eq!((taken.count, taken.by_network.len()), (0, 0));
    }

    #[test]
    fn it_takes_ten_networks_to_keep_others_out() {
        let places = Arc::new(Places::default());
        let mut all: Vec<Place> = (0..9).flat_map(|network| take_all(&places, network)).collect();
        assert_eq!(all.len(), DELIVERIES_MAX - SHARE_WHEN_CROWDED_MAX);
        all.extend(take_all(&places, 9));
        assert!(places.take(10).is_none(), "now all are taken");
        drop(all.pop());
        assert!(places.take(10).is_some());
        assert!(places.take(0).is_none(), "who has most gets no more");
    }
}
