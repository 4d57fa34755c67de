//! How far a command is: one line that is rewritten on a terminal, plain lines elsewhere.
//!
//! It goes to the error output, so that the report can be read by a program.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two lines on a terminal.
const REWRITTEN_EVERY: Duration = Duration::from_millis(200);

/// Between two lines elsewhere.
const PRINTED_EVERY: Duration = Duration::from_secs(5);

/// Signs of the bar.
const BAR_SIGNS: usize = 20;

/// A line about how far something is.
#[derive(Debug)]
pub(super) struct Progress {
    is_terminal: bool,
    began: Instant,
    whole: Duration,
    told: Option<Instant>,
}

impl Progress {
    /// Of something that takes so long.
    pub(super) fn new(whole: Duration) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { is_terminal, began: Instant::now(), whole, told: None }
    }

    /// Tells how far it is, if it is time for that.
    pub(super) fn tell(&mut self, words: impl FnOnce() -> String) {
        let pause = if self.is_terminal { REWRITTEN_EVERY } else { PRINTED_EVERY };
        if self.told.is_some_and(|told| told.elapsed() < pause) {
            return;
        }
        self.told = Some(Instant::now());
        let passed = self.began.elapsed();
        let line = format!("{} {}", bar(passed, self.whole), words());
        // Progress that nobody can see is not missed.
        if self.is_terminal {
            drop(write!(io::stderr(), "\r\x1b[2K{line}"));
        } else {
            drop(writeln!(io::stderr(), "{line}"));
        }
    }

    /// Makes room for what follows.
    pub(super) fn end(&self) {
        if self.is_terminal {
            drop(write!(io::stderr(), "\r\x1b[2K"));
        }
    }
}

fn bar(passed: Duration, whole: Duration) -> String {
    let hundredths = passed.as_millis() * 100 / whole.as_millis().max(1);
    let full = usize::try_from(hundredths.min(100)).unwrap_or(100) * BAR_SIGNS / 100;
    let (full, rest) = ("#".repeat(full), ".".repeat(BAR_SIGNS - full));
    format!("[{full}{rest}] {} of {} s,", passed.as_secs(), whole.as_secs())
}

#[cfg(test)]
mod tests {
    use super::{Duration, bar};

    #[test]
    fn the_bar_grows_and_does_not_grow_out_of_its_room() {
        let seconds = Duration::from_secs;
        assert_eq!(bar(seconds(15), seconds(60)), "[#####...............] 15 of 60 s,");
        assert_eq!(bar(seconds(99), seconds(60)), "[####################] 99 of 60 s,");
        assert_eq!(bar(seconds(1), seconds(0)), "[####################] 1 of 0 s,");
    }
}
