//! Whose turn it is to call Directus: a bounded number at once, first come, first served.
//!
//! A quarter of the calls is kept from those who connect, so that a crowd at the door does not hold
//! up whoever is inside and waits for an event: that answer is due within seconds.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::metrics::Gauge;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Who is this?
    Identity,
    /// May they see this event?
    Event,
}

/// Hands out turns.
#[derive(Debug)]
pub(crate) struct Queue {
    all: Semaphore,
    identities: Semaphore,
    calls_max: usize,
    /// How many wait.
    pub(crate) waiting: Gauge,
}

/// The right to make one call.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _all: SemaphorePermit<'a>,
    _identities: Option<SemaphorePermit<'a>>,
}

impl Queue {
    /// So many calls at once, at least one.
    pub(crate) fn new(calls_max: usize) -> Self {
        let calls_max = calls_max.clamp(1, Semaphore::MAX_PERMITS);
        let identities_max = calls_max - calls_max / 4;
        Self {
            all: Semaphore::new(calls_max),
            identities: Semaphore::new(identities_max),
            calls_max,
            waiting: Gauge::default(),
        }
    }

    /// Waits for a turn, but not for ever.
    pub(crate) async fn turn(&self, kind: Kind, wait: Duration) -> Option<Turn<'_>> {
        let _place = Place::take(&self.waiting);
        let turn = async {
            let identities = match kind {
                Kind::Identity => Some(permit(&self.identities).await),
                Kind::Event => None,
            };
            Turn { _all: permit(&self.all).await, _identities: identities }
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

    use super::{Kind, Queue};

    #[tokio::test(start_paused = true)]
    async fn those_who_connect_leave_room_for_those_inside() {
        let queue = Queue::new(4);
        let wait = Duration::from_secs(10);
        let mut turns = Vec::new();
        for _ in 0..3 {
            turns.push(queue.turn(Kind::Identity, wait).await.expect("there is room"));
        }
        assert!(queue.turn(Kind::Identity, wait).await.is_none());
        turns.push(queue.turn(Kind::Event, wait).await.expect("there is room"));
        assert!(queue.turn(Kind::Event, wait).await.is_none());
        assert_eq!((queue.in_flight(), queue.waiting.value()), ((4, 4), 0));
        drop(turns);
        assert_eq!(queue.in_flight(), (0, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_at_once_serves_both_kinds() {
        let queue = Queue::new(0);
        for kind in [Kind::Identity, Kind::Event, Kind::Identity] {
            assert!(queue.turn(kind, Duration::from_secs(1)).await.is_some(), "{kind:?}");
        }
    }
}
