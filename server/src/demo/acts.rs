//! What the keys of the demo break, and how it is told that it heals.

use std::time::Duration;

use loadgen::viewers::Kind;

use super::screen::{grouped, milliseconds};
use super::stage::Stage;

/// What the slow phone can read in a second: a fifth of what sixty cars send.
const SLOW_BYTES: u32 = 10_000;

/// Over how long those come who come at once.
const RAMP: Duration = Duration::from_secs(2);

/// How long the store is stopped.
const PAUSE: Duration = Duration::from_secs(5);

/// Lines of the story that are kept.
const STORY_MAX: usize = 6;

/// What is broken at the moment, and what happened.
#[derive(Debug, Default)]
pub(super) struct Acts {
    pub(super) slow: bool,
    pub(super) stalled: bool,
    pub(super) burst: bool,
    /// The burst has been told of as complete.
    burst_told: bool,
    /// The store is stopped, or what it left behind is not stored yet.
    pub(super) stopped: bool,
    /// Records that cars kept before, and most while it was.
    kept_before: u64,
    kept_most: u64,
    /// Records that cars had given up before.
    forgotten_before: u64,
    /// Sentences with the seconds of the demo at which they were said, oldest first.
    pub(super) story: Vec<(u64, String)>,
}

impl Acts {
    /// Does what a key asks for; others ask for nothing.
    pub(super) fn press(&mut self, key: u8, stage: &Stage) {
        match key.to_ascii_lowercase() {
            b's' => self.slow(stage),
            b't' => self.stall(stage),
            b'b' => self.burst(stage),
            b'd' => self.stop_store(stage),
            _ => {}
        }
    }

    /// Sees what has healed since the last look.
    pub(super) fn look(&mut self, stage: &Stage) {
        let watching = stage.crowd.snapshot().watching;
        if self.burst && !self.burst_told && watching >= stage.burst {
            self.burst_told = true;
            let (burst, delay) = (grouped(stage.burst), delay(stage));
            self.tell(stage, &format!("All {burst} have their snapshot and watch. {delay}"));
        }
        if !self.stopped {
            return;
        }
        let cars = stage.cars();
        self.kept_most = self.kept_most.max(cars.kept);
        // Some are always under way.
        let usual = self.kept_before.max(u64::from(stage.car_count));
        if stage.store.paused_for().is_none() && cars.kept <= usual {
            self.stopped = false;
            let (most, lost) = (self.kept_most, cars.forgotten - self.forgotten_before);
            let words = format!(
                "The store works again. Cars had kept up to {most} records and have sent them: {lost} \
                 are lost."
            );
            self.tell(stage, &words);
        }
    }

    fn slow(&mut self, stage: &Stage) {
        let kind = Kind::Slow { bytes_per_second: SLOW_BYTES };
        self.slow = !self.slow;
        if self.slow {
            stage.crowd.add(1, kind, Duration::ZERO);
            let delay = delay(stage);
            self.tell(
                stage,
                &format!("A phone that reads 10 kB/s watches, a fifth of what cars send. {delay}"),
            );
        } else {
            stage.crowd.remove(1, kind);
            self.tell(stage, "The slow phone has gone.");
        }
    }

    fn stall(&mut self, stage: &Stage) {
        self.stalled = !self.stalled;
        if self.stalled {
            stage.crowd.add(1, Kind::Stalled, Duration::ZERO);
            let delay = delay(stage);
            let words =
                format!("A phone connects and reads nothing, which costs its buffer. {delay}");
            self.tell(stage, &words);
        } else {
            stage.crowd.remove(1, Kind::Stalled);
            self.tell(stage, "The stalled phone has gone.");
        }
    }

    fn burst(&mut self, stage: &Stage) {
        (self.burst, self.burst_told) = (!self.burst, false);
        if self.burst {
            stage.crowd.add(stage.burst, Kind::Brisk, RAMP);
            let burst = grouped(stage.burst);
            self.tell(stage, &format!("{burst} viewers come within two seconds."));
        } else {
            stage.crowd.remove(stage.burst, Kind::Brisk);
            self.tell(stage, "They have gone.");
        }
    }

    fn stop_store(&mut self, stage: &Stage) {
        if self.stopped {
            return;
        }
        let cars = stage.cars();
        (self.stopped, self.kept_most) = (true, 0);
        (self.kept_before, self.forgotten_before) = (cars.kept, cars.forgotten);
        stage.store.pause(PAUSE);
        let words = "The store stands still for five seconds: no car is answered, so each waits, keeps \
                     its records, and is shown where it was last heard of.";
        self.tell(stage, words);
    }

    fn tell(&mut self, stage: &Stage, words: &str) {
        self.story.push((stage.begun.elapsed().as_secs(), words.to_owned()));
        let surplus = self.story.len().saturating_sub(STORY_MAX);
        self.story.drain(..surplus);
    }
}

/// The delay of everybody else, as a sentence.
fn delay(stage: &Stage) -> String {
    let p99 = stage.probe.delay(0.99);
    p99.map_or_else(String::new, |p99| format!("The others' p99 is {}.", milliseconds(p99)))
}
