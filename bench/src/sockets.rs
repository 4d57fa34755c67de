//! What a delivered frame costs over real TCP connections, beside a bare loop that sends the same bytes.
//!
//! Both sides send over the same connections of one process, pinned to one core. A process of its own
//! on another core reads and throws away. A leg is a second or two of rounds of one side; a pair is a
//! leg of each. The figure is the process's CPU time, so waiting for the next round costs nothing.
//!
//! A run is refused, not reported, when a byte was lost, a send was cut by a full buffer or the reader
//! fell behind: it would compare something else.

pub mod connections;
pub mod hot;
pub mod legs;
pub mod reader;
pub mod report;
pub mod statistics;

use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Pairs of legs that count.
    pub pair_count: usize,
    /// How long each leg is.
    pub leg: Duration,
}

/// One row of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Frames of a flush.
    pub batch: usize,
    /// Connections.
    pub viewer_count: u32,
}

/// Time from one round to the next, per viewer: about half of it is work, so the reader keeps up.
pub const PACE_US: u64 = 10;

impl Case {
    /// From one round to the next.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_micros(PACE_US * u64::from(self.viewer_count))
    }

    /// Rounds of a leg that is to last `leg`.
    #[must_use]
    pub fn round_count(self, leg: Duration) -> usize {
        let rounds = leg.as_micros() / self.interval().as_micros();
        usize::try_from(rounds).expect("a leg is short").max(1)
    }

    /// Frames that arrive when so many rounds reach everyone.
    #[must_use]
    pub fn frame_count(self, round_count: usize) -> u64 {
        (round_count * self.batch) as u64 * u64::from(self.viewer_count)
    }
}

/// CPU time of this process up to now, user and system.
#[must_use]
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("CPU time is never negative");
    let nanoseconds = u32::try_from(time.tv_nsec).expect("below a second");
    Duration::new(seconds, nanoseconds)
}

/// The cores for the two processes: one sends, one reads.
///
/// # Errors
/// When there are fewer than two.
pub fn two_cores() -> Result<[usize; 2], String> {
    let allowed = sched_getaffinity(None).map_err(|error| format!("the cores: {error}"))?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    match (cores.next(), cores.next()) {
        (Some(sending), Some(reading)) => Ok([sending, reading]),
        _ => Err("Two cores are needed: one to send and one to read.".to_owned()),
    }
}

/// Keeps this process on one core.
///
/// # Errors
/// When the system does not allow it.
pub fn pin(core: usize) -> Result<(), String> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|error| format!("core {core}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Case;

    #[test]
    fn a_leg_has_the_rounds_that_fit_into_it() {
        let case = Case { batch: 16, viewer_count: 1_000 };
        assert_eq!(case.interval(), Duration::from_millis(10));
        assert_eq!(case.round_count(Duration::from_millis(1_500)), 150);
        assert_eq!(case.round_count(Duration::ZERO), 1);
        assert_eq!(case.frame_count(150), 2_400_000);
    }
}
