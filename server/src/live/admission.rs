//! How many may connect: in all, per address, per user, and how many that are not viewers yet.
//!
//! Whoever is let in holds a [`Permit`], which gives its places back when it is dropped, whatever
//! ended the connection. Nothing is remembered of who is gone.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use crate::config::LimitConfig;
use crate::metrics::{LimitUse, Page, Section};

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The process has as many as it may have.
    Process,
    /// The address has.
    Address,
    /// The user has.
    User,
}

impl Full {
    /// One plain sentence, short enough for a close frame.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Process => "This server is full. Try again later.",
            Self::Address => "Too many connections from this address. Close some, or try later.",
            Self::User => "Too many connections of this user. Close some, or try later.",
        }
    }
}

/// A connection's places under the limits, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    network: u128,
    /// Set once it is known who it is.
    user_id: Option<Box<str>>,
    is_half_open: bool,
}

/// Counts who is connected. An address or a user costs some 100 B while it is.
#[derive(Debug)]
pub struct Admission {
    limits: LimitConfig,
    total: AtomicUsize,
    half_open: AtomicUsize,
    addresses: DashMap<u128, Counts>,
    users: DashMap<Box<str>, usize>,
}

/// What one address has.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    all: usize,
    half_open: usize,
}

impl Admission {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(limits: LimitConfig) -> Arc<Self> {
        Arc::new(Self {
            limits,
            total: AtomicUsize::new(0),
            half_open: AtomicUsize::new(0),
            addresses: DashMap::new(),
            users: DashMap::new(),
        })
    }

    /// Lets in a connection that is not a viewer yet, from an address that is sure.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Full> {
        let network = network_of(address);
        if !take(&self.half_open, self.limits.half_open_max) {
            return Err(Full::Process);
        }
        let half_open_max = self.limits.half_open_per_address_max;
        if let Err(full) = self.count(network, half_open_max) {
            self.half_open.fetch_sub(1, Ordering::Relaxed);
            return Err(full);
        }
        Ok(Permit { admission: self.clone(), network, user_id: None, is_half_open: true })
    }

    fn count(&self, network: u128, half_open_max: usize) -> Result<(), Full> {
        let max = self.limits.viewers_max + self.limits.half_open_max;
        if !take(&self.total, max) {
            return Err(Full::Process);
        }
        let mut counts = self.addresses.entry(network).or_default();
        if counts.half_open >= half_open_max {
            drop(counts);
            self.total.fetch_sub(1, Ordering::Relaxed);
            self.forget_unused(network);
            return Err(Full::Address);
        }
        counts.all += 1;
        counts.half_open += 1;
        Ok(())
    }

    fn forget_unused(&self, network: u128) {
        self.addresses.remove_if(&network, |_, counts| counts.all == 0);
    }

    /// Viewers and those on their way, less those that are not viewers yet.
    fn viewers(&self) -> usize {
        let half_open = self.half_open.load(Ordering::Relaxed);
        self.total.load(Ordering::Relaxed).saturating_sub(half_open)
    }
}

impl Permit {
    /// The connection comes from another address, as a trusted proxy says.
    pub fn move_to(mut self, address: IpAddr) -> Result<Self, Full> {
        let network = network_of(address);
        if network != self.network {
            let admission = self.admission.clone();
            admission.count(network, admission.limits.half_open_per_address_max)?;
            admission.leave_address(self.network, true);
            // Counted twice for a moment.
            admission.total.fetch_sub(1, Ordering::Relaxed);
            self.network = network;
        }
        Ok(self)
    }

    /// May it become a viewer? Its address and the process must have room.
    pub fn check_room(&self) -> Result<(), Full> {
        let admission = &self.admission;
        let counts = admission.addresses.get(&self.network).map_or(0, |counts| counts.all);
        if counts > admission.limits.viewers_per_address_max {
            return Err(Full::Address);
        }
        if admission.viewers() >= admission.limits.viewers_max {
            return Err(Full::Process);
        }
        Ok(())
    }

    /// It is known who it is: it becomes a viewer, unless the user has too many.
    pub fn become_viewer(&mut self, user_id: &str) -> Result<(), Full> {
        let admission = &self.admission;
        let max = admission.limits.viewers_per_user_max;
        if !take_of(&admission.users, user_id.into(), max) {
            return Err(Full::User);
        }
        self.user_id = Some(user_id.into());
        self.end_half_open();
        Ok(())
    }

