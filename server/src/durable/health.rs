//! What is said about writing: the sum of what the lanes and the reader have found, in plain words.
//!
//! What lasts less than a second is not told, what stays is told again every minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::loss::Danger;
use crate::clock::Clock;
use crate::context::Context;
use crate::database::Class;
use crate::database::catalog::Fault;
use crate::status::{Component, Reminder, Role, State};
use crate::stream::{self, Backoff, Failure};

/// Between two tries while somebody has to change something; the longest pause in any case.
pub(super) const HOLD: Duration = Duration::from_secs(2);

/// How long a failure that passes by itself must last to be told.
const LASTING_MS: u64 = 1_000;

/// What is the case while nothing is written.
const HELD: &str = "Positions are not stored at the moment. None is lost: they stay in Redis, \
                    unacknowledged, and are written when this is over. Viewers notice nothing.";

/// What is the case while something of PostgreSQL deserves a look.
const STORED: &str = "Positions are stored, but not as safely or as fully as they could be.";

/// What is the case while nothing is read.
const UNREAD: &str = "No new position is stored at the moment. They stay in Redis, and are written \
                      when this is over.";

/// What a Redis that throws streams away puts at risk.
const EVICTED: &str = "Positions are stored, but those that wait may vanish at any time.";

const NO_EVICTION: &str = "Give Redis enough memory and set maxmemory-policy to noeviction.";

/// What it means that entries which cannot be decoded wait.
const PARKED: &str = "What can be decoded is stored. The others stay in Redis, unacknowledged, until \
                      they are few beside it.";

const DECODE_REMEDY: &str = "Look at some with `pitwall dlq list`. If the producer has changed, set it \
                             right or update pitwall; if they may all be set aside, start with \
                             WRITE_STORM_PERCENT=100.";

const WAIT: &str = "Look at Redis and at the way to it. Reading resumes by itself.";

const PERSON: &str = "Set right what Redis names: REDIS_URL, the rights of its user, the database or \
                      the key. Reading resumes by itself.";

/// Why something does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What it calls for.
    pub(super) class: Class,
    /// What is the case.
    pub(super) words: String,
    /// What to do about it.
    pub(super) remedy: String,
}

impl Trouble {
    /// A dead letter could not be written.
    pub(super) fn letter(failure: &Failure) -> Self {
        Self {
            class: Class::Outage,
            words: format!("A record is refused and cannot be set aside. {}", failure.words),
            remedy: match failure.class {
                stream::Class::Hold => {
                    "Give the Redis user the rights that a process which stores positions needs; \
                     deploy/README.md lists them."
                }
                _ => "Let Redis take writes again: look at its disk, its memory and its role.",
            }
            .to_owned(),
        }
    }

    /// How long to wait before the next try.
    pub(super) fn pause(&self, backoff: &mut Backoff) -> Duration {
        match self.class {
            Class::Schema => HOLD,
            _ => HOLD.min(Duration::from_millis(backoff.next_ms())),
        }
    }

    /// There are as many dead letters as may be.
    pub(super) fn letters_full() -> Self {
        Self {
            class: Class::Schema,
            words: "A record is refused, and there are DEAD_LETTERS_MAX dead letters already."
                .to_owned(),
            remedy: "Look at them with `pitwall dlq list`, and requeue or drop them.".to_owned(),
        }
    }
}

/// What a lane does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum LaneState {
    /// It has no batch.
    #[default]
    Idle,
    /// It writes one.
    Writing,
    /// It cannot, since that moment of the monotonic clock, and tries again.
    Holding(Trouble, u64),
}

/// The components `writer` and `reader`.
#[derive(Debug)]
pub(super) struct Health {
    writer: Arc<Component>,
    reader: Arc<Component>,
    clock: Clock,
    found: Mutex<Found>,
}

#[derive(Debug)]
struct Found {
    lanes: Vec<LaneState>,
    /// A lane has written, or looked at the table.
    has_worked: bool,
    /// What of the database is worse than it could be.
    warning: Option<Fault>,
    /// The last read has worked.
    is_reading: bool,
    danger: Option<Danger>,
    /// Why entries that cannot be decoded wait.
    parked: Option<String>,
    /// Why this Redis must not be relied on.
    policy: Option<String>,
    writer_reminder: Reminder,
    reader_reminder: Reminder,
}

impl Health {
    /// Adds the components, which are needed.
    pub(super) fn new(context: &Context) -> Self {
        let found = Found {
            lanes: vec![LaneState::Idle; context.config.write.lane_count],
            has_worked: false,
            warning: None,
            is_reading: false,
            danger: None,
            parked: None,
            policy: None,
            writer_reminder: Reminder::default(),
            reader_reminder: Reminder::default(),
        };
        Self {
            writer: context.status.component("writer", Some(Role::Durable)),
            reader: context.status.component("reader", Some(Role::Durable)),
            clock: context.clock,
            found: Mutex::new(found),
        }
    }

    /// A lane has nothing to write, or begins to write. One that could not goes on holding until it
    /// has written: to try is no reason to say that all is well.
    pub(super) fn lane_is(&self, lane: usize, state: LaneState) {
        self.change(|found| {
            let held = matches!(found.lanes[lane], LaneState::Holding(..));
            if !held || state != LaneState::Writing {
                found.lanes[lane] = state;
            }
        });
    }

