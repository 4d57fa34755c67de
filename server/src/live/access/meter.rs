//! What access has done, as numbers. None of them tells who asked for what.

use engine::viewer::Decision;

use super::Access;
use super::memberships::MEMBERSHIPS_MAX;
use crate::metrics::{Counter, LimitUse, Page, Section};

/// Counts what is not counted where it happens.
#[derive(Debug, Default)]
pub(super) struct Meter {
    allowed: Counter,
    forbidden: Counter,
    not_found: Counter,
    undecided: Counter,
    /// Cookies whose turn to be asked about did not come in time.
    pub(super) queue_timeouts: Counter,
    /// Subscriptions that were taken back.
    pub(super) revoked: Counter,
    /// Connections of users who are not active any more.
    pub(super) closed_inactive: Counter,
    /// Connections older than a session may be.
    pub(super) closed_old: Counter,
    /// Looks at everybody that came to their end.
    pub(super) passes_done: Counter,
    /// Those that did not.
    pub(super) passes_failed: Counter,
}

impl Meter {
    /// One question of a shard was answered.
    pub(super) fn decided(&self, decision: Decision) {
        match decision {
            Decision::Allowed => &self.allowed,
            Decision::Forbidden => &self.forbidden,
            Decision::NotFound => &self.not_found,
            Decision::Undecided => &self.undecided,
        }
        .increment();
    }
}

impl Section for Access {
    fn write(&self, page: &mut Page) {
        self.write_directus(page);
        let meter = &self.meter;
        page.counters(
            "processor_live_decisions_total",
            "Questions whether a user may see an event, by what was answered.",
            "result",
            &[
                ("allowed", meter.allowed.value()),
                ("forbidden", meter.forbidden.value()),
                ("not_found", meter.not_found.value()),
                ("undecided", meter.undecided.value()),
            ],
        );
        let both = |identities, decisions| [("identity", identities), ("decision", decisions)];
        page.counters(
            "processor_live_access_reused_total",
            "Answers that were reused instead of asking again.",
            "kind",
            &both(self.identities.hits.value(), self.decisions.hits.value()),
        );
        page.counters(
            "processor_live_access_joined_total",
            "Questions that joined one that was being asked.",
            "kind",
            &both(self.identities.joins.value(), self.decisions.joins.value()),
        );
        page.counter(
            "processor_live_revoked_total",
            "Subscriptions taken back because the membership was gone.",
            meter.revoked.value(),
        );
        page.counters(
            "processor_live_sessions_ended_total",
            "Connections closed because the session may not go on.",
            "reason",
            &[
                ("inactive_user", meter.closed_inactive.value()),
                ("too_old", meter.closed_old.value()),
            ],
        );
        page.counters(
            "processor_live_revalidations_total",
            "Looks at all memberships, by how they ended.",
            "result",
            &[("done", meter.passes_done.value()), ("failed", meter.passes_failed.value())],
        );
    }

    fn limits(&self) -> Vec<LimitUse> {
        let entry = |name, (used, allowed): (usize, usize)| LimitUse {
            name,
            used: used as u64,
            allowed: allowed as u64,
        };
        vec![
            entry("DIRECTUS_CALLS_MAX", self.directus.queue.in_flight()),
            entry("IDENTITIES_MAX", self.identities.answer_count()),
            entry("IDENTITY_QUESTIONS_MAX", self.identities.question_count()),
            entry("DECISIONS_MAX", self.decisions.answer_count()),
            entry("DECISION_QUESTIONS_MAX", self.decisions.question_count()),
            entry("MEMBERSHIPS_MAX", (self.memberships.count(), MEMBERSHIPS_MAX)),
        ]
    }
}

impl Access {
    fn write_directus(&self, page: &mut Page) {
        let meter = &self.directus.meter;
        page.counters(
            "processor_live_directus_identity_calls_total",
            "Calls of /users/me, by what they told.",
            "result",
            &[
                ("user", meter.users.value()),
                ("nobody", meter.nobodies.value()),
                ("unclear", meter.users_unclear.value()),
            ],
        );
        page.counters(
            "processor_live_directus_event_calls_total",
            "Calls of /items/events, by what they told.",
            "result",
            &[
                ("allowed", meter.events_allowed.value()),
                ("refused", meter.events_refused.value()),
                ("unclear", meter.events_unclear.value()),
            ],
        );
        page.histograms(
            "processor_live_directus_call_duration_seconds",
            "How long calls of Directus took, from the moment they were made.",
            "call",
            &[("identity", &meter.user_took), ("event", &meter.event_took)],
        );
        page.counter(
            "processor_live_directus_connections_total",
            "Connections to Directus that were opened.",
            meter.connected.value(),
        );
        page.counter(
            "processor_live_directus_repeated_calls_total",
            "Calls made again because the kept connection ended before an answer came.",
            meter.repeated.value(),
        );
        let (in_flight, _) = self.directus.queue.in_flight();
        page.gauge(
            "processor_live_directus_calls_in_flight",
            "Calls of Directus under way.",
            i64::try_from(in_flight).ok(),
        );
        page.gauge(
            "processor_live_directus_calls_waiting",
            "Calls of Directus that wait for their turn.",
            Some(self.directus.queue.waiting.value()),
        );
        page.counter(
            "processor_live_directus_queue_timeouts_total",
            "Calls of /users/me whose turn did not come in time.",
            self.meter.queue_timeouts.value(),
        );
    }
}
