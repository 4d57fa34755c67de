//! When what a race brings is due by the clock of the wall, and how its fixes are dated then.
//!
//! The schedule is fixed before the first record leaves: what leaves late is late, and is measured
//! from when it was due. Whole numbers only, so that one record has one time in every program.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::race::Arrival;

/// Slowest pace, in thousandths of a race's own.
const SPEED_THOUSANDTHS_MIN: u64 = 1;

/// How fast a race passes, in thousandths of its own speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    thousandths: u64,
}

impl Pace {
    /// The race's own.
    pub const REAL: Self = Self { thousandths: 1_000 };

    /// So many times as fast.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates, and what is not positive becomes the slowest pace"
    )]
    pub fn times(speed: f64) -> Self {
        Self { thousandths: ((speed * 1e3).round() as u64).max(SPEED_THOUSANDTHS_MIN) }
    }

    /// The pace at which so many devices, each with one record a second, send so many records a
    /// second.
    #[must_use]
    pub fn of_rate(records_per_second: u64, devices: u32) -> Self {
        let thousandths = records_per_second.saturating_mul(1_000) / u64::from(devices.max(1));
        Self { thousandths: thousandths.max(SPEED_THOUSANDTHS_MIN) }
    }

    /// How long so much time of the race takes by the clock of the wall.
    #[must_use]
    pub fn real_time(self, race_time: Duration) -> Duration {
        let race_us = u64::try_from(race_time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.scaled(race_us))
    }

    fn scaled(self, time: u64) -> u64 {
        time.saturating_mul(1_000) / self.thousandths
    }
}

/// How fixes are dated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    /// As the race has them.
    Race,
    /// By the clock of the wall: as the race has them, but as if it had begun with the schedule.
    /// At another pace than the race's own the time between two fixes shrinks or grows with it.
    Wall,
    /// By the clock of the wall, at the moment when they are due: as if there were no network
    /// between the device and here. Then their age at a viewer is the way from here to there. Only
    /// for races in which nothing goes wrong.
    Due,
}

/// When a race begins, and how it passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// When the race begins by its own clock, epoch milliseconds.
    pub race_start_ms: u64,
    /// When it begins by the clock of the wall.
    pub wall_start_ms: u64,
    /// How fast it passes.
    pub pace: Pace,
    /// How its fixes are dated.
    pub dates: Dates,
}

impl Schedule {
    /// When something is due that happens then in the race, in microseconds from the beginning.
    #[must_use]
    pub fn due_us(&self, race_ms: u64) -> u64 {
        self.pace.scaled(race_ms.saturating_sub(self.race_start_ms).saturating_mul(1_000))
    }

    /// Dates the fix of an arrival. The same fix, sent again, gets the same date.
    pub fn date(&self, arrival: &mut Arrival) {
        let timestamp_ms = &mut arrival.fix.timestamp_ms;
        match self.dates {
            Dates::Race => {}
            Dates::Wall => {
                let right_ms = timestamp_ms.saturating_add_signed(-arrival.clock_error_ms);
                let passed_ms = self.pace.scaled(right_ms.abs_diff(self.race_start_ms));
                // What a device has kept since before the schedule lies before it.
                let wall_ms = if right_ms < self.race_start_ms {
                    self.wall_start_ms.saturating_sub(passed_ms)
                } else {
                    self.wall_start_ms.saturating_add(passed_ms)
                };
                *timestamp_ms = wall_ms.saturating_add_signed(arrival.clock_error_ms);
            }
            Dates::Due => {
                *timestamp_ms = self.wall_start_ms + self.due_us(arrival.arrival_ms) / 1_000;
            }
        }
    }
}

/// The clock by which a schedule is kept: the time since its beginning, which may lie ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    /// Until the beginning, from when the clock was made.
    ahead_us: u64,
}

impl Clock {
    /// A clock whose zero lies so far ahead.
    pub(crate) fn starting_in(ahead_us: u64) -> Self {
        Self { began: Instant::now(), ahead_us }
    }

    /// Since the clock was made, which is never negative.
    pub(crate) fn elapsed_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// When something that is due so long after the beginning is due on this clock's own scale.
    pub(crate) fn on_scale(&self, due_us: u64) -> u64 {
        due_us.saturating_add(self.ahead_us)
    }
}

/// The time of the wall in microseconds.
pub(crate) fn wall_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Dates, Pace, Schedule};
    use crate::race::{Arrival, Irregular, Race, RaceConfig};

    const WALL_MS: u64 = 1_800_000_000_000;

    fn arrivals() -> Vec<Arrival> {
        let irregular = Irregular { wrong_clock_share: 0.3, ..Irregular::default() };
        let config = RaceConfig { devices: 30, seconds: 900, irregular, ..RaceConfig::default() };
        Race::new(3, &config).collect()
    }

    fn schedule(pace: Pace, dates: Dates) -> Schedule {
        let race_start_ms = RaceConfig::default().start_ms;
        Schedule { race_start_ms, wall_start_ms: WALL_MS, pace, dates }
    }

    #[test]
    fn a_faster_race_is_due_earlier_and_its_fixes_are_closer_together() {
        let schedule = schedule(Pace::times(10.0), Dates::Wall);
        for mut arrival in arrivals() {
            let race_ms = arrival.fix.timestamp_ms.saturating_add_signed(-arrival.clock_error_ms);
            let passed_ms = (race_ms - schedule.race_start_ms) / 10;
            schedule.date(&mut arrival);
            let right_ms = arrival.fix.timestamp_ms.saturating_add_signed(-arrival.clock_error_ms);
            assert_eq!(right_ms, WALL_MS + passed_ms, "{arrival:?}");
            let due_ms = WALL_MS + schedule.due_us(arrival.arrival_ms) / 1_000;
            assert!(right_ms < due_ms, "only a wrong clock is ahead: {arrival:?}");
        }
    }

    #[test]
    fn at_its_own_pace_a_race_is_moved_as_a_whole_or_left_alone() {
        for arrival in arrivals() {
            let (mut moved, mut left) = (arrival, arrival);
            schedule(Pace::REAL, Dates::Wall).date(&mut moved);
            schedule(Pace::REAL, Dates::Race).date(&mut left);
            assert_eq!(left, arrival);
            let shift_ms = WALL_MS - RaceConfig::default().start_ms;
            assert_eq!(moved.fix.timestamp_ms, arrival.fix.timestamp_ms + shift_ms);
        }
    }

    #[test]
    fn fixes_dated_when_they_are_due_have_no_age_on_arrival() {
        let schedule = schedule(Pace::times(2.0), Dates::Due);
        let mut arrival = arrivals()[7];
        schedule.date(&mut arrival);
        let due_ms = schedule.due_us(arrival.arrival_ms) / 1_000;
        assert_eq!(arrival.fix.timestamp_ms, WALL_MS + due_ms);
    }

    #[test]
    fn a_rate_is_the_pace_of_so_many_devices() {
        assert_eq!(Pace::of_rate(500, 500), Pace::REAL);
        assert_eq!(Pace::of_rate(20_000, 500), Pace::times(40.0));
        assert_eq!(Pace::of_rate(0, 500), Pace::times(0.0), "never a race that does not pass");
    }
}
