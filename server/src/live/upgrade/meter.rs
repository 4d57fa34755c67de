//! What became of connections, counted.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::live::access::Identity;
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
    /// The process was leaving.
    Leaving,
    /// It got a part of the live page.
    Page,
}

impl Outcome {
    /// Its name among the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// Counts by outcome.
#[derive(Debug, Default)]
pub struct Meter {
    counts: [Counter; NAMES.len()],
    known: Counter,
    unauthorized: Counter,
    unavailable: Counter,
    /// How often the system refused to accept a connection.
    pub(super) accept_errors: Counter,
    has_met_unknown_proxy: AtomicBool,
    has_met_clear_text: AtomicBool,
}

/// In the order of [`Outcome`].
const NAMES: [&str; 11] = [
    "accepted",
    "bad_request",
    "forbidden_origin",
    "too_many",
    "shed",
    "timeout",
    "lost",
    "unauthorized",
    "unavailable",
    "leaving",
    "page",
];

impl Meter {
    /// One more.
    pub fn count(&self, outcome: Outcome) {
        self.counts[outcome as usize].increment();
    }

    /// It is known now who holds a cookie, or that it cannot be known.
    pub(super) fn count_identity(&self, identity: &Identity) {
        match identity {
            Identity::Known(_) => &self.known,
            Identity::Unauthorized => &self.unauthorized,
            Identity::Unavailable => &self.unavailable,
        }
        .increment();
    }

    /// True once: what is said about it need not be said again.
    pub(super) fn is_first_unknown_proxy(&self) -> bool {
        !self.has_met_unknown_proxy.swap(true, Ordering::Relaxed)
    }

    /// True once, as well.
    pub(super) fn is_first_clear_text(&self) -> bool {
        !self.has_met_clear_text.swap(true, Ordering::Relaxed)
    }
}

impl Section for Meter {
    fn write(&self, page: &mut Page) {
        let values: Vec<(&str, u64)> =
            NAMES.into_iter().zip(self.counts.iter().map(Counter::value)).collect();
        let help = "Connections to the listener for viewers, by what became of them.";
        page.counters("processor_live_upgrades_total", help, "result", &values);
        let results = [
            ("success", self.known.value()),
            ("unauthorized", self.unauthorized.value()),
            ("error", self.unavailable.value()),
        ];
        let help = "Connections whose cookie was looked up, by the answer.";
        page.counters("processor_live_auth_attempts_total", help, "result", &results);
        let help = "Connections that the system refused to hand over, for want of files or memory.";
        page.counter("processor_live_accept_errors_total", help, self.accept_errors.value());
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
            Outcome::Leaving,
            Outcome::Page,
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
