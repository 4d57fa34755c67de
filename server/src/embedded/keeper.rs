//! Keeps the roster in use: reads the file again when it changes, takes in devices that an event takes
//! any of, warms the slots from the store, and tells the page.
//!
//! A mistake in the file leaves everything as it was; it is told until it is put right.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::id::EventId;
use engine::limits::{DEVICES_MAX, EVENT_SLOTS_MAX};
use engine::position::Position;
use engine::roster::{Registration, Roster};
use engine::teltonika::Imei;
use tokio::sync::watch;

use super::history::History;
use super::page_data;
use super::roster::{FILE, Mistakes, RosterFile};
use crate::config::DeviceAuthority;
use crate::context::Context;
use crate::ingest::authority::Known;
use crate::live::source::SourceMail;
use crate::metrics::{Counter, Gauge, Page, Section};
use crate::status::{Component, Reminder, Role, State};

/// Fixes of one letter to the source.
const OFFERS_MAX: usize = 1_000;

const OLD_ROSTER: &str = "The roster before it stays in use.";

/// What others learn of the roster.
#[derive(Debug)]
pub(super) struct Told {
    /// The bytes of `/page.json`.
    pub(super) page: watch::Receiver<Arc<[u8]>>,
    /// The events there are, sorted.
    pub(super) events: watch::Receiver<Arc<[EventId]>>,
    /// Which devices may send.
    pub(super) known: watch::Receiver<Known>,
}

/// The roster, its file and who tells of it.
#[derive(Debug)]
pub(super) struct Keeper {
    context: Context,
    directory: PathBuf,
    history: History,
    file: RosterFile,
    /// The files as they were when they were last read, well or not.
    stamps: Vec<(PathBuf, Option<Stamp>)>,
    mistakes: Option<Mistakes>,
    /// Devices that have ever sent.
    seen: BTreeSet<Box<str>>,
    /// The roster has no room for a device more, why; until the file changes.
    full: Option<String>,
    roster: Arc<Roster>,
    registered: HashSet<(Box<str>, EventId)>,
    is_page_stale: bool,
    page: watch::Sender<Arc<[u8]>>,
    events: watch::Sender<Arc<[EventId]>>,
    known: watch::Sender<Known>,
    component: Arc<Component>,
    reminder: Reminder,
    numbers: Arc<Numbers>,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    changed: (i64, i64),
    inode: u64,
    bytes: u64,
}

/// The numbers of the keeper.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    devices: Gauge,
    events: Gauge,
    read: Counter,
    failed: Counter,
}

