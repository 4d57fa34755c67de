//! The Directus client: the two calls of the contract, and what their answers mean.
//!
//! The request is always the same but for the cookie and the event: `Host`, the whole `Cookie`,
//! `Accept`, `User-Agent`. Nothing that a stranger sent goes anywhere else. A call is made once,
//! unless the connection that was kept for it ends before anything of an answer has come: then once
//! more on a fresh one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::id::EventId;
use engine::viewer::Decision;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, COOKIE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use tokio::time::Instant;

use super::session::Cookie;
use crate::clock::microseconds;
use crate::config::{Authority, DirectusConfig};
use crate::metrics::{Counter, Histogram};
use crate::status::{Component, State};
use connection::{Answer, CallError, Connection, Idle};
use queue::Queue;
use verdict::Who;

mod connection;
pub(crate) mod queue;
pub mod verdict;

/// Asks Directus.
#[derive(Debug)]
pub(crate) struct Directus {
    config: DirectusConfig,
    host: String,
    idle: Idle,
    /// Whose turn it is.
    pub(crate) queue: Queue,
    /// What came of the calls.
    pub(crate) meter: Meter,
    last: Mutex<Last>,
}

/// Counts of calls. What a caller is told is counted elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Users that were told.
    pub(crate) users: Counter,
    /// Cookies of nobody.
    pub(crate) nobodies: Counter,
    /// Calls about users that decided nothing.
    pub(crate) users_unclear: Counter,
    /// Events that were allowed.
    pub(crate) events_allowed: Counter,
    /// Events that were forbidden, or do not exist.
    pub(crate) events_refused: Counter,
    /// Calls about events that decided nothing.
    pub(crate) events_unclear: Counter,
    /// Calls that were repeated on a fresh connection.
    pub(crate) repeated: Counter,
    /// Connections opened.
    pub(crate) connected: Counter,
    /// How long calls about users took.
    pub(crate) user_took: Histogram,
    /// How long calls about events took.
    pub(crate) event_took: Histogram,
}

/// The last thing that is known of Directus.
#[derive(Debug, PartialEq, Eq)]
enum Last {
    Unasked,
    Answered,
    Failed(String),
}

impl Directus {
    /// A client that has not called yet.
    pub(crate) fn new(config: &DirectusConfig, calls_max: usize) -> Self {
        // A name never has a colon, an address of IP version 6 always has.
        let host = match (&config.host, config.host.contains(':') && !config.host.starts_with('['))
        {
            (host, true) => format!("[{host}]"),
            (host, false) => host.clone(),
        };
        let host = if config.port == 80 { host } else { format!("{host}:{}", config.port) };
        Self {
            config: config.clone(),
            host,
            idle: Idle::default(),
            queue: Queue::new(calls_max),
            meter: Meter::default(),
            last: Mutex::new(Last::Unasked),
        }
    }

    /// Who holds this cookie.
    pub(crate) async fn who(&self, cookie: &Cookie) -> Who {
        let started = Instant::now();
        let limit = Duration::from_millis(self.config.auth_timeout_ms);
        let answer = self.ask("/users/me", cookie, limit).await;
        self.meter.user_took.observe_us(microseconds(started.elapsed()));
        let (who, failure) = match answer {
            Ok(answer) => match verdict::who(answer.status, &answer.body) {
                Who::Unclear(reason) => (Who::Unclear(reason), Some(reason.to_owned())),
                who => (who, None),
            },
            Err(reason) => (Who::Unclear("There was no answer."), Some(reason)),
        };
        match who {
            Who::User { .. } => self.meter.users.increment(),
            Who::Nobody => self.meter.nobodies.increment(),
            Who::Unclear(_) => self.meter.users_unclear.increment(),
        }
        self.remember(failure);
        who
    }

