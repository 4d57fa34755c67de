//! The naive model of what viewers may see: written from the rules of the wire, not from the engine.
//!
//! Per event and device it keeps the newest accepted fix and what a snapshot shows; it remembers
//! every picture an event ever had, so that a snapshot can be found among them.

use super::random::{fold, mix};
use super::{Class, Violation, small};

/// "There is none", for indices into the lists of a model.
pub(crate) const NONE: u32 = u32::MAX;

/// One fix that a device sent, with the only text it may ever have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// Who.
    pub(crate) device: u32,
    /// Device time.
    pub(crate) timestamp_ms: i64,
    /// No satellites and exactly (0, 0).
    pub(crate) is_without_fix: bool,
    text: (u32, u32),
    key: u64,
}

/// What became of the fixes a shard judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Shown.
    pub(crate) accepted: u64,
    /// Older than the newest.
    pub(crate) late: u64,
    /// Older than the newest, which was withdrawn.
    pub(crate) restored: u64,
    /// As old as the newest.
    pub(crate) duplicate: u64,
    /// From beyond the tolerance.
    pub(crate) future: u64,
    /// Without a fix.
    pub(crate) without_fix: u64,
}

/// One accepted fix of an event, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    /// The fix.
    pub(crate) record: u32,
    /// Who.
    pub(crate) device: u32,
    /// The accepted fix before it of the same device.
    pub(crate) previous: u32,
}

/// One picture of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version {
    /// Of everything shown.
    pub(crate) hash: u64,
    /// Fixes accepted so far.
    pub(crate) accepted_count: u32,
    /// It came about without a new fix.
    pub(crate) is_amendment: bool,
}

/// One device in one event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    /// Registered now.
    pub(crate) is_seated: bool,
    /// Newest device time ever accepted.
    pub(crate) high_water_ms: i64,
    /// The newest accepted fix, as its place in the list.
    pub(crate) newest: u32,
    /// What snapshots show while it is registered, as a record.
    pub(crate) kept: u32,
    /// What snapshots show, as a record.
    pub(crate) shown: u32,
    /// The newest fix was neither withdrawn nor hidden since it was accepted.
    pub(crate) is_owed: bool,
    /// How often something shown was taken away.
    pub(crate) amendment_count: u32,
}

/// One event.
#[derive(Debug)]
pub(crate) struct EventModel {
    /// The uuid in its canonical text.
    pub(crate) uuid: [u8; 36],
    /// By device.
    pub(crate) seats: Vec<Seat>,
    /// What viewers who keep up get, in order.
    pub(crate) accepted: Vec<Accepted>,
    /// Every picture, the first of nothing.
    pub(crate) versions: Vec<Version>,
    /// No snapshot may be older than this one.
    pub(crate) settled_version: usize,
    /// Records that were shown only after another was withdrawn.
    pub(crate) fallbacks: Vec<u32>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Every fix ever sent.
    pub(crate) records: Vec<Record>,
    /// The events, registered or not.
    pub(crate) events: Vec<EventModel>,
    texts: Vec<u8>,
}

impl Model {
    /// An event that shows nothing.
    pub(crate) fn add_event(&mut self, uuid: [u8; 36], device_count: usize) {
        let seat = Seat {
            is_seated: false,
            high_water_ms: i64::MIN,
            newest: NONE,
            kept: NONE,
            shown: NONE,
            is_owed: false,
            amendment_count: 0,
        };
        self.events.push(EventModel {
            uuid,
            seats: vec![seat; device_count],
            accepted: Vec::new(),
            versions: vec![Version { hash: 0, accepted_count: 0, is_amendment: false }],
            settled_version: 0,
            fallbacks: Vec::new(),
        });
    }

    /// A fix with its text, which `write` appends: from `"deviceId"` to the closing brace.
    pub(crate) fn add_record(
        &mut self,
        device: u32,
        timestamp_ms: i64,
        is_without_fix: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> u32 {
        let start = small(self.texts.len());
        write(&mut self.texts);
        let end = small(self.texts.len());
        let key = fold(mix(u64::from(device)), &self.texts[start as usize..end as usize]);
        let text = (start, end);
        self.records.push(Record { device, timestamp_ms, is_without_fix, text, key });
        small(self.records.len() - 1)
    }

    /// The text of a record.
    #[must_use]
    pub(crate) fn text(&self, record: u32) -> &[u8] {
        let (start, end) = self.records[record as usize].text;
        &self.texts[start as usize..end as usize]
    }

    /// What a record adds to the hash of a picture.
    #[must_use]
    pub(crate) fn key(&self, record: u32) -> u64 {
        self.records[record as usize].key
    }

    /// The event a topic names.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn event_of(&self, uuid: &[u8]) -> Result<usize, Violation> {
        let event = self.events.iter().position(|event| event.uuid == uuid);
        event.ok_or_else(|| Violation::new(Class::Foreign, "a topic that nobody named"))
    }

