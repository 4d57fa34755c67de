//! How many devices may be connected: in all and from one address.
//!
//! Whoever is let in holds a [`Place`], which is given back when it is dropped, whatever ended the
//! connection. Nothing is remembered of who is gone.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::IngestConfig;

/// The places. An address costs some 50 B while a device of it is connected.
#[derive(Debug)]
pub(super) struct Places {
    devices_max: usize,
    per_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    devices: usize,
    addresses: HashMap<u128, usize>,
}

/// A connection's place.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    network: u128,
}

impl Places {
    pub(super) fn new(config: &IngestConfig) -> Arc<Self> {
        Arc::new(Self {
            devices_max: config.devices_max,
            per_address_max: config.devices_per_address_max,
            taken: Mutex::default(),
        })
    }

    /// A place, if there is one for this address.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = network_of(address);
        let mut taken = self.taken();
        let of_address = taken.addresses.get(&network).copied().unwrap_or(0);
        if taken.devices >= self.devices_max || of_address >= self.per_address_max {
            return None;
        }
        taken.devices += 1;
        taken.addresses.insert(network, of_address + 1);
        drop(taken);
        Some(Place { places: self.clone(), network })
    }

    /// How many are taken: in all, and from the address with the most.
    pub(super) fn used(&self) -> (usize, usize) {
        let taken = self.taken();
        (taken.devices, taken.addresses.values().copied().max().unwrap_or(0))
    }

    /// How many there are: in all, and for one address.
    pub(super) const fn allowed(&self) -> (usize, usize) {
        (self.devices_max, self.per_address_max)
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.devices -= 1;
        let left = taken.addresses.get_mut(&self.network).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            taken.addresses.remove(&self.network);
        }
    }
}

/// What counts as one address: an IPv4 address, or the 64 bits of a network of IPv6, since a host may
/// choose the rest freely.
fn network_of(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => (Ipv6Addr::to_bits(address) >> 64) << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::Places;
    use crate::config::IngestConfig;

    #[test]
    fn a_place_is_free_again_when_its_connection_is_gone() {
        let config =
            IngestConfig { devices_max: 3, devices_per_address_max: 2, ..Default::default() };
        let places = Places::new(&config);
        let address = |text: &str| text.parse().unwrap();
        let first = places.take(address("192.0.2.1"));
        let second = places.take(address("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(places.take(address("192.0.2.1")).is_none(), "one address has two");
        let other = places.take(address("2001:db8::1"));
        assert!(other.is_some() && places.take(address("192.0.2.9")).is_none(), "all are taken");
        assert_eq!((places.used(), places.allowed()), ((3, 2), (3, 2)));
        drop((first, second));
        assert!(places.take(address("192.0.2.1")).is_some());
        drop(other);
        assert_eq!(places.used(), (0, 0));
    }
}