    /// May the holder of this cookie see the event? `left` is how long the caller can wait.
    pub(crate) async fn may(&self, cookie: &Cookie, event: EventId, left: Duration) -> Decision {
        let started = Instant::now();
        let path = format!("/items/events/{event}?fields=id,organization_id");
        let limit = Duration::from_millis(self.config.authz_timeout_ms).min(left);
        let answer = self.ask(&path, cookie, limit).await;
        self.meter.event_took.observe_us(microseconds(started.elapsed()));
        let (decision, failure) = match answer {
            Ok(answer) => {
                let (decision, reason) = verdict::may(answer.status, &answer.body, event);
                (decision, reason.map(str::to_owned))
            }
            Err(reason) => (Decision::Undecided, Some(reason)),
        };
        match decision {
            Decision::Allowed => self.meter.events_allowed.increment(),
            Decision::Forbidden | Decision::NotFound => self.meter.events_refused.increment(),
            Decision::Undecided => self.meter.events_unclear.increment(),
        }
        self.remember(failure);
        decision
    }

    /// Tells `component` what is known; `authority` decides what it means. Called once a second, so
    /// that a Directus that answers every other call does not fill the log.
    pub(crate) fn report_to(&self, component: &Component, authority: Authority) {
        let effect = match authority {
            Authority::Directus => {
                "Nobody new can log in and no event can be opened; who is connected is not touched."
            }
            Authority::Membership => "Nobody new can log in; who is connected is not touched.",
        };
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Last::Unasked => {
                component.set(State::Starting, "Directus has not been asked anything yet.", "", "");
            }
            Last::Answered => component.is_working("Directus answers."),
            Last::Failed(reason) => component.set(
                State::Impaired,
                &format!("Directus cannot be asked. {reason}"),
                effect,
                "See whether Directus runs and whether DIRECTUS_BASE_URL leads to it.",
            ),
        }
    }

    fn remember(&self, failure: Option<String>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = failure.map_or(Last::Answered, Last::Failed);
    }

    /// One call, whole, within its time; or why there is no answer, in words.
    async fn ask(&self, path: &str, cookie: &Cookie, limit: Duration) -> Result<Answer, String> {
        match tokio::time::timeout(limit, self.call(path, cookie)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(CallError::Connect(error))) => {
                Err(format!("No connection can be opened: {error}."))
            }
            Ok(Err(CallError::Broken(reason))) => Err(reason.to_owned()),
            Ok(Err(CallError::Unsendable)) => {
                Err("The path of DIRECTUS_BASE_URL or a cookie cannot be sent.".to_owned())
            }
            Err(_) => Err(format!("It did not answer within {} ms.", limit.as_millis())),
        }
    }

    async fn call(&self, path: &str, cookie: &Cookie) -> Result<Answer, CallError> {
        if let Some(mut connection) = self.idle.take() {
            match connection.call(self.request(path, cookie)?).await {
                Ok(answer) => {
                    self.idle.keep(connection);
                    return Ok(answer);
                }
                // Most likely it had been closed meanwhile. Should Directus have seen the request
                // all the same: it is a GET, which may be made again.
                Err((true, _)) => self.meter.repeated.increment(),
                Err((false, error)) => return Err(error),
            }
        }
        let request = self.request(path, cookie)?;
        self.meter.connected.increment();
        let mut connection = Connection::open(&self.config.host, self.config.port).await?;
        let answer = connection.call(request).await.map_err(|(_, error)| error)?;
        self.idle.keep(connection);
        Ok(answer)
    }

    fn request(&self, path: &str, cookie: &Cookie) -> Result<Request<Empty<Bytes>>, CallError> {
        let mut cookie =
            HeaderValue::from_bytes(cookie.expose()).map_err(|_| CallError::Unsendable)?;
        cookie.set_sensitive(true);
        Request::builder()
            .method(Method::GET)
            .uri(format!("{}{path}", self.config.path))
            .header(HOST, &self.host)
            .header(COOKIE, cookie)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("pitwall/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|_| CallError::Unsendable)
    }
}
