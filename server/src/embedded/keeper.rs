//! Keeps the roster in use: reads the file again when it changes, takes in devices that an event takes
//! any of, warms the slots from the store, and tells the page.
//!
//! A mistake in the file leaves everything as it was; it is told until it is put right. A new roster costs
//! as much as it is long, so devices that come by themselves make one once a second and not each its own.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::id::EventId;
use engine::limits::{DEVICES_MAX, EVENT_SLOTS_MAX, SLOTS_MAX};
use engine::position::Position;
use engine::roster::{Registration, Roster};
use engine::teltonika::Imei;
use tokio::sync::watch;

use super::history::History;
use super::others::Others;
use super::page_data;
use super::roster::{FILE, Mistakes, RosterFile};
use crate::config::DeviceAuthority;
use crate::context::Context;
use crate::ingest::authority::Known;
use crate::live::source::{LETTER_POSITIONS_MAX, SourceMail};
use crate::metrics::{Counter, Gauge, Page, Section};
use crate::status::{Component, Reminder, Role, State};

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
    /// Devices that have ever sent: at most [`DEVICES_MAX`], some 50 bytes each, 7 MB when full.
    seen: BTreeSet<Arc<str>>,
    /// Those of them that wait for the next roster, with the newest fix of each: at most as many,
    /// 17 MB when full.
    newcomers: HashMap<Imei, Option<Position>>,
    /// No newcomer has made a roster since the last tick.
    is_rested: bool,
    /// The roster has no room for a device more, why; until the file changes.
    full: Option<String>,
    roster: Arc<Roster>,
    /// Who drives in an event that takes any.
    others: Others,
    registered: HashSet<(Arc<str>, EventId)>,
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
        let seen = history.devices(DEVICES_MAX)?.into_iter().map(Arc::from).collect();
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
            newcomers: HashMap::new(),
            is_rested: true,
            full: None,
            roster: Arc::default(),
            others: Others::default(),
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

    /// Once a second: reads the file if it has changed, and takes in who has come. What the source is
    /// to be told.
    pub(super) fn tick(&mut self) -> Vec<SourceMail> {
        self.is_rested = self.newcomers.is_empty();
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
        if !self.newcomers.is_empty() {
            mail.extend(self.apply());
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

    /// What devices have just sent. What the source is to be told before it: a newcomer has its place
    /// at once if that was quiet lately and the source has room, else at the next tick, with its newest
    /// fix.
    pub(super) fn meet(&mut self, arrived: &[(Imei, Position)], has_room: bool) -> Vec<SourceMail> {
        let takes_any = self.file.events.iter().any(|event| event.takes_any);
        let is_at_once = has_room && self.is_rested && self.newcomers.is_empty();
        let newest_ms = self.newest_ms();
        for (imei, position) in arrived {
            let is_new = !self.seen.contains(imei.as_str());
            if is_new && self.seen.len() >= DEVICES_MAX {
                self.is_crowded(takes_any);
                continue;
            }
            if is_new {
                self.seen.insert(imei.as_str().into());
                if takes_any && self.full.is_none() {
                    self.newcomers.insert(*imei, None);
                }
            }
            if let Some(fix) = self.newcomers.get_mut(imei)
                && !position.is_without_fix()
                && position.timestamp_ms <= newest_ms
                && fix.is_none_or(|fix| fix.timestamp_ms < position.timestamp_ms)
            {
                *fix = Some(*position);
            }
        }
        if !is_at_once || self.newcomers.is_empty() {
            return Vec::new();
        }
        // What they sent follows, all of it.
        self.newcomers.values_mut().for_each(|fix| *fix = None);
        self.is_rested = false;
        self.apply()
    }

    /// No more devices are remembered.
    fn is_crowded(&mut self, takes_any: bool) {
        if takes_any && self.full.is_none() {
            self.full = Some(format!("{DEVICES_MAX} devices have sent, and no more are known."));
            self.tell();
        }
    }

    /// The latest time that is not in the future.
    fn newest_ms(&self) -> i64 {
        crate::clock::wall_ms().saturating_add(self.context.config.live.future_tolerance_ms)
    }

    /// Makes the roster of what is known now: the letter with it, and the newest fixes of devices
    /// that have a slot they did not have.
    pub(super) fn apply(&mut self) -> Vec<SourceMail> {
        let (others, full) = self.others.next(&self.file, &self.seen, (EVENT_SLOTS_MAX, SLOTS_MAX));
        let fixes = std::mem::take(&mut self.newcomers);
        let registered = registrations(&self.file, &others);
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
        (self.roster, self.others) = (next, others);
        if full.is_some() {
            self.full = full;
        }
        let mut newcomers: Vec<&str> =
            registered.difference(&self.registered).map(|(device_id, _)| &**device_id).collect();
        newcomers.sort_unstable();
        newcomers.dedup();
        let mut mail = vec![SourceMail::Roster(self.roster.clone())];
        mail.extend(self.offers(&newcomers, &fixes));
        let devices: HashSet<&str> = registered.iter().map(|(device, _)| &**device).collect();
        self.numbers.devices.set(i64::try_from(devices.len()).unwrap_or(i64::MAX));
        self.registered = registered;
        self.tell_events();
        self.is_page_stale = true;
        self.tell();
        mail
    }

    /// The newest fixes of these devices: of those that came by themselves what they have sent since, of
    /// the others what is stored.
    fn offers(&self, devices: &[&str], came: &HashMap<Imei, Option<Position>>) -> Vec<SourceMail> {
        let newest_ms = self.newest_ms();
        let mut is_readable = true;
        let mut offers: Vec<(Box<str>, Position)> = Vec::new();
        for &device_id in devices.iter().filter(|&&device_id| self.seen.contains(device_id)) {
            let imei = Imei::parse(device_id.as_bytes()).ok();
            let newest = match imei.and_then(|imei| came.get(&imei)) {
                Some(fix) => *fix,
                None if is_readable => {
                    let read = self.history.newest(device_id, newest_ms);
                    is_readable = read.is_ok();
                    read.unwrap_or_else(|error| self.history_fails(&error))
                }
                None => None,
            };
            offers.extend(newest.map(|newest| (device_id.into(), newest)));
        }
        offers.chunks(LETTER_POSITIONS_MAX).map(|some| SourceMail::Offer(some.to_vec())).collect()
    }

    fn history_fails(&self, error: &rusqlite::Error) -> Option<Position> {
        let reason = error.to_string();
        let words = "the newest fixes cannot be read; dots appear when devices send";
        self.context.log.warn(words, &[("reason", &reason)]);
        None
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
            self.page.send_replace(page_data::bytes(&self.file, &self.others, has_login, style));
        }
    }

    fn tell(&self) {
        if let Some(mistakes) = &self.mistakes {
            let remedy = format!("Put {FILE} right; it is read again when it changes.");
            let reason = mistakes.to_string();
            self.component.set(State::Impaired, &reason, OLD_ROSTER, &remedy);
        } else if let Some(reason) = &self.full {
            let effect = "Further devices are stored and not shown.";
            let remedy = "Name the devices that matter in the roster, or begin in a new folder.";
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

/// Who drives where: whom the file names, and who has come by himself.
fn registrations(file: &RosterFile, others: &Others) -> HashSet<(Arc<str>, EventId)> {
    let of = |event| {
        let named = file.devices_of(event).map(|device| device.imei.clone());
        named.chain(others.of(event.id).cloned()).map(|imei| (imei, event.id))
    };
    file.events.iter().flat_map(of).collect()
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
