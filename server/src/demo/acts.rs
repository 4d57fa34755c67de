//! What the keys of the demo break, and how it is told that it heals.

use std::time::Duration;

use loadgen::viewers::Kind;

use super::screen::milliseconds;
use super::stage::Stage;

/// What the slow phone can read in a second: a fifth of what sixty cars send.
const SLOW_BYTES: u32 = 10_000;

/// Viewers that come at once, and over how long they come.
pub(super) const BURST: u32 = 5_000;
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
    /// Most records that cars kept while it was.
    kept_most: u64,
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
        if self.burst && !self.burst_told && watching >= BURST {
            self.burst_told = true;
            let delay = delay(stage);
            self.tell(stage, &format!("All 5,000 have their snapshot and watch. {delay}"));
        }
        if !self.stopped {
            return;
        }
        let kept = stage.cars().kept;
        self.kept_most = self.kept_most.max(kept);
        if stage.store.paused_for().is_none() && kept < self.kept_most.div_ceil(4).max(20) {
            self.stopped = false;
            let most = self.kept_most;
            let words = format!(
                "The store works again. Cars had kept {most} records, which were stored and shown now: \
                 none is lost."
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
            stage.crowd.add(BURST, Kind::Brisk, RAMP);
            self.tell(stage, "5,000 viewers come within two seconds.");
        } else {
            stage.crowd.remove(BURST, Kind::Brisk);
            self.tell(stage, "The 5,000 have gone.");
        }
    }

    fn stop_store(&mut self, stage: &Stage) {
        if self.stopped {
            return;
        }
        (self.stopped, self.kept_most) = (true, 0);
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