    /// The place in the list of accepted fixes of the one with exactly this text, looked for from
    /// the newest of its device back.
    #[must_use]
    pub(crate) fn find_accepted(&self, event: usize, device: u32, text: &[u8]) -> Option<u32> {
        let event = &self.events[event];
        let mut at = event.seats[device as usize].newest;
        while let Some(accepted) = event.accepted.get(at as usize) {
            if self.text(accepted.record) == text {
                return Some(at);
            }
            at = accepted.previous;
        }
        None
    }

    /// Judges one fix for one event.
    pub(crate) fn offer(&mut self, event: usize, record: u32, ceiling_ms: i64, tally: &mut Tally) {
        let fix = self.records[record as usize];
        let events = &mut self.events[event];
        let seat = &mut events.seats[fix.device as usize];
        let kept_ms = self.records.get(seat.kept as usize).map(|kept| kept.timestamp_ms);
        let is_gap = kept_ms.is_none_or(|kept_ms| kept_ms < fix.timestamp_ms);
        if fix.timestamp_ms <= seat.high_water_ms && is_gap && !fix.is_without_fix {
            tally.restored += 1;
            self.show(event, fix.device, record, true);
        } else if fix.timestamp_ms == seat.high_water_ms {
            tally.duplicate += 1;
        } else if fix.timestamp_ms < seat.high_water_ms {
            tally.late += 1;
        } else if fix.timestamp_ms > ceiling_ms {
            tally.future += 1;
        } else if fix.is_without_fix {
            tally.without_fix += 1;
        } else {
            tally.accepted += 1;
            seat.high_water_ms = fix.timestamp_ms;
            let previous = seat.newest;
            seat.newest = small(events.accepted.len());
            seat.is_owed = true;
            events.accepted.push(Accepted { record, device: fix.device, previous });
            self.show(event, fix.device, record, false);
        }
    }

    /// Operators flag the fix of `faulty_ms`; `good` is the newest that is left, or [`NONE`].
    pub(crate) fn withdraw(&mut self, event: usize, device: u32, faulty_ms: i64, good: u32) {
        let kept = self.events[event].seats[device as usize].kept;
        let Some(record) = self.records.get(kept as usize) else { return };
        if record.timestamp_ms != faulty_ms {
            return;
        }
        let is_good = |good: &Record| good.timestamp_ms < faulty_ms && !good.is_without_fix;
        let good = if self.records.get(good as usize).is_some_and(is_good) { good } else { NONE };
        self.show(event, device, good, true);
    }

    /// A device enters or leaves an event; who leaves is hidden until it returns.
    pub(crate) fn seat(&mut self, event: usize, device: u32, is_seated: bool) {
        let seat = &mut self.events[event].seats[device as usize];
        let has_changed = std::mem::replace(&mut seat.is_seated, is_seated) != is_seated;
        let kept = seat.kept;
        if has_changed && kept != NONE {
            self.show(event, device, kept, true);
        }
    }

    /// Keeps a record for a seat, and shows it if the seat is taken.
    fn show(&mut self, event: usize, device: u32, record: u32, is_amendment: bool) {
        let key = |record: u32| self.records.get(record as usize).map_or(0, |record| record.key);
        let seat = self.events[event].seats[device as usize];
        let visible = if seat.is_seated { record } else { NONE };
        let change = key(seat.shown) ^ key(visible);
        let event = &mut self.events[event];
        let seat = &mut event.seats[device as usize];
        seat.kept = record;
        seat.shown = visible;
        seat.amendment_count += u32::from(is_amendment);
        seat.is_owed &= !is_amendment;
        if is_amendment && visible != NONE {
            event.fallbacks.push(visible);
        }
        let hash = event.versions.last().map_or(0, |version| version.hash) ^ change;
        let accepted_count = small(event.accepted.len());
        event.versions.push(Version { hash, accepted_count, is_amendment });
    }
}

impl EventModel {
    /// The newest picture's place.
    #[must_use]
    pub(crate) const fn version(&self) -> usize {
        self.versions.len() - 1
    }

    /// The fix a viewer must have once it has caught up: the newest accepted one, unless it was
    /// withdrawn or its device has left since, even if it is back.
    #[must_use]
    pub(crate) fn must_have(&self, device: u32) -> Option<u32> {
        let seat = &self.seats[device as usize];
        seat.is_owed.then_some(seat.newest)
    }
}