impl Keeper {
    /// Keeps this roster, of this folder, whose store knows some devices already.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn new(
        context: &Context,
        directory: &Path,
        file: RosterFile,
    ) -> Result<(Self, Told), rusqlite::Error> {
        let history = History::open(directory)?;
        let seen = history.devices(DEVICES_MAX)?.into_iter().collect();
        let (page, page_told) = watch::channel(Arc::from(&b"{}"[..]));
        let (events, events_told) = watch::channel(Arc::from(&[][..]));
        let (known, known_told) = watch::channel(Known::Unread);
        let mut keeper = Self {
            context: context.clone(),
            directory: directory.to_owned(),
            history,
            // It may have changed since it was read: it is looked at once more.
            stamps: Vec::new(),
            file,
            mistakes: None,
            seen,
            full: None,
            roster: Arc::default(),
            registered: HashSet::new(),
            is_page_stale: true,
            page,
            events,
            known,
            // Who asks whether it is ready wants to see an event.
            component: context.status.component("roster", Some(Role::Live)),
            reminder: Reminder::default(),
            numbers: Arc::default(),
        };
        keeper.tell_page();
        keeper.tell_known();
        keeper.tell_events();
        Ok((keeper, Told { page: page_told, events: events_told, known: known_told }))
    }

    /// The numbers.
    pub(super) fn numbers(&self) -> Arc<Numbers> {
        self.numbers.clone()
    }

    /// Once a second: reads the file if it has changed. What the source is to be told.
    pub(super) fn tick(&mut self) -> Vec<SourceMail> {
        let mut mail = Vec::new();
        let stamps_now = stamps(&self.directory, &self.file);
        // A file that a faulty roster names is not among those that are looked at, so it is read again
        // until it is right.
        if stamps_now != self.stamps || self.mistakes.is_some() {
            match RosterFile::read(&self.directory) {
                Ok(file) => {
                    // The courses it names now are looked at from now on; the file itself as it was
                    // before it was read, so that no change is missed.
                    self.stamps = stamps(&self.directory, &file);
                    self.stamps[..1].clone_from_slice(&stamps_now[..1]);
                    self.mistakes = None;
                    if file != self.file {
                        mail = self.renew(file);
                    }
                }
                Err(mistakes) => {
                    self.stamps = stamps_now;
                    self.has_failed(mistakes);
                }
            }
        }
        self.tell_page();
        self.tell();
        self.reminder.tick(&self.component, self.context.clock);
        mail
    }

    /// The file says something else than before.
    fn renew(&mut self, file: RosterFile) -> Vec<SourceMail> {
        self.numbers.read.increment();
        self.context.log.info("the roster was read again", &[]);
        (self.file, self.full) = (file, None);
        self.tell_known();
        self.apply()
    }

    /// The file cannot be used. Mistakes that were told before are not told again.
    fn has_failed(&mut self, mistakes: Mistakes) {
        if self.mistakes.as_ref() == Some(&mistakes) {
            return;
        }
        self.numbers.failed.increment();
        let words = mistakes.to_string();
        let fields = [("mistakes", words.as_str()), ("effect", OLD_ROSTER)];
        self.context.log.error("the roster was not read again", &fields);
        self.mistakes = Some(mistakes);
    }

    /// Devices that have just sent. What the source is to be told before their positions.
    pub(super) fn meet<'a>(&mut self, imeis: impl Iterator<Item = &'a str>) -> Vec<SourceMail> {
        let count = self.seen.len();
        for imei in imeis {
            if self.seen.len() < DEVICES_MAX && !self.seen.contains(imei) {
                self.seen.insert(imei.into());
            }
        }
        let takes_any = self.file.events.iter().any(|event| event.takes_any);
        if self.seen.len() == count || !takes_any || self.full.is_some() {
            return Vec::new();
        }
        self.apply()
    }

    /// Makes the roster of what is known now: the letter with it, and the newest fixes of devices
    /// that have a slot they did not have.
    pub(super) fn apply(&mut self) -> Vec<SourceMail> {
        let registered = self.registrations();
        let rows: Vec<Registration<'_>> = registered
            .iter()
            .map(|(device_id, event)| Registration { device_id, event: *event })
            .collect();
        let next = match self.roster.next(&rows) {
            Ok(next) => Arc::new(next),
            Err(error) => {
                self.full = Some(format!("The roster has {error}."));
                self.tell();
                return Vec::new();
            }
        };
        self.roster = next;
        let mut newcomers: Vec<&str> =
            registered.difference(&self.registered).map(|(device_id, _)| &**device_id).collect();
        newcomers.sort_unstable();
        newcomers.dedup();
        let mut mail = vec![SourceMail::Roster(self.roster.clone())];
        mail.extend(self.offers(&newcomers));
        let devices: HashSet<&str> = registered.iter().map(|(device, _)| &**device).collect();
        self.numbers.devices.set(i64::try_from(devices.len()).unwrap_or(i64::MAX));
        self.registered = registered;
        self.tell_events();
        self.is_page_stale = true;
        self.tell();
        mail
    }

    fn registrations(&self) -> HashSet<(Box<str>, EventId)> {
        let mut registered = HashSet::new();
        for event in &self.file.events {
            let named = self.file.devices_of(event.id).map(|device| device.imei.clone());
            registered.extend(named.map(|imei| (imei, event.id)));
            if event.takes_any {
                let named_count = self.file.devices_of(event.id).count();
                let others = self.seen.iter().take(EVENT_SLOTS_MAX.saturating_sub(named_count));
                registered.extend(others.map(|imei| (imei.clone(), event.id)));
            }
        }
        registered
    }

    /// The newest fixes of these devices.
    fn offers(&self, devices: &[&str]) -> Vec<SourceMail> {
        let tolerance_ms = self.context.config.live.future_tolerance_ms;
        let newest_ms = crate::clock::wall_ms().saturating_add(tolerance_ms);
        let mut offers: Vec<(Box<str>, Position)> = Vec::new();
        for &device_id in devices.iter().filter(|&&device_id| self.seen.contains(device_id)) {
            match self.history.newest(device_id, newest_ms) {
                Ok(newest) => offers.extend(newest.map(|newest| (device_id.into(), newest))),
                Err(error) => {
                    let reason = error.to_string();
                    let fields = [("reason", reason.as_str())];
                    let words = "the newest fixes cannot be read; dots appear when devices send";
                    self.context.log.warn(words, &fields);
                    break;
                }
            }
        }
        let mut letters = Vec::new();
        while !offers.is_empty() {
            let rest = offers.split_off(offers.len().min(OFFERS_MAX));
            letters.push(SourceMail::Offer(std::mem::replace(&mut offers, rest)));
        }
        letters
    }

    fn tell_events(&self) {
        let mut events: Vec<EventId> = self.file.events.iter().map(|event| event.id).collect();
        events.sort_unstable();
        self.numbers.events.set(i64::try_from(events.len()).unwrap_or(i64::MAX));
        self.events.send_replace(events.into());
    }

    /// With `strict` only devices of the file may send.
    fn tell_known(&self) {
        let known = match self.context.config.ingest.authority {
            DeviceAuthority::Open => Known::Everyone,
            DeviceAuthority::Strict => {
                let imeis = self.file.devices.iter().map(|device| device.imei.as_bytes());
                Known::These(Arc::new(imeis.filter_map(|imei| Imei::parse(imei).ok()).collect()))
            }
        };
        self.known.send_replace(known);
    }

    fn tell_page(&mut self) {
        if std::mem::take(&mut self.is_page_stale) {
            let has_login =
                self.context.config.embedded.as_ref().is_some_and(|it| it.token.is_some());
            let style = self.context.config.live.page_style.as_ref().map(|style| &*style.url);
            self.page.send_replace(page_data::bytes(&self.file, &self.seen, has_login, style));
        }
    }

    fn tell(&self) {
        if let Some(mistakes) = &self.mistakes {
            let remedy = format!("Put {FILE} right; it is read again when it changes.");
            let reason = mistakes.to_string();
            self.component.set(State::Impaired, &reason, OLD_ROSTER, &remedy);
        } else if let Some(reason) = &self.full {
            let effect = "Further devices are stored and not shown.";
            let remedy = "Let no event take any device, or take devices out of the store.";
            self.component.set(State::Impaired, reason, effect, remedy);
        } else {
            let (devices, events) = (self.numbers.devices.value(), self.numbers.events.value());
            let words = format!("{devices} devices are registered; there are {events} events.");
            self.component.is_working(&words);
        }
    }
}

impl Section for Numbers {
    fn write(&self, page: &mut Page) {
        let help = "Devices that are registered to an event.";
        page.gauge("processor_live_roster_devices", help, Some(self.devices.value()));
        page.gauge("processor_live_roster_events", "Events.", Some(self.events.value()));
        let values = [("changed", self.read.value()), ("failed", self.failed.value())];
        let name = "processor_live_roster_refreshes_total";
        page.counters(name, "Reads of the roster after the first.", "result", &values);
    }
}

/// How the roster and the courses are that it names.
fn stamps(directory: &Path, file: &RosterFile) -> Vec<(PathBuf, Option<Stamp>)> {
    let courses = file.events.iter().filter_map(|event| event.course_file.clone());
    let files = std::iter::once(directory.join(FILE)).chain(courses);
    files.map(|path| (stamp(&path), path)).map(|(stamp, path)| (path, stamp)).collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    let changed = (metadata.mtime(), metadata.mtime_nsec());
    Some(Stamp { changed, inode: metadata.ino(), bytes: metadata.size() })
}
