//! Places are taken and given back, whoever comes and goes in whatever order.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Admission, Full, Permit, network_of};
use crate::config::LimitConfig;

fn admission(change: impl FnOnce(&mut LimitConfig)) -> Arc<Admission> {
    let mut limits = LimitConfig::default();
    change(&mut limits);
    Admission::new(limits)
}

fn address(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

/// A connection that has come as far as a viewer.
fn viewer(admission: &Arc<Admission>, last: u8, user_id: &str) -> Result<Permit, Full> {
    let mut permit = admission.enter(Some(address(last)))?;
    permit.take_place()?;
    permit.become_viewer(user_id)?;
    Ok(permit)
}

fn is_empty(admission: &Admission) -> bool {
    let left = [&admission.viewers, &admission.half_open].map(|it| it.load(Ordering::Relaxed));
    left == [0, 0] && admission.addresses.is_empty() && admission.users.is_empty()
}

#[test]
fn t22_a_user_has_so_many_and_each_end_frees_a_place() {
    let admission = admission(|limits| limits.viewers_per_user_max = 2);
    let first = viewer(&admission, 1, "u").unwrap();
    let second = viewer(&admission, 2, "u").unwrap();
    assert_eq!(viewer(&admission, 3, "u").unwrap_err(), Full::User);
    let other = viewer(&admission, 3, "v").unwrap();
    drop(first);
    let third = viewer(&admission, 3, "u").unwrap();
    drop((second, third, other));
    assert!(is_empty(&admission));
}

#[test]
fn t22_a_crowd_from_one_address_gets_as_many_places_as_there_are() {
    let admission = admission(|limits| limits.viewers_per_address_max = 3);
    let mut crowd: Vec<_> = (0..9).map(|_| admission.enter(Some(address(1))).unwrap()).collect();
    let taken: Vec<_> = crowd.iter_mut().map(Permit::take_place).collect();
    assert_eq!(taken, [vec![Ok(()); 3], vec![Err(Full::Address); 6]].concat());
    viewer(&admission, 2, "u").unwrap();
    crowd[0].give_up_place();
    crowd[8].take_place().unwrap();
    drop(crowd);
    assert!(is_empty(&admission));
}

#[test]
fn the_process_has_so_many_places() {
    let admission = admission(|limits| limits.viewers_max = 2);
    let _viewers = [viewer(&admission, 1, "u").unwrap(), viewer(&admission, 2, "u").unwrap()];
    assert_eq!(viewer(&admission, 3, "u").unwrap_err(), Full::Process);
    assert_eq!(admission.addresses.len(), 2, "who is refused leaves nothing behind");
}

#[test]
fn t12_no_more_than_so_many_are_half_open() {
    let admission = admission(|limits| limits.half_open_max = 2);
    let enter = |last| admission.enter(Some(address(last)));
    let (mut first, _second) = (enter(1).unwrap(), enter(2).unwrap());
    assert_eq!(enter(3).unwrap_err(), Full::Process);
    first.take_place().unwrap();
    assert_eq!(enter(3).unwrap_err(), Full::Process, "it is not known who that is");
    first.become_viewer("u").unwrap();
    enter(3).unwrap();
}

#[test]
fn t12_one_address_has_so_many_half_open() {
    let admission = admission(|limits| limits.half_open_per_address_max = 2);
    let enter = |last| admission.enter(Some(address(last)));
    let half_open = [enter(1).unwrap(), enter(1).unwrap()];
    assert_eq!(enter(1).unwrap_err(), Full::Address);
    enter(2).unwrap();
    drop(half_open);
    assert!(is_empty(&admission));
}

#[test]
fn t35_behind_a_proxy_the_clients_address_counts() {
    let admission = admission(|limits| limits.half_open_per_address_max = 1);
    let enter = || admission.enter(None).unwrap();
    let (mut first, mut second, mut third) = (enter(), enter(), enter());
    assert_eq!(first.settle(address(1)), Ok(()));
    assert_eq!(second.settle(address(2)), Ok(()));
    assert_eq!(third.settle(address(1)), Err(Full::Address));
    assert_eq!(first.settle(address(2)), Ok(()), "it stays where it is");
    drop((first, second, third));
    assert!(is_empty(&admission));
}

#[test]
fn f75_nothing_is_left_of_who_is_gone() {
    let admission = admission(|limits| limits.half_open_max = 50);
    for _ in 0..3 {
        let permits: Vec<_> = (0..50_u8)
            .map(|last| {
                let mut permit = admission.enter(Some(address(last))).unwrap();
                if last % 2 == 0 {
                    permit.take_place().unwrap();
                }
                if last % 4 == 0 {
                    permit.become_viewer(&format!("user {}", last % 8)).unwrap();
                }
                permit
            })
            .collect();
        drop(permits);
        assert!(is_empty(&admission), "{admission:?}");
    }
}

#[test]
fn a_network_of_ipv6_counts_as_one_address() {
    let network = |text: &str| network_of(text.parse().unwrap());
    assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"));
    assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
    assert_ne!(network("10.0.0.2"), network("10.0.0.1"));
}
