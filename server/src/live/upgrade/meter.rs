//! What became of connections, counted.

use crate::metrics::{Counter, Page, Section};

/// How a connection ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is a viewer.
    Accepted,
    /// Its request was refused.
    BadRequest,
    /// Its origin is not allowed.
    ForbiddenOrigin,
    /// Its address, its user or the process has too many.
    TooMany,
    /// It was closed without a word, since too many were half open.
    Shed,
    /// Its head did not come in time.
    Timeout,
    /// It went away by itself.
    Lost,
    /// Nobody holds its cookie.
    Unauthorized,
    /// It could not be told who holds its cookie.
    Unavailable,
}

/// Counts by outcome.
#[derive(Debug, Default)]
pub struct Meter {
    counts: [Counter; NAMES.len()],
}

/// In the order of [`Outcome`].
const NAMES: [&str; 9] = [
    "accepted",
    "bad_request",
    "forbidden_origin",
    "too_many",
    "shed",
    "timeout",
    "lost",
    "unauthorized",
    "unavailable",
];

impl Meter {
    /// One more.
    pub fn count(&self, outcome: Outcome) {
        self.counts[outcome as usize].increment();
    }

    fn of(&self, outcome: Outcome) -> u64 {
        self.counts[outcome as usize].value()
    }
}

impl Section for Meter {
    fn write(&self, page: &mut Page) {
        let values: Vec<(&str, u64)> =
            NAMES.into_iter().zip(self.counts.iter().map(Counter::value)).collect();
        let help = "Connections to the listener for viewers, by what became of them.";
        page.counters("processor_live_upgrades_total", help, "result", &values);
        // Somebody over a limit was known by then, or was not asked for.
        let results = [
            ("success", self.of(Outcome::Accepted)),
            ("unauthorized", self.of(Outcome::Unauthorized)),
            ("error", self.of(Outcome::Unavailable)),
        ];
        let help = "Connections whose cookie was looked up, by the answer.";
        page.counters("processor_live_auth_attempts_total", help, "result", &results);
    }
}

#[cfg(test)]
mod tests {
    use super::{Meter, NAMES, Outcome};
    use crate::metrics::{Page, Section};

    #[test]
    fn each_outcome_counts_under_its_own_name() {
        let all = [
            Outcome::Accepted,
            Outcome::BadRequest,
            Outcome::ForbiddenOrigin,
            Outcome::TooMany,
            Outcome::Shed,
            Outcome::Timeout,
            Outcome::Lost,
            Outcome::Unauthorized,
            Outcome::Unavailable,
        ];
        let meter = Meter::default();
        for (at, outcome) in (1..).zip(all) {
            (0..at).for_each(|_| meter.count(outcome));
        }
        let mut page = Page::default();
        meter.write(&mut page);
        let text = page.into_text();
        for (count, name) in (1..).zip(NAMES) {
            let line = format!("processor_live_upgrades_total{{result=\"{name}\"}} {count}");
            assert!(text.lines().any(|written| written == line), "{line} is missing in {text}");
        }
    }
}
