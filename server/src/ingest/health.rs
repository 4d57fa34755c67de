//! What is said about adding records to the stream, in plain words.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::context::Context;
use crate::status::{Component, Reminder, Role, State};
use crate::stream::{Class, Failure};

/// What is the case while nothing can be added.
const UNSAFE: &str = "No device is answered. None of their records is lost: they keep them and send \
                      them again.";

/// What is not sure until somebody sends.
const UNPROVEN: &str = "Whether devices can be answered again shows with the next packet.";

/// What a Redis that throws streams away puts at risk.
const EVICTED: &str = "Devices are answered, but entries that wait to be stored may vanish at any \
                       time.";

const NO_EVICTION: &str = "Give Redis enough memory and set maxmemory-policy to noeviction.";

const WAIT: &str = "Look at Redis, its memory and its disk, and at the way to it. It is tried again \
                    by itself.";

const PERSON: &str = "Set right what Redis names: REDIS_URL, the rights of its user, the database or \
                      the key. It is tried again by itself.";

/// The component `publisher`.
#[derive(Debug)]
pub(super) struct Health {
    component: Arc<Component>,
    clock: Clock,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// What Redis did with the last batch, or with us.
    trouble: Trouble,
    /// Why this Redis must not be relied on.
    policy: Option<String>,
    reminder: Reminder,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Trouble {
    #[default]
    Starting,
    None,
    /// It has failed in these words, and may work again.
    Unproven(String),
    Failed(String, Class),
}

impl Health {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            component: context.status.component("publisher", Some(Role::Ingest)),
            clock: context.clock,
            found: Mutex::default(),
        }
    }

    /// Redis lets us in. What it refused before, it may refuse again.
    pub(super) fn is_connected(&self) {
        self.change(|found| match &mut found.trouble {
            Trouble::Starting | Trouble::Failed(_, Class::Cut) => {
                found.trouble = Trouble::None;
            }
            _ => {}
        });
    }

    /// Nobody sends, so that it does not show whether Redis still refuses.
    pub(super) fn is_quiet(&self) {
        self.change(|found| {
            if let Trouble::Failed(words, _) = &mut found.trouble {
                found.trouble = Trouble::Unproven(std::mem::take(words));
            }
        });
    }

    /// Redis has added all of a batch.
    pub(super) fn is_working(&self) {
        self.change(|found| found.trouble = Trouble::None);
    }

    /// It has not.
    pub(super) fn has_failed(&self, failure: &Failure) {
        self.change(|found| found.trouble = Trouble::Failed(failure.words.clone(), failure.class));
    }

    /// Why this Redis must not be relied on, or that it may be.
    pub(super) fn policy(&self, policy: Option<String>) {
        self.change(|found| found.policy = policy);
    }

    /// To be called about once a second: what stays is told again.
    pub(super) fn tick(&self) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.reminder.tick(&self.component, self.clock);
    }

    fn change(&self, change: impl FnOnce(&mut Found)) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut found);
        match (&found.trouble, &found.policy) {
            (Trouble::Starting, _) => {}
            (Trouble::Failed(words, class), _) => {
                let remedy = if *class == Class::Hold { PERSON } else { WAIT };
                self.component.set(State::Failed, words, UNSAFE, remedy);
            }
            (Trouble::Unproven(words), _) => {
                let reason = format!("When a device last sent, this was the case: {words}");
                self.component.set(State::Impaired, &reason, UNPROVEN, WAIT);
            }
            (Trouble::None, Some(policy)) => {
                self.component.set(State::Impaired, policy, EVICTED, NO_EVICTION);
            }
            (Trouble::None, None) => self.component.is_working("Redis takes what devices send."),
        }
    }
}
