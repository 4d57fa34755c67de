//! What each part of the program says of itself: its state, the effect of that, and what to do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::clock::Clock;
use crate::log::{Level, Log};

/// How a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not worked yet.
    Starting,
    /// All is well.
    Working,
    /// It does what it can, with an effect that its words name.
    Impaired,
    /// It does nothing at the moment.
    Failed,
}

impl State {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Working => "working",
            Self::Impaired => "impaired",
            Self::Failed => "failed",
        }
    }
}

/// What a process does, as its readiness is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It shows positions to viewers.
    Live,
    /// It stores them.
    Durable,
    /// It takes them from devices.
    Ingest,
}

impl Role {
    /// The word for it, as in `ROLES`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Durable => "durable",
            Self::Ingest => "ingest",
        }
    }

    /// The role of that word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Live, Self::Durable, Self::Ingest].into_iter().find(|role| role.word() == word)
    }
}

/// What a component last said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How it is.
    pub state: State,
    /// What is the case, in plain words; without secrets.
    pub reason: String,
    /// What that means for viewers and data.
    pub effect: String,
    /// What to do about it; empty when there is nothing to do.
    pub remedy: String,
    /// Since when, in epoch milliseconds.
    pub since_ms: i64,
}

/// A part of the program that may be well or not.
#[derive(Debug)]
pub struct Component {
    /// How it is called: `redis`, `database`, `directus`, `roster`, `shards`, `listener`, `devices`.
    pub name: &'static str,
    /// The role that is ready only while this one works or is impaired, if there is one.
    pub needed_by: Option<Role>,
    report: Mutex<Report>,
    log: Log,
}

impl Component {
    /// What it last said.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All is well; logged when it was not.
    pub fn is_working(&self, reason: &str) {
        self.set(State::Working, reason, "", "");
    }

    /// It says something. A new state is logged; the same one is not said twice, but its words are
    /// kept. Whoever wants a reminder in the log writes one.
    pub fn set(&self, state: State, reason: &str, effect: &str, remedy: &str) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = report.state != state;
        report.reason.replace_range(.., reason);
        report.effect.replace_range(.., effect);
        report.remedy.replace_range(.., remedy);
        if is_new {
            report.state = state;
            report.since_ms = crate::clock::wall_ms();
            let level = match state {
                State::Starting | State::Working => Level::Info,
                State::Impaired => Level::Warn,
                State::Failed => Level::Error,
            };
            self.write(level, "a component changed its state", &report);
        }
    }

    fn write(&self, level: Level, words: &str, report: &Report) {
        let fields = [
            ("component", self.name),
            ("state", report.state.word()),
            ("reason", &report.reason),
            ("effect", &report.effect),
            ("remedy", &report.remedy),
        ];
        self.log.write(level, words, &fields);
    }
}

/// How often the log is reminded of what is not well.
const REMINDER_MS: u64 = 60_000;

/// When the log was last reminded of a component.
#[derive(Debug, Default)]
pub struct Reminder {
    reminded_ms: u64,
}

impl Reminder {
    /// To be called about once a second: logs a component that is still not well, once a minute.
    pub fn tick(&mut self, component: &Component, clock: Clock) {
        let now_ms = clock.monotonic_ms();
        let report = component.report();
        let level = match report.state {
            State::Starting | State::Working => {
                self.reminded_ms = now_ms;
                return;
            }
            State::Impaired => Level::Warn,
            State::Failed => Level::Error,
        };
        if now_ms - self.reminded_ms >= REMINDER_MS {
            self.reminded_ms = now_ms;
            component.write(level, "a component is still not well", &report);
        }
    }
}

/// Shows that a loop still turns.
#[derive(Debug)]
pub struct Heartbeat {
    /// Which loop.
    pub name: String,
    /// How long it may be silent.
    pub silence_ms_max: u64,
    clock: Clock,
    beaten_ms: AtomicU64,
}

impl Heartbeat {
    /// The loop has come round.
    pub fn beat(&self) {
        self.beaten_ms.store(self.clock.monotonic_ms(), Ordering::Relaxed);
    }

    /// How long it has been silent.
    #[must_use]
    pub fn silence_ms(&self) -> u64 {
        self.clock.monotonic_ms().saturating_sub(self.beaten_ms.load(Ordering::Relaxed))
    }
}

/// All components and loops of a process.
#[derive(Debug)]
pub struct Status {
    clock: Clock,
    log: Log,
    components: Mutex<Vec<Arc<Component>>>,
    /// Each belongs to its loop and goes with it: one that has ended is not silent.
    heartbeats: Mutex<Vec<Weak<Heartbeat>>>,
    is_draining: AtomicBool,
}

impl Status {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(clock: Clock, log: Log) -> Self {
        Self {
            clock,
            log,
            components: Mutex::default(),
            heartbeats: Mutex::default(),
            is_draining: AtomicBool::new(false),
        }
    }

    /// Adds a component, which is starting.
    pub fn component(&self, name: &'static str, needed_by: Option<Role>) -> Arc<Component> {
        let report = Report {
            state: State::Starting,
            reason: "It has only just started.".to_owned(),
            effect: String::new(),
            remedy: String::new(),
            since_ms: crate::clock::wall_ms(),
        };
        let component = Arc::new(Component {
            name,
            needed_by,
            report: Mutex::new(report),
            log: self.log.clone(),
        });
        self.components.lock().unwrap_or_else(PoisonError::into_inner).push(component.clone());
        component
    }

    /// The component of this name, added if there is none: what several parts share is told once.
    pub fn component_named(&self, name: &'static str, needed_by: Option<Role>) -> Arc<Component> {
        let known = self.components().into_iter().find(|component| component.name == name);
        known.unwrap_or_else(|| self.component(name, needed_by))
    }

    /// Adds a loop, which has just beaten.
    pub fn heartbeat(&self, name: &str, silence_ms_max: u64) -> Arc<Heartbeat> {
        let beaten_ms = AtomicU64::new(self.clock.monotonic_ms());
        let heartbeat = Arc::new(Heartbeat {
            name: name.to_owned(),
            silence_ms_max,
            clock: self.clock,
            beaten_ms,
        });
        self.heartbeats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::downgrade(&heartbeat));
        heartbeat
    }

    /// The components, in the order in which they were added.
    #[must_use]
    pub fn components(&self) -> Vec<Arc<Component>> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The loops.
    #[must_use]
    pub fn heartbeats(&self) -> Vec<Arc<Heartbeat>> {
        let mut heartbeats = self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        heartbeats.retain(|heartbeat| heartbeat.strong_count() > 0);
        heartbeats.iter().filter_map(Weak::upgrade).collect()
    }

    /// From now on the process is not ready, whatever its components say.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// True when the process is going away.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// True when all is well that any role needs.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready_for(None)
    }

    /// True when everything that this role needs, or any role when none is named, works or is
    /// impaired, and nothing is going away.
    #[must_use]
    pub fn is_ready_for(&self, role: Option<Role>) -> bool {
        let is_asked = |needed_by: Role| role.is_none_or(|role| role == needed_by);
        let stands = |component: &Arc<Component>| {
            !component.needed_by.is_some_and(is_asked)
                || matches!(component.report().state, State::Working | State::Impaired)
        };
        !self.is_draining() && self.components().iter().all(stands)
    }
}
