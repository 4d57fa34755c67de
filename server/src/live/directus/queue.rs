//! Whose turn it is to call Directus: a bounded number at once, first come, first served.
//!
//! A quarter of the calls is kept from each kind, so that a crowd at the door does not hold up
//! whoever is inside and waits for an event, which is due within seconds, and a crowd inside does not
//! keep the door shut. One user's questions about events take a few turns at most.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::metrics::Gauge;

/// Calls about events that one user has in flight: enough for a page with a few events, and a sixth
/// of what all have together by default. Without it one account with all its connections and topics
/// would have every turn.
const EVENTS_PER_USER_MAX: usize = 4;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// Who is this?
    Identity,
    /// May the user of this id see this event?
    Event(&'a str),
}

/// Hands out turns.
#[derive(Debug)]
pub(crate) struct Queue {
    all: Semaphore,
    identities: Semaphore,
    events: Semaphore,
    /// Users who ask about events, no more than there are questions under way.
    users: DashMap<Box<str>, Arc<Semaphore>>,
    calls_max: usize,
    /// How many wait.
    pub(crate) waiting: Gauge,
}

/// The right to make one call.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _all: SemaphorePermit<'a>,
    _kind: SemaphorePermit<'a>,
    _share: Option<Share<'a>>,
}

impl Queue {
    /// So many calls at once, at least one.
    pub(crate) fn new(calls_max: usize) -> Self {
        let calls_max = calls_max.clamp(1, Semaphore::MAX_PERMITS);
        let kind_max = calls_max - calls_max / 4;
        Self {
            all: Semaphore::new(calls_max),
            identities: Semaphore::new(kind_max),
            events: Semaphore::new(kind_max),
            users: DashMap::new(),
            calls_max,
            waiting: Gauge::default(),
        }
    }

    /// Waits for a turn, but not for ever.
    pub(crate) async fn turn<'a>(&'a self, kind: Kind<'a>, wait: Duration) -> Option<Turn<'a>> {
        let _place = Place::take(&self.waiting);
        let turn = async {
            // The narrowest comes first: who waits for it holds nothing that others need.
            let (share, kind) = match kind {
                Kind::Identity => (None, &self.identities),
                Kind::Event(user) => (Some(Share::take(&self.users, user).await), &self.events),
            };
            let kind = permit(kind).await;
            Turn { _all: permit(&self.all).await, _kind: kind, _share: share }
        };
        tokio::time::timeout(wait, turn).await.ok()
    }

    /// How many calls are under way, and how many may be.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        (self.calls_max - self.all.available_permits(), self.calls_max)
    }
}

async fn permit(semaphore: &Semaphore) -> SemaphorePermit<'_> {
    semaphore.acquire().await.expect("never closed")
}

/// One of a user's own turns, or the wait for it.
#[derive(Debug)]
struct Share<'a> {
    users: &'a DashMap<Box<str>, Arc<Semaphore>>,
    user: &'a str,
    permit: Option<OwnedSemaphorePermit>,
}

impl<'a> Share<'a> {
    async fn take(users: &'a DashMap<Box<str>, Arc<Semaphore>>, user: &'a str) -> Self {
        // Made before the wait: who gives up cleans up, too.
        let mut share = Self { users, user, permit: None };
        let own = || Arc::new(Semaphore::new(EVENTS_PER_USER_MAX));
        let turns = users.entry(user.into()).or_insert_with(own).clone();
        let permit = turns.acquire_owned().await;
        share.permit = Some(permit.expect("never closed"));
        share
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.permit = None;
        // Everybody else who holds or awaits a turn of this user holds the semaphore, too.
        self.users.remove_if(self.user, |_, turns| Arc::strong_count(turns) == 1);
    }
}

/// Counts one who waits, until dropped.
struct Place<'a>(&'a Gauge);

impl<'a> Place<'a> {
    fn take(gauge: &'a Gauge) -> Self {
        gauge.add(1);
        Self(gauge)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{EVENTS_PER_USER_MAX, Kind, Queue};

    const WAIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn each_kind_leaves_room_for_the_other() {
        let (inside, door) = (Kind::Event("a"), Kind::Identity);
        for (crowd, other) in [(door, inside), (inside, door)] {
            let queue = Queue::new(4);
            let mut turns = Vec::new();
            for _ in 0..3 {
                turns.push(queue.turn(crowd, WAIT).await.expect("there is room"));
            }
            assert!(queue.turn(crowd, WAIT).await.is_none());
            turns.push(queue.turn(other, WAIT).await.expect("there is room"));
            assert!(queue.turn(other, WAIT).await.is_none());
            assert_eq!((queue.in_flight(), queue.waiting.value()), ((4, 4), 0));
            drop(turns);
            assert_eq!(queue.in_flight(), (0, 4));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_at_once_serves_both_kinds() {
        let queue = Queue::new(0);
        for kind in [Kind::Event("a"), Kind::Identity, Kind::Event("a"), Kind::Identity] {
            assert!(queue.turn(kind, Duration::from_secs(1)).await.is_some(), "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn t12_one_user_does_not_hold_up_the_others() {
        let queue = Queue::new(32);
        let mut turns = Vec::new();
        for _ in 0..EVENTS_PER_USER_MAX {
            turns.push(queue.turn(Kind::Event("a"), WAIT).await.expect("there is room"));
        }
        assert!(queue.turn(Kind::Event("a"), WAIT).await.is_none());
        turns.push(queue.turn(Kind::Event("b"), WAIT).await.expect("there is room"));
        // One who waits comes as soon as one of the same user is done.
        let waiting = queue.turn(Kind::Event("a"), WAIT);
        let done = async { drop(turns.swap_remove(0)) };
        let (next, ()) = tokio::join!(waiting, done);
        assert!(next.is_some());
        drop((next, turns));
        assert_eq!((queue.in_flight(), queue.users.len()), ((0, 32), 0));
    }
}
