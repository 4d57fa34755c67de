//! What is said about Redis: the sum of what each part of the source has found.
//!
//! It keeps the log quiet: a failure that comes and goes is told at most every five seconds, one
//! that stays is told again every minute.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::context::Context;
use crate::status::{Component, Reminder, Role, State};

/// How long a failure that has just been told may last before it is told again.
const AGAIN_MS: u64 = 5_000;

/// How long a failure must last to be told although one has just been.
const LASTING_MS: u64 = 1_000;

const WAIT: &str = "Look at Redis and at the way to it. Reading resumes by itself.";

const PERSON: &str = "Set right what Redis names: REDIS_URL, the rights of its user, the database or \
                      the key. Reading resumes by itself.";

const WITHOUT_GROUP: &str =
    "Every position is shown; the stream is read without the group of this instance meanwhile.";

/// How the stream is being read.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    /// Not yet.
    Starting,
    /// Not at all, for this reason; whether only a person can help.
    Down(String, bool),
    /// By `XREAD`; for this reason, if the group has been tried.
    Plain(Option<String>),
    /// Through the group.
    Grouped,
}

/// The component `redis`.
#[derive(Debug)]
pub(super) struct Health {
    component: Arc<Component>,
    clock: Clock,
    found: Mutex<Found>,
}

#[derive(Debug)]
struct Found {
    reading: Reading,
    down_since_ms: u64,
    down_told_ms: Option<u64>,
    plain_since_ms: u64,
    /// Why the lease is not held.
    lease: Option<String>,
    /// Why this Redis must not be relied on.
    policy: Option<String>,
    reminder: Reminder,
}

impl Health {
    /// Adds the component, which is needed.
    pub(super) fn new(context: &Context) -> Self {
        let found = Found {
            reading: Reading::Starting,
            down_since_ms: 0,
            down_told_ms: None,
            plain_since_ms: 0,
            lease: None,
            policy: None,
            reminder: Reminder::default(),
        };
        Self {
            component: context.status.component("redis", Some(Role::Live)),
            clock: context.clock,
            found: Mutex::new(found),
        }
    }

    /// How the stream is read from now on.
    pub(super) fn reads(&self, reading: Reading) {
        self.change(|found, now_ms| {
            let was_down = matches!(found.reading, Reading::Down(..));
            if matches!(reading, Reading::Down(..)) && !was_down {
                found.down_since_ms = now_ms;
            }
            found.reading = reading;
        });
    }

    /// The stream is read by `XREAD`: not worth a word if the group follows at once.
    pub(super) fn reads_without_group(&self) {
        self.change(|found, now_ms| {
            if !matches!(found.reading, Reading::Plain(_)) {
                found.reading = Reading::Plain(None);
                found.plain_since_ms = now_ms;
            }
        });
    }

    /// The lease is held, or why it is not.
    pub(super) fn lease(&self, trouble: Option<String>) {
        self.change(|found, _| found.lease = trouble);
    }

    /// This Redis can be relied on, or why it must not be.
    pub(super) fn policy(&self, trouble: Option<String>) {
        self.change(|found, _| found.policy = trouble);
    }

    /// Once a second: tells what has lasted, and reminds the log.
    pub(super) fn tick(&self) {
        self.change(|_, _| ());
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.reminder.tick(&self.component, self.clock);
    }

    fn change(&self, change: impl FnOnce(&mut Found, u64)) {
        let now_ms = self.clock.monotonic_ms();
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut found, now_ms);
        found.tell(&self.component, now_ms);
    }
}

impl Found {
    fn tell(&mut self, component: &Component, now_ms: u64) {
        match (&self.reading, &self.policy, &self.lease) {
            (Reading::Starting, _, _) => {}
            (Reading::Down(reason, is_held), _, _) => {
                let lasts = now_ms - self.down_since_ms >= LASTING_MS;
                let is_new = self.down_told_ms.is_none_or(|told| now_ms - told >= AGAIN_MS);
                if lasts || is_new {
                    self.down_told_ms = Some(now_ms);
                    component.set(
                        State::Failed,
                        reason,
                        "No new position reaches a viewer; what was shown stays.",
                        if *is_held { PERSON } else { WAIT },
                    );
                }
            }
            (_, Some(reason), _) => component.set(
                State::Failed,
                reason,
                "Positions are shown, but the stream and its groups may vanish at any time.",
                "Give Redis enough memory and set maxmemory-policy to noeviction.",
            ),
            (_, None, Some(reason)) => component.set(
                State::Impaired,
                reason,
                WITHOUT_GROUP,
                "Nothing, if this process has just replaced another one of its name.",
            ),
            (Reading::Plain(reason), None, None) => {
                let lasts = now_ms - self.plain_since_ms >= LASTING_MS;
                let unexplained = lasts.then_some("Reading through the group has not begun yet.");
                if let Some(reason) = reason.as_deref().or(unexplained) {
                    let remedy =
                        "Let Redis take writes again: look at its disk, its memory and its role.";
                    component.set(State::Impaired, reason, WITHOUT_GROUP, remedy);
                }
            }
            (Reading::Grouped, None, None) => component.is_working("The stream is being read."),
        }
    }
}
