//! Who had a membership when an event was opened to them: only those can lose it.
//!
//! Somebody whom Directus lets see an event for another reason has none, and keeps the event. What is
//! not known yet is learned by the next look at the table.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use engine::id::EventId;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Pairs of user and event that are remembered: ten events for each of 100,000 viewers, 80 MB at
/// worst. A pair that finds no room is never withdrawn; the gauge beside its limit shows it.
pub(super) const MEMBERSHIPS_MAX: usize = 1_000_000;

/// Pairs that wait to be learned, 32 B each; what is over is learned by the next look at the table.
const WONDERS_MAX: usize = 16_384;

/// How long a pair is kept that no viewer watches: longer than an event stays allowed unasked, so
/// that what was known then is not learned anew too late.
const UNWATCHED_KEPT: Duration = Duration::from_secs(120);

/// The id of a user where it is a uuid. Others are in no table, so they are never members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Uuid(EventId);

impl Uuid {
    /// Reads the text form, in either case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        EventId::parse(text.to_ascii_lowercase().as_bytes()).map(Self)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A user and an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub(super) user: Uuid,
    pub(super) event: EventId,
}

/// What is remembered, and what is still to be learned.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    pairs: DashMap<Pair, Known>,
    wonders: Mutex<Vec<Pair>>,
    bell: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    is_member: bool,
    touched: Instant,
}

impl Memberships {
    /// Whether the pair had a membership; nothing when that is not known.
    pub(super) fn had(&self, pair: Pair) -> Option<bool> {
        self.pairs.get(&pair).map(|known| known.is_member)
    }

    /// The pair is still watched; false when nothing is known about it.
    pub(super) fn touch(&self, pair: Pair) -> bool {
        let known = self.pairs.get_mut(&pair);
        known.map(|mut known| known.touched = Instant::now()).is_some()
    }

    /// The pair has a membership, or none.
    pub(super) fn learn(&self, pair: Pair, is_member: bool) {
        let known = Known { is_member, touched: Instant::now() };
        if self.pairs.len() < MEMBERSHIPS_MAX || self.pairs.contains_key(&pair) {
            self.pairs.insert(pair, known);
        }
    }

    /// Somebody ought to look whether the pair has a membership.
    pub(super) fn wonder(&self, pair: Pair) {
        let mut wonders = self.wonders.lock().unwrap_or_else(PoisonError::into_inner);
        if wonders.len() < WONDERS_MAX {
            wonders.push(pair);
            self.bell.notify_one();
        }
    }

    /// Waits until there is something to learn; at most `count_max` pairs at once.
    pub(super) async fn wonders(&self, count_max: usize) -> Vec<Pair> {
        loop {
            {
                let mut wonders = self.wonders.lock().unwrap_or_else(PoisonError::into_inner);
                if !wonders.is_empty() {
                    let count = wonders.len().min(count_max);
                    return wonders.drain(..count).collect();
                }
            }
            self.bell.notified().await;
        }
    }

    /// Drops what nobody has watched for long.
    pub(super) fn sweep(&self) {
        self.pairs.retain(|_, known| known.touched.elapsed() <= UNWATCHED_KEPT);
    }

    /// How many pairs are remembered.
    pub(super) fn count(&self) -> usize {
        self.pairs.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::id::EventId;

    use super::{Memberships, Pair, Uuid};

    fn pair(event: u128) -> Pair {
        let user = Uuid::parse("6F1B1E8A-3c52-4e0e-9a41-0d7f5c1b2a3d").expect("a uuid");
        Pair { user, event: EventId(event) }
    }

    #[test]
    fn a_user_whose_id_is_no_uuid_is_in_no_table() {
        for id in ["", "admin", "{6f1b1e8a-3c52-4e0e-9a41-0d7f5c1b2a3}", "6f1b1e8a3c524e0e9a41"] {
            assert_eq!(Uuid::parse(id), None, "{id}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_watched_is_kept_and_the_rest_goes() {
        let memberships = Memberships::default();
        memberships.learn(pair(1), true);
        memberships.learn(pair(2), false);
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(60)).await;
            assert!(memberships.touch(pair(1)));
            memberships.sweep();
        }
        assert_eq!((memberships.had(pair(1)), memberships.had(pair(2))), (Some(true), None));
        assert!(!memberships.touch(pair(2)));
        assert_eq!(memberships.count(), 1);
    }

    #[tokio::test]
    async fn wonders_come_in_pieces() {
        let memberships = Memberships::default();
        for event in 0..5 {
            memberships.wonder(pair(event));
        }
        assert_eq!(memberships.wonders(3).await, [pair(0), pair(1), pair(2)]);
        assert_eq!(memberships.wonders(3).await, [pair(3), pair(4)]);
    }
}