    /// A lane has looked at the database: what of it is worse than it could be, if anything.
    pub(super) fn warns(&self, warning: Option<&Fault>) {
        self.change(|found| found.warning = warning.cloned());
    }

    /// A lane has written, or has found the table as it must be.
    pub(super) fn lane_works(&self, lane: usize) {
        self.change(|found| {
            found.has_worked = true;
            if matches!(found.lanes[lane], LaneState::Holding(..)) {
                found.lanes[lane] = LaneState::Writing;
            }
        });
    }

    /// A lane cannot write.
    pub(super) fn lane_holds(&self, lane: usize, trouble: Trouble) {
        let now_ms = self.clock.monotonic_ms();
        self.change(|found| {
            let since_ms = match &found.lanes[lane] {
                LaneState::Holding(_, since_ms) => *since_ms,
                _ => now_ms,
            };
            found.lanes[lane] = LaneState::Holding(trouble, since_ms);
        });
    }

    /// What the lanes do.
    pub(super) fn lanes(&self) -> Vec<LaneState> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).lanes.clone()
    }

    /// True when every lane that has something to write cannot.
    pub(super) fn is_held(&self) -> bool {
        let lanes = self.lanes();
        lanes.iter().any(|lane| matches!(lane, LaneState::Holding(..)))
            && !lanes.iter().any(|lane| matches!(lane, LaneState::Writing))
    }

    /// Entries are being read.
    pub(super) fn reads(&self) {
        self.change_reader(|found| found.is_reading = true);
    }

    /// This Redis can be relied on, or why it must not be.
    pub(super) fn policy(&self, trouble: Option<String>) {
        self.change_reader(|found| found.policy = trouble);
    }

    /// What threatens entries that are still to be stored, if anything does.
    pub(super) fn danger_is(&self, danger: Option<Danger>) {
        self.change_reader(|found| found.danger = danger);
    }

    /// None can be read; whether only a person can help.
    pub(super) fn cannot_read(&self, reason: &str, needs_person: bool) {
        self.change_reader(|found| found.is_reading = false);
        let remedy = if needs_person { PERSON } else { WAIT };
        self.reader.set(State::Failed, reason, UNREAD, remedy);
    }

    /// Entries that cannot be decoded wait, for this reason; `is_full` when nothing is read before
    /// one is answered for.
    pub(super) fn parks(&self, reason: Option<&str>, is_full: bool) {
        self.change_reader(|found| {
            found.parked = reason.map(str::to_owned);
            found.is_reading &= !is_full;
        });
        if let Some(reason) = reason.filter(|_| is_full) {
            self.reader.set(State::Failed, reason, HELD, DECODE_REMEDY);
        }
    }

    /// Nothing more is read: a record cannot be set aside.
    pub(super) fn reading_holds(&self, reason: &str, remedy: &str) {
        self.change_reader(|found| found.is_reading = false);
        self.reader.set(State::Failed, reason, HELD, remedy);
    }

    /// Once a second: tells what has lasted, and reminds the log.
    pub(super) fn tick(&self) {
        self.change(|_| ());
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.writer_reminder.tick(&self.writer, self.clock);
        found.reader_reminder.tick(&self.reader, self.clock);
    }

    /// While nothing is read because the lanes are full, the danger is the greatest: it is told when
    /// it is found, not when something is read.
    fn change_reader(&self, change: impl FnOnce(&mut Found)) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut found);
        if !found.is_reading {
            return;
        }
        match (&found.policy, &found.danger, &found.parked) {
            (Some(reason), _, _) => self.reader.set(State::Failed, reason, EVICTED, NO_EVICTION),
            (None, Some(Danger { reason, effect, remedy }), _) => {
                self.reader.set(State::Impaired, reason, effect, remedy);
            }
            (None, None, Some(reason)) => {
                self.reader.set(State::Impaired, reason, PARKED, DECODE_REMEDY);
            }
            (None, None, None) => {
                self.reader.is_working("The stream is being read for the database.");
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Found)) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut found);
        found.tell(&self.writer, self.clock.monotonic_ms());
    }
}

impl Found {
    fn tell(&self, component: &Component, now_ms: u64) {
        let lasts = |trouble: &Trouble, since_ms: u64| {
            trouble.class != Class::Transient || now_ms - since_ms >= LASTING_MS
        };
        let held = self.lanes.iter().find_map(|lane| match lane {
            LaneState::Holding(trouble, since_ms) if lasts(trouble, *since_ms) => Some(trouble),
            _ => None,
        });
        match held {
            Some(trouble) => {
                let reason = format!("{}: {}", trouble.class.word(), trouble.words);
                component.set(State::Failed, &reason, HELD, &trouble.remedy);
            }
            // One that has begun to fail and may yet pass keeps what was told before.
            None if self.lanes.iter().any(|lane| matches!(lane, LaneState::Holding(..))) => {}
            None if !self.has_worked => {}
            None => match &self.warning {
                Some(Fault { what, remedy, .. }) => {
                    component.set(State::Impaired, what, STORED, remedy);
                }
                None => component.is_working("Positions are being stored."),
            },
        }
    }
}
