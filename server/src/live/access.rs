//! Who somebody is, and which events they may see: asked once, remembered for seconds.
//!
//! Nobody is logged out because something is broken: only Directus says who is nobody, and what
//! cannot be asked is undecided, which is never remembered. Every question of a shard is answered
//! within [`ANSWER_MS_MAX`], whatever the authorities do. Asking never happens per position.

use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use engine::limits::ANSWER_MS_MAX;
use engine::viewer::Decision;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use super::directus::Directus;
use super::mailbox::{Address, Ask, Order};
use super::session::{Cookie, Session};
use crate::context::Context;
use crate::database::Database;
use crate::shutdown::Stage;
use crate::status::{Component, Heartbeat};
use deliver::deliver;
use memberships::Memberships;
use memory::{Found, Memory};
use meter::Meter;
use question::EventKey;

mod deliver;
pub mod doorkeeper;
mod memberships;
mod memory;
mod meter;
mod question;
mod revalidation;

/// Identities that are remembered: 3 MB without their cookies, up to 8 KiB more for each user who is
/// logged in, all of them for 5 s at most.
const IDENTITIES_MAX: usize = 10_000;

/// Sessions of one cookie are one: with its cookie it is kept once for all connections that came with
/// it, however long after each other. Costs some 80 B for each session that is in use, beside the
/// session, and up to `LIVE_COOKIE_BYTES_MAX` for its cookie where Directus decides about events: at
/// worst 8 KiB for each of `LIVE_VIEWERS_MAX` viewers when every one has its own, largest cookie. A
/// real one has some 300 B.
type Sessions = DashMap<[u8; 32], Weak<Session>>;

/// Cookies that are being asked about. Each is held by connections that are not viewers yet, of
/// which there are no more.
const IDENTITY_QUESTIONS_MAX: usize = 16_384;

/// Decisions that are remembered, of some 200 B each.
const DECISIONS_MAX: usize = 10_000;

/// Users and events that are being asked about, of some 500 B each.
const DECISION_QUESTIONS_MAX: usize = 16_384;

/// Questions of shards that are being answered, of some 500 B each. What is over is undecided.
const ANSWERS_MAX: usize = 32_768;

/// Questions that PostgreSQL is asked at once; it answers one after the other anyway.
const MEMBER_QUERIES_MAX: usize = 32;

/// How often what is known is told and what is old is dropped.
const TICK_MS: u64 = 1_000;

/// How long the loop may be silent: it never waits for an authority.
const SILENCE_MS_MAX: u64 = 10_000;

/// Who holds a cookie.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A user.
    Known(Arc<Session>),
    /// Nobody: not logged in, or the session ended. Close 4401.
    Unauthorized,
    /// It cannot be told now. Close 1013, never 4401.
    Unavailable,
}

/// Asks the authorities, and remembers for seconds what they said.
#[derive(Debug)]
pub struct Access {
    context: Context,
    directus: Directus,
    database: Arc<Database>,
    member_queries: Semaphore,
    component: Arc<Component>,
    identities: Arc<Memory<[u8; 32], Identity>>,
    /// Those that somebody holds, and for a tick those that nobody holds any more.
    sessions: Sessions,
    decisions: Arc<Memory<EventKey, Decision>>,
    memberships: Memberships,
    meter: Meter,
}

impl Access {
    /// An access that has asked nobody yet.
    #[must_use]
    pub fn new(context: &Context) -> Arc<Self> {
        let calls_max = context.config.live.limits.calls_max;
        Arc::new(Self {
            context: context.clone(),
            directus: Directus::new(&context.config.directus, calls_max),
            database: Database::new(context, "access"),
            member_queries: Semaphore::new(MEMBER_QUERIES_MAX),
            component: context.status.component("directus", None),
            sessions: Sessions::default(),
            identities: Memory::new(IDENTITIES_MAX, IDENTITY_QUESTIONS_MAX),
            decisions: Memory::new(DECISIONS_MAX, DECISION_QUESTIONS_MAX),
            memberships: Memberships::default(),
            meter: Meter::default(),
        })
    }

    /// Who holds this cookie. Without one nobody is asked.
    pub async fn identify(self: &Arc<Self>, cookie: Option<Cookie>) -> Identity {
        let Some(cookie) = cookie.filter(|cookie| !cookie.is_blank()) else {
            return Identity::Unauthorized;
        };
        let waiter = match self.identities.look(&cookie.digest()) {
            Found::Known(identity) => return identity,
            Found::Full => return Identity::Unavailable,
            Found::Joined(waiter) => waiter,
            Found::Ask(question, waiter) => {
                // A task of its own: whoever asked first may leave, the others still wait.
                tokio::spawn(self.clone().ask_identity(question, cookie));
                waiter
            }
        };
        waiter.answer().await.unwrap_or(Identity::Unavailable)
    }

