//! Asks an authority one question, and says for how long its answer holds.
//!
//! Each question is a task of its own. If it dies, those who wait are told that nothing could be
//! found out.

use std::sync::Arc;
use std::time::Duration;

use engine::id::EventId;
use engine::viewer::Decision;
use tokio::time::{Instant, timeout};

use super::memberships::{Pair, Uuid};
use super::memory::{Found, Question};
use super::{ANSWER_MS_MAX, Access, Identity};
use crate::config::Authority;
use crate::live::directus::queue::Kind;
use crate::live::directus::verdict::Who;
use crate::live::mailbox::Ask;
use crate::live::session::{Cookie, Session};

/// How long a user is known by a cookie without asking again.
const KNOWN_REUSE: Duration = Duration::from_secs(5);

/// How long a cookie is known to be nobody's.
const NOBODY_REUSE: Duration = Duration::from_secs(2);

/// How long an event stays allowed without asking again.
const ALLOWED_REUSE: Duration = Duration::from_secs(30);

/// How long an event stays refused.
const REFUSED_REUSE: Duration = Duration::from_secs(5);

/// Does the user belong to the event's organization? An event that does not exist has none, so it
/// is refused like a foreign one, and as fast.
const IS_MEMBER: &str = "\
    SELECT EXISTS (SELECT FROM events e \
      JOIN organization_users m ON m.organization_id = e.organization_id \
      WHERE e.id = $1::text::uuid AND m.user_id = $2::text::uuid)";

/// A user and an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct EventKey {
    pub(super) user_id: Box<str>,
    pub(super) event: EventId,
}

impl EventKey {
    fn of(ask: &Ask) -> Self {
        Self { user_id: ask.session.user_id.clone(), event: ask.question.event }
    }
}

impl Access {
    /// Finds out who holds a cookie.
    pub(super) async fn ask_identity(
        self: Arc<Self>,
        mut question: Question<[u8; 32], Identity>,
        cookie: Cookie,
    ) {
        let wait = Duration::from_millis(self.context.config.live.limits.queue_ms_max);
        let Some(_turn) = self.directus.queue.turn(Kind::Identity, wait).await else {
            self.meter.queue_timeouts.increment();
            return question.settle(Identity::Unavailable, None);
        };
        if question.is_abandoned() {
            return;
        }
        let (identity, reuse) = match self.directus.who(&cookie).await {
            Who::User { id, role } => {
                let keeps = self.context.config.live.access.authority == Authority::Directus;
                let cookie = keeps.then_some(cookie);
                let session = Session { user_id: id, role, cookie };
                (Identity::Known(self.share(*question.key(), session)), Some(KNOWN_REUSE))
            }
            Who::Nobody => (Identity::Unauthorized, Some(NOBODY_REUSE)),
            Who::Unclear(_) => (Identity::Unavailable, None),
        };
        question.settle(identity, reuse);
    }

    /// The session that connections of this cookie have already, unless it has become another one.
    pub(super) fn share(&self, digest: [u8; 32], session: Session) -> Arc<Session> {
        let mut place = self.sessions.entry(digest).or_default();
        if let Some(known) = place.upgrade().filter(|known| **known == session) {
            return known;
        }
        let session = Arc::new(session);
        *place = Arc::downgrade(&session);
        session
    }

    /// What is remembered about a question of a shard.
    pub(super) fn known(&self, ask: &Ask) -> Option<Decision> {
        let decision = self.decisions.known(&EventKey::of(ask))?;
        self.note(ask, decision, false);
        Some(decision)
    }

    /// Answers a question of a shard, in time.
    pub(super) async fn decide(self: &Arc<Self>, ask: &Ask) -> Decision {
        let waiter = match self.decisions.look(&EventKey::of(ask)) {
            Found::Known(decision) => {
                self.note(ask, decision, false);
                return decision;
            }
            Found::Full => return Decision::Undecided,
            Found::Joined(waiter) => waiter,
            Found::Ask(question, waiter) => {
                tokio::spawn(self.clone().ask_event(question, ask.session.clone()));
                waiter
            }
        };
        let decision = timeout(Duration::from_millis(ANSWER_MS_MAX), waiter.answer()).await;
        let decision = decision.ok().flatten().unwrap_or(Decision::Undecided);
        self.note(ask, decision, true);
        decision
    }

    async fn ask_event(
        self: Arc<Self>,
        mut question: Question<EventKey, Decision>,
        session: Arc<Session>,
    ) {
        let deadline = Instant::now() + Duration::from_millis(ANSWER_MS_MAX);
        let event = question.key().event;
        let decision = match self.context.config.live.access.authority {
            Authority::Directus => {
                let kind = Kind::Event(&session.user_id);
                let turn = self.directus.queue.turn(kind, deadline - Instant::now()).await;
                if question.is_abandoned() {
                    return;
                }
                match (turn, &session.cookie) {
                    (Some(_turn), Some(cookie)) => {
                        let left = deadline.saturating_duration_since(Instant::now());
                        self.directus.may(cookie, event, left).await
                    }
                    _ => Decision::Undecided,
                }
            }
            Authority::Membership => {
                let asked = tokio::time::timeout_at(deadline, self.is_member(&session, event));
                asked.await.unwrap_or(Decision::Undecided)
            }
        };
        let reuse = match decision {
            Decision::Allowed => Some(ALLOWED_REUSE),
            Decision::Forbidden | Decision::NotFound => Some(REFUSED_REUSE),
            Decision::Undecided => None,
        };
        question.settle(decision, reuse);
    }

    async fn is_member(&self, session: &Session, event: EventId) -> Decision {
        let Some(user) = Uuid::parse(&session.user_id) else { return Decision::Forbidden };
        let (event, user) = (event.to_string(), user.to_string());
        let _turn = self.member_queries.acquire().await.expect("never closed");
        match self.database.query(IS_MEMBER, &[&event, &user]).await {
            Ok(rows) => match rows.first().and_then(|row| row.try_get(0).ok()) {
                Some(true) => Decision::Allowed,
                Some(false) => Decision::Forbidden,
                None => Decision::Undecided,
            },
            Err(_) => Decision::Undecided,
        }
    }

    /// Remembers that a user watches an event, so that a lost membership is noticed. A fresh answer
    /// asks for the membership again: it may have come or gone since the last time.
    fn note(&self, ask: &Ask, decision: Decision, is_fresh: bool) {
        let is_off = self.context.config.live.access.revalidate_ms == 0;
        if is_off || decision != Decision::Allowed {
            return;
        }
        let Some(user) = Uuid::parse(&ask.session.user_id) else { return };
        let pair = Pair { user, event: ask.question.event };
        match self.context.config.live.access.authority {
            // That was the question.
            Authority::Membership => self.memberships.learn(pair, true),
            Authority::Directus if is_fresh || !self.memberships.touch(pair) => {
                self.memberships.wonder(pair);
            }
            Authority::Directus => {}
        }
    }
}