    fn end_half_open(&mut self) {
        if std::mem::replace(&mut self.is_half_open, false) {
            self.admission.half_open.fetch_sub(1, Ordering::Relaxed);
            if let Some(mut counts) = self.admission.addresses.get_mut(&self.network) {
                counts.half_open -= 1;
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let admission = &self.admission;
        if self.is_half_open {
            admission.half_open.fetch_sub(1, Ordering::Relaxed);
        }
        admission.leave_address(self.network, self.is_half_open);
        admission.total.fetch_sub(1, Ordering::Relaxed);
        if let Some(user_id) = &self.user_id {
            if let Some(mut count) = admission.users.get_mut(user_id) {
                *count -= 1;
            }
            admission.users.remove_if(user_id, |_, count| *count == 0);
        }
    }
}

impl Admission {
    fn leave_address(&self, network: u128, was_half_open: bool) {
        if let Some(mut counts) = self.addresses.get_mut(&network) {
            counts.all -= 1;
            counts.half_open -= usize::from(was_half_open);
        }
        self.forget_unused(network);
    }
}

impl Section for Admission {
    fn write(&self, page: &mut Page) {
        let gauge = |count: usize| Some(i64::try_from(count).unwrap_or(i64::MAX));
        let half_open = gauge(self.half_open.load(Ordering::Relaxed));
        let help = "Connections that are not viewers yet.";
        page.gauge("processor_live_half_open", help, half_open);
        let help = "Addresses that viewers are connected from.";
        page.gauge("processor_live_addresses", help, gauge(self.addresses.len()));
        page.gauge("processor_live_users", "Users who are connected.", gauge(self.users.len()));
    }

    fn limits(&self) -> Vec<LimitUse> {
        let most_of_address = self.addresses.iter().map(|counts| counts.all).max().unwrap_or(0);
        let most_of_user = self.users.iter().map(|count| *count).max().unwrap_or(0);
        let limit = |name, used: usize, allowed: usize| LimitUse {
            name,
            used: used as u64,
            allowed: allowed as u64,
        };
        let LimitConfig { viewers_per_address_max, viewers_per_user_max, half_open_max, .. } =
            self.limits;
        vec![
            limit("LIVE_VIEWERS_PER_ADDRESS_MAX", most_of_address, viewers_per_address_max),
            limit("LIVE_VIEWERS_PER_USER_MAX", most_of_user, viewers_per_user_max),
            limit("LIVE_HALF_OPEN_MAX", self.half_open.load(Ordering::Relaxed), half_open_max),
        ]
    }
}

/// Takes one of so many; false when there is none left.
fn take(count: &AtomicUsize, max: usize) -> bool {
    let taken = count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < max).then_some(now + 1));
    taken.is_ok()
}

fn take_of<K: Eq + Hash>(counts: &DashMap<K, usize>, key: K, max: usize) -> bool {
    let mut count = counts.entry(key).or_default();
    let has_room = *count < max;
    *count += usize::from(has_room);
    has_room
}

/// What counts as one address: an IPv4 address, or the 64 bits of a network of IPv6, since a host may
/// choose the rest freely.
fn network_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.to_ipv6_mapped().to_bits(),
            None => (Ipv6Addr::to_bits(address) >> 64) << 64,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{Admission, Full, network_of};
    use crate::config::LimitConfig;

    fn admission(change: impl FnOnce(&mut LimitConfig)) -> std::sync::Arc<Admission> {
        let mut limits = LimitConfig::default();
        change(&mut limits);
        Admission::new(limits)
    }

    #[test]
    fn t22_a_user_has_so_many_and_each_end_frees_a_place() {
        let admission = admission(|limits| limits.viewers_per_user_max = 2);
        let enter = || {
            let mut permit = admission.enter([127, 0, 0, 1].into()).unwrap();
            permit.become_viewer("u").map(|()| permit)
        };
        let (first, _second) = (enter().unwrap(), enter().unwrap());
        assert_eq!(enter().unwrap_err(), Full::User);
        drop(first);
        enter().unwrap();
    }

    #[test]
    fn t22_an_address_has_so_many() {
        let admission = admission(|limits| limits.viewers_per_address_max = 2);
        let enter = |last| admission.enter([10, 0, 0, last].into()).unwrap();
        let permits = [enter(1), enter(1)];
        assert_eq!(permits[1].check_room(), Ok(()));
        assert_eq!(enter(1).check_room(), Err(Full::Address));
        assert_eq!(enter(2).check_room(), Ok(()));
    }

    #[test]
    fn t35_behind_a_proxy_the_clients_address_counts() {
        let admission = admission(|limits| limits.half_open_per_address_max = 1);
        let proxy = [10, 0, 0, 1].into();
        let first = admission.enter(proxy).unwrap().move_to([192, 0, 2, 1].into()).unwrap();
        let second = admission.enter(proxy).unwrap().move_to([192, 0, 2, 2].into()).unwrap();
        let third = admission.enter(proxy).unwrap().move_to([192, 0, 2, 1].into());
        assert_eq!(third.unwrap_err(), Full::Address);
        drop((first, second));
    }

    #[test]
    fn f75_nothing_is_left_of_who_is_gone() {
        let admission = admission(|limits| limits.half_open_max = 50);
        for _ in 0..3 {
            let permits: Vec<_> = (0..50_u8)
                .map(|last| {
                    let mut permit = admission.enter([10, 0, 0, last].into()).unwrap();
                    if last % 2 == 0 {
                        permit.become_viewer(&format!("user {}", last % 8)).unwrap();
                    }
                    permit
                })
                .collect();
            drop(permits);
            assert!(admission.addresses.is_empty() && admission.users.is_empty());
            assert_eq!(admission.total.load(Ordering::Relaxed), 0);
            assert_eq!(admission.half_open.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn t12_no_more_than_so_many_are_half_open() {
        let admission = admission(|limits| limits.half_open_max = 2);
        let enter = |last| admission.enter([10, 0, 0, last].into());
        let (mut first, _second) = (enter(1).unwrap(), enter(2).unwrap());
        assert_eq!(enter(3).unwrap_err(), Full::Process);
        first.become_viewer("u").unwrap();
        enter(3).unwrap();
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.2"), network("10.0.0.1"));
    }
}