    /// Answers the shards' questions and withdraws what is not allowed any more, until the viewers
    /// are being closed.
    pub async fn run(self: Arc<Self>, mut asks: mpsc::Receiver<Ask>, shards: Arc<[Address]>) {
        let heartbeat = self.context.status.heartbeat("access", SILENCE_MS_MAX);
        let mut background = JoinSet::new();
        background.spawn(revalidation::run(self.clone(), shards.clone()));
        let mut answers = JoinSet::new();
        let mut tick = interval(Duration::from_millis(TICK_MS));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closing = self.context.shutdown.reached(Stage::Closing);
        tokio::pin!(closing);
        loop {
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => self.take(ask, &shards, &mut answers).await,
                    None => break,
                },
                // One that has panicked had nothing left to lose: see `question`.
                Some(_) = answers.join_next() => {}
                Some(ended) = background.join_next() => propagate(ended),
                _ = tick.tick() => self.tidy(&heartbeat),
                () = &mut closing => break,
            }
        }
    }

    /// Answers at once what is known, and starts to answer what is not.
    async fn take(self: &Arc<Self>, ask: Ask, shards: &Arc<[Address]>, answers: &mut JoinSet<()>) {
        let Some(at) = shards.iter().position(|address| address.shard == ask.shard) else { return };
        let is_full = answers.len() >= ANSWERS_MAX;
        let decision = if is_full { Some(Decision::Undecided) } else { self.known(&ask) };
        let (access, shards) = (self.clone(), shards.clone());
        let Some(decision) = decision else {
            answers.spawn(async move {
                let decision = access.decide(&ask).await;
                deliver(&shards[at], access.order(&ask, decision)).await;
            });
            return;
        };
        let Err(refused) = shards[at].order(self.order(&ask, decision)) else { return };
        let order = refused.into_inner();
        if is_full {
            deliver(&shards[at], order).await;
        } else {
            answers.spawn(async move { deliver(&shards[at], order).await });
        }
    }

    fn order(&self, ask: &Ask, decision: Decision) -> Order {
        self.meter.decided(decision);
        Order::Decide(ask.question.viewer, ask.question.ticket, decision)
    }

    fn tidy(&self, heartbeat: &Heartbeat) {
        heartbeat.beat();
        self.identities.sweep();
        self.decisions.sweep();
        self.sessions.retain(|_, session| session.strong_count() > 0);
        self.directus.report_to(&self.component, self.context.config.live.access.authority);
    }
}

/// Panics as the task did: without it nothing would be withdrawn any more, and nobody would know.
fn propagate(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::{Access, propagate};
    use crate::config::Config;
    use crate::context::Context;
    use crate::live::session::{Cookie, Session};
    use crate::log::{Level, Log};
    use crate::shutdown::Shutdown;

    #[tokio::test]
    async fn who_runs_access_dies_with_what_withdraws() {
        let died = tokio::spawn(async { panic!("on purpose") }).await;
        let outer = tokio::spawn(async { propagate(died) }).await;
        assert!(outer.unwrap_err().is_panic());
        propagate(tokio::spawn(async {}).await);
    }

    #[tokio::test]
    async fn t14_connections_of_one_cookie_share_it_while_it_is_the_same_users() {
        let config = Config::new("redis://127.0.0.1:1", "postgres://nobody@127.0.0.1:1/none");
        let log = Log::to(Level::Error, "test", io::sink());
        let context = Context::new(config, log, Shutdown::default());
        let access = Access::new(&context);
        let session = |user: &str, cookie: &Cookie| {
            let (user_id, cookie) = (user.into(), Some(cookie.clone()));
            access.share(
                Cookie::digest(cookie.as_ref().unwrap()),
                Session { user_id, role: None, cookie },
            )
        };
        let (cookie, other) = (Cookie::new(b"a=1"), Cookie::new(b"a=2"));
        let first = session("u", &cookie);
        assert!(Arc::ptr_eq(&first, &session("u", &cookie)));
        assert!(!Arc::ptr_eq(&first, &session("u", &other)));
        // Nothing is known for longer than Directus says so.
        let changed = session("v", &cookie);
        assert_eq!((&*first.user_id, &*changed.user_id), ("u", "v"));
        assert!(Arc::ptr_eq(&changed, &session("v", &cookie)));
        let heartbeat = context.status.heartbeat("test", 1_000);
        access.tidy(&heartbeat);
        assert_eq!(access.sessions.len(), 1, "what nobody holds is gone");
        drop((first, changed));
        access.tidy(&heartbeat);
        assert_eq!(access.sessions.len(), 0);
    }
}
