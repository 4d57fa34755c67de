//! How the time that an orderly end may take is shared out among the parts.

use crate::config::settings::DRAIN_MS_MAX;
use crate::{durable, ingest, lease};

/// The longest orderly end: what kills a process that does not end waits for 30 s.
const END_MS_MAX: u64 = 25_000;

/// How long shards may take beyond the time over which viewers are closed.
const SHARDS_END_MS: u64 = 3_000;

/// How long threads may take after the farewell: the source takes its group away.
pub(super) const THREADS_END_MS: u64 = 3_000;

/// What ends after all that: tasks, the runtime, the log's last lines.
const REST_MS: u64 = 1_000;

/// The longest waits of one end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// For what is being stored to be committed and acknowledged, before viewers are closed.
    pub(super) commit_ms: u64,
    /// For viewers to be closed.
    pub(super) viewers_ms: u64,
}

impl Budget {
    /// With viewers that are closed over `drain_ms`, or without any. What they need is theirs;
    /// committing has the rest, and goes on while they are closed.
    pub(super) const fn of(drain_ms: Option<u64>) -> Self {
        let viewers_ms = match drain_ms {
            Some(drain_ms) => drain_ms + SHARDS_END_MS,
            None => 0,
        };
        let fixed_ms = viewers_ms + THREADS_END_MS + lease::RELEASE_MS_MAX + REST_MS;
        let left_ms = END_MS_MAX.saturating_sub(fixed_ms);
        let commit_ms = if left_ms < durable::END_MS_MAX { left_ms } else { durable::END_MS_MAX };
        Self { commit_ms, viewers_ms }
    }

    /// The longest that such an end takes.
    const fn total_ms(&self) -> u64 {
        self.commit_ms + self.viewers_ms + THREADS_END_MS + lease::RELEASE_MS_MAX + REST_MS
    }
}

const _: () = {
    assert!(Budget::of(None).total_ms() <= END_MS_MAX);
    assert!(Budget::of(Some(0)).total_ms() <= END_MS_MAX);
    let longest = Budget::of(Some(DRAIN_MS_MAX));
    assert!(longest.total_ms() <= END_MS_MAX && longest.commit_ms > 0);
    // A thread that uses all of its time has ended when the others have.
    assert!(longest.commit_ms + longest.viewers_ms + THREADS_END_MS >= durable::END_MS_MAX);
    assert!(longest.commit_ms + longest.viewers_ms + THREADS_END_MS >= ingest::END_MS_MAX);
};

#[cfg(test)]
mod tests {
    use super::{Budget, DRAIN_MS_MAX, END_MS_MAX};

    #[test]
    fn no_end_takes_longer_than_25_seconds_and_committing_has_what_viewers_leave() {
        for drain_ms in [None].into_iter().chain((0..=DRAIN_MS_MAX).step_by(100).map(Some)) {
            let budget = Budget::of(drain_ms);
            assert!(budget.total_ms() <= END_MS_MAX, "{drain_ms:?}: {budget:?}");
        }
        for (drain_ms, commit_ms) in
            [(None, 10_000), (Some(5_000), 10_000), (Some(10_000), 6_000), (Some(15_000), 1_000)]
        {
            assert_eq!(Budget::of(drain_ms).commit_ms, commit_ms, "{drain_ms:?}");
        }
    }
}
