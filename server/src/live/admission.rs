//! How many may connect: in all, per address, per user, and how many that are not viewers yet.
//!
//! Whoever is let in holds a [`Permit`], which gives its places back when it is dropped, whatever
//! ended the connection. Nothing is remembered of who is gone.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};

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
    /// Set once the address is sure.
    network: Option<u128>,
    /// Set once it is known who it is.
    user_id: Option<Box<str>>,
    is_half_open: bool,
    /// It is a viewer, or may become one.
    is_viewer: bool,
}

/// Counts who is connected. An address or a user costs some 100 B while it is.
#[derive(Debug)]
pub struct Admission {
    limits: LimitConfig,
    viewers: AtomicUsize,
    half_open: AtomicUsize,
    addresses: DashMap<u128, Counts>,
    users: DashMap<Box<str>, usize>,
}

/// What one address has.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    viewers: usize,
    half_open: usize,
}

impl Admission {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(limits: LimitConfig) -> Arc<Self> {
        Arc::new(Self {
            limits,
            viewers: AtomicUsize::new(0),
            half_open: AtomicUsize::new(0),
            addresses: DashMap::new(),
            users: DashMap::new(),
        })
    }

    /// Lets in a connection that is not a viewer yet. Its address is `None` while it is not sure,
    /// since a trusted proxy stands before it.
    pub fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit, Full> {
        if !take(&self.half_open, self.limits.half_open_max) {
            return Err(Full::Process);
        }
        let mut permit = Permit {
            admission: self.clone(),
            network: None,
            user_id: None,
            is_half_open: true,
            is_viewer: false,
        };
        if let Some(address) = address {
            permit.settle(address)?;
        }
        Ok(permit)
    }

    /// Changes what an address has, and forgets it when it has nothing.
    fn change(&self, network: u128, change: impl FnOnce(&mut Counts)) {
        if let Entry::Occupied(mut entry) = self.addresses.entry(network) {
            let counts = entry.get_mut();
            change(counts);
            if counts.viewers == 0 && counts.half_open == 0 {
                entry.remove();
            }
        }
    }
}

impl Permit {
    /// The address is sure now. Once settled it stays.
    pub fn settle(&mut self, address: IpAddr) -> Result<(), Full> {
        if self.network.is_some() {
            return Ok(());
        }
        let network = network_of(address);
        let mut counts = self.admission.addresses.entry(network).or_default();
        if counts.half_open >= self.admission.limits.half_open_per_address_max {
            return Err(Full::Address);
        }
        counts.half_open += 1;
        self.network = Some(network);
        Ok(())
    }

    /// Takes a viewer's place before it is known who it is, so that a crowd at the door gets as many
    /// as there are, and not one less.
    ///
    /// # Panics
    /// When the address is not settled, or a place was taken already.
    pub fn take_place(&mut self) -> Result<(), Full> {
        let network = self.network.expect("the address is settled before a place is taken");
        assert!(!self.is_viewer, "one place for each connection");
        let LimitConfig { viewers_max, viewers_per_address_max, .. } = self.admission.limits;
        if !take(&self.admission.viewers, viewers_max) {
            return Err(Full::Process);
        }
        let mut is_taken = false;
        self.admission.change(network, |counts| {
            is_taken = counts.viewers < viewers_per_address_max;
            counts.viewers += usize::from(is_taken);
        });
        if !is_taken {
            self.admission.viewers.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Address);
        }
        self.is_viewer = true;
        Ok(())
    }

    /// It is known who it is: it becomes a viewer, unless the user has too many.
    pub fn become_viewer(&mut self, user_id: &str) -> Result<(), Full> {
        let max = self.admission.limits.viewers_per_user_max;
        if !take_of(&self.admission.users, user_id.into(), max) {
            return Err(Full::User);
        }
        self.user_id = Some(user_id.into());
        self.end_half_open();
        Ok(())
    }

    /// It does not become a viewer. It stays half open until its last word has been said.
    pub fn give_up_place(&mut self) {
        if std::mem::replace(&mut self.is_viewer, false) {
            self.admission.viewers.fetch_sub(1, Ordering::Relaxed);
            if let Some(network) = self.network {
                self.admission.change(network, |counts| counts.viewers -= 1);
            }
        }
        if let Some(user_id) = self.user_id.take() {
            give_back(&self.admission.users, user_id);
        }
    }

    fn end_half_open(&mut self) {
        if std::mem::replace(&mut self.is_half_open, false) {
            self.admission.half_open.fetch_sub(1, Ordering::Relaxed);
            if let Some(network) = self.network {
                self.admission.change(network, |counts| counts.half_open -= 1);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_up_place();
        self.end_half_open();
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
        let limits = &self.limits;
        let most = |of: fn(&Counts) -> usize| {
            self.addresses.iter().map(|counts| of(&counts)).max().unwrap_or(0)
        };
        let most_of_user = self.users.iter().map(|count| *count).max().unwrap_or(0);
        let half_open = self.half_open.load(Ordering::Relaxed);
        [
            (
                "LIVE_VIEWERS_PER_ADDRESS_MAX",
                most(|counts| counts.viewers),
                limits.viewers_per_address_max,
            ),
            ("LIVE_VIEWERS_PER_USER_MAX", most_of_user, limits.viewers_per_user_max),
            ("LIVE_HALF_OPEN_MAX", half_open, limits.half_open_max),
            (
                "LIVE_HALF_OPEN_PER_ADDRESS_MAX",
                most(|counts| counts.half_open),
                limits.half_open_per_address_max,
            ),
        ]
        .map(|(name, used, allowed)| LimitUse { name, used: used as u64, allowed: allowed as u64 })
        .into()
    }
}

/// Takes one of so many; false when there is none left.
fn take(count: &AtomicUsize, max: usize) -> bool {
    let taken = count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < max).then_some(now + 1));
    taken.is_ok()
}

fn take_of(counts: &DashMap<Box<str>, usize>, key: Box<str>, max: usize) -> bool {
    let mut count = counts.entry(key).or_default();
    let has_room = *count < max;
    *count += usize::from(has_room);
    has_room
}

fn give_back(counts: &DashMap<Box<str>, usize>, key: Box<str>) {
    if let Entry::Occupied(mut entry) = counts.entry(key) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

/// What counts as one address: an IPv4 address, or the 64 bits of a network of IPv6, since a host may
/// choose the rest freely.
pub(super) fn network_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.to_ipv6_mapped().to_bits(),
            None => (Ipv6Addr::to_bits(address) >> 64) << 64,
        },
    }
}

#[cfg(test)]
mod tests;
