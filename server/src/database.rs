//! One connection to PostgreSQL that is made when needed and made again when lost.
//!
//! It only reads: every session says so to the server. Nobody waits for a server that is away longer
//! than one attempt to connect: until the next attempt is due, calls fail at once with what was the
//! case. Callers bound what they ask for by `LIMIT`, and how many of them ask at once.

pub mod catalog;
mod error;
mod session;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

pub use error::{Class, DatabaseError};
use session::Session;
pub(crate) use session::settings;

use crate::context::Context;
use crate::status::{Component, State};

/// How long making a connection may take, look-up of the name and log-in included.
const CONNECT_MS_MAX: u64 = 5_000;

/// How long an answer may take. Longer than the server's own limit on a statement, which ends first
/// unless nobody is there: then the connection is dropped.
const QUERY_MS_MAX: u64 = 10_000;

/// The longest pause after the first failure, doubled with each further one up to the last.
const PAUSE_MS_FIRST: u64 = 100;
const PAUSE_MS_LAST: u64 = 5_000;

/// What is the case while there is one.
const ANSWERS: &str = "PostgreSQL answers.";

/// What is the case for viewers while there is no connection.
const EFFECT: &str = "Positions go on to viewers. New entries appear late, flagged positions stay \
                      shown, and memberships cannot be checked.";

/// A connection for one purpose.
pub struct Database {
    shared: Arc<Shared>,
}

/// What the caller and the task that connects both need.
struct Shared {
    purpose: &'static str,
    /// Absent when `POSTGRES_URL` could not be read.
    settings: Option<tokio_postgres::Config>,
    component: Arc<Component>,
    link: Mutex<Link>,
    /// Attempts and connections that have failed since the last answer.
    failures: AtomicU32,
}

/// How the connection is.
enum Link {
    /// None, and none is to be made before this moment, because of this.
    Down(Instant, DatabaseError),
    /// A task is making one; the sender goes when it has finished.
    Connecting(watch::Receiver<()>),
    /// There is one, as far as is known.
    Up(Arc<Session>),
}

impl Database {
    /// A connection that is made with the first query. `purpose` is how the server lists it.
    #[must_use]
    pub fn new(context: &Context, purpose: &'static str) -> Arc<Self> {
        let settings = settings(&context.config.postgres_url, purpose);
        let component = context.status.component_named("database", None);
        let never_tried = DatabaseError::local(Class::Transient, "It was not tried yet.");
        let link = Mutex::new(Link::Down(Instant::now(), never_tried));
        let failures = AtomicU32::new(0);
        let shared = Shared { purpose, settings, component, link, failures };
        Arc::new(Self { shared: Arc::new(shared) })
    }

    /// Asks the server. The statement is prepared once per connection.
    pub async fn query(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        let session = self.session().await?;
        let answer = timeout(Duration::from_millis(QUERY_MS_MAX), session.query(sql, parameters));
        let result =
            answer.await.unwrap_or_else(|_elapsed| Err(DatabaseError::deadline(QUERY_MS_MAX)));
        match &result {
            Ok(_) => {
                self.shared.failures.store(0, Ordering::Relaxed);
                // Another session, which shares the component, may have failed and not be needed since.
                self.shared.component.is_working(ANSWERS);
            }
            Err(error) if error.ends_session() || session.is_closed() => {
                self.shared.lose(&session, error);
            }
            // The server refuses this query, and the connection is as good as before.
            Err(_) => {}
        }
        result
    }

    /// The session, made if there is none and the time has come.
    async fn session(&self) -> Result<Arc<Session>, DatabaseError> {
        // Each turn waits for one attempt, so this ends: an attempt leaves a session or a pause.
        for _ in 0..3 {
            let mut finished = match self.shared.look()? {
                Look::Session(session) => return Ok(session),
                Look::Wait(finished) => finished,
            };
            // An error says that the sender is gone, which is what is waited for.
            drop(finished.changed().await);
        }
        Err(DatabaseError::local(Class::Transient, "PostgreSQL ends each connection at once."))
    }
}

/// What a caller finds.
enum Look {
    Session(Arc<Session>),
    Wait(watch::Receiver<()>),
}

impl Shared {
    fn look(self: &Arc<Self>) -> Result<Look, DatabaseError> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        match &*link {
            Link::Up(session) if !session.is_closed() => {
                return Ok(Look::Session(session.clone()));
            }
            Link::Connecting(finished) if finished.has_changed().is_ok() => {
                return Ok(Look::Wait(finished.clone()));
            }
            Link::Down(due, error) if Instant::now() < *due => return Err(error.clone()),
            Link::Up(_) | Link::Connecting(_) | Link::Down(..) => {}
        }
        // A task of its own: a caller who gives up must not take the attempt with it.
        let (sender, finished) = watch::channel(());
        let shared = self.clone();
        tokio::spawn(async move {
            shared.connect().await;
            drop(sender);
        });
        *link = Link::Connecting(finished.clone());
        Ok(Look::Wait(finished))
    }

    async fn connect(&self) {
        let attempt = async {
            let settings = self.settings.as_ref().ok_or_else(|| {
                let words = "POSTGRES_URL is not an address of PostgreSQL.";
                DatabaseError::local(Class::Schema, words)
            })?;
            Session::open(settings).await
        };
        let result = timeout(Duration::from_millis(CONNECT_MS_MAX), attempt);
        let result = result.await.unwrap_or_else(|_elapsed| {
            let words = format!("PostgreSQL let nobody in within {CONNECT_MS_MAX} ms.");
            Err(DatabaseError::local(Class::Transient, &words))
        });
        match result {
            Ok(session) => {
                *self.link.lock().unwrap_or_else(PoisonError::into_inner) =
                    Link::Up(Arc::new(session));
                self.component.is_working(ANSWERS);
            }
            Err(error) => self.pause(&error, |_| true),
        }
    }

    /// Drops the session, unless another one has taken its place.
    fn lose(&self, lost: &Arc<Session>, error: &DatabaseError) {
        let is_ours = |link: &Link| matches!(link, Link::Up(session) if Arc::ptr_eq(session, lost));
        self.pause(error, is_ours);
    }

    /// No connection from now on, and no attempt before a random pause has passed: servers that
    /// return are not to be met by everybody at once.
    fn pause(&self, error: &DatabaseError, concerns: impl Fn(&Link) -> bool) {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if !concerns(&link) {
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let longest_ms = PAUSE_MS_FIRST.saturating_mul(1 << failures.min(16)).min(PAUSE_MS_LAST);
        let pause_ms = RandomState::new().hash_one(failures) % longest_ms;
        let due = Instant::now() + Duration::from_millis(pause_ms);
        *link = Link::Down(due, error.clone());
        drop(link);
        self.component.set(State::Failed, &error.words, EFFECT, error.class.remedy());
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purpose = &self.shared.purpose;
        formatter.debug_struct("Database").field("purpose", purpose).finish_non_exhaustive()
    }
}
