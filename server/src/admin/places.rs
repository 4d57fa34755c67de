//! Who may be served at once: so many in all, and few of one address, so that nobody keeps the
//! health probe out. Loopback is not counted by address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Hands out places. Costs some 50 B for each address that has one.
#[derive(Debug)]
pub(super) struct Places {
    taken: Mutex<Taken>,
    freed: Notify,
    places_max: usize,
    per_address_max: usize,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
    /// True when half of the places or more were taken with this one.
    pub(super) is_crowded: bool,
}

impl Places {
    /// So many places, and so many of them for one address.
    pub(super) fn new(places_max: usize, per_address_max: usize) -> Arc<Self> {
        let (taken, freed) = (Mutex::default(), Notify::new());
        Arc::new(Self { taken, freed, places_max, per_address_max })
    }

    /// Waits until a place is free. One waits at a time, so it is still free afterwards.
    pub(super) async fn wait(&self) {
        while self.taken.lock().unwrap_or_else(PoisonError::into_inner).count >= self.places_max {
            self.freed.notified().await;
        }
    }

    /// A place, unless there is none or this address has enough.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_address.get(&address).copied().unwrap_or_default();
        let has_enough = own >= self.per_address_max && !address.is_loopback();
        if has_enough || taken.count >= self.places_max {
            return None;
        }
        taken.by_address.insert(address, own + 1);
        taken.count += 1;
        let is_crowded = taken.count >= self.places_max / 2;
        Some(Place { places: self.clone(), address, is_crowded })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.count -= 1;
        if let Some(own) = taken.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&self.address);
            }
        }
        drop(taken);
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Place, Places};

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[tokio::test]
    async fn t10_one_address_does_not_keep_the_others_out() {
        let places = Places::new(8, 3);
        let take = |text: &str| places.take(address(text));
        let stranger: Vec<Place> = (0..3).map(|_| take("203.0.113.7").expect("room")).collect();
        assert!(take("203.0.113.7").is_none());
        assert!(take("::ffff:203.0.113.7").is_none(), "it is the same in other clothes");
        assert!(stranger.iter().all(|place| !place.is_crowded));
        let local: Vec<Place> = (0..5).map(|_| take("127.0.0.1").expect("room")).collect();
        assert!(local.iter().all(|place| place.is_crowded));
        assert!(take("127.0.0.1").is_none() && take("203.0.113.8").is_none(), "all are taken");
        drop(stranger);
        places.wait().await;
        assert!(take("203.0.113.7").is_some());
        drop(local);
        let taken = places.taken.lock().unwrap();
        assert_eq!((taken.count, taken.by_address.len()), (0, 0));
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_a_place_is_free() {
        let places = Places::new(1, 1);
        let place = places.take(address("203.0.113.7")).expect("room");
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.wait().await }
        });
        drop(place);
        waiting.await.expect("it ends");
    }
}
