//! Snapshots: exactly what the event showed at some moment, in the texts of its frames.

use super::stream::device_of;
use super::{Topic, Watch};
use crate::simulation::model::{Model, NONE};
use crate::simulation::wire::Scan;
use crate::simulation::{Class, Verdict, Violation, ensure, small};

/// What a snapshot has.
struct Picture {
    hash: u64,
    /// By device: the place of its fix among the accepted ones; [`NONE`] for a fallback.
    entries: Vec<(u32, u32)>,
    /// By device: it has an entry.
    is_shown: Vec<bool>,
}

impl Watch {
    /// Judges the entries, from `[` to the end of the message.
    pub(super) fn snapshot(&mut self, model: &Model, at: usize, text: &[u8]) -> Verdict {
        self.snapshot_count += 1;
        let picture = read(model, at, text)?;
        let topic = &mut self.topics[at];
        topic.seen.resize(model.events[at].seats.len(), 0);
        let event = &model.events[at];
        let floor = topic.version.max(event.settled_version);
        let versions = &event.versions[floor..];
        let same = |version: &&_| Some(picture.hash) == Some(hash_of(version));
        let oldest = versions.iter().find(same);
        let newest = versions.iter().rfind(same);
        let (least, most) = match (oldest, newest) {
            (Some(oldest), Some(newest)) => {
                topic.version =
                    floor + versions.iter().position(|v| v.hash == picture.hash).unwrap_or(0);
                (oldest.accepted_count, newest.accepted_count)
            }
            // Fixes and amendments of one flush travel one after the other, so that a picture
            // between them is one the owner never had. Each entry is still judged by itself.
            _ if versions.iter().skip(1).any(|version| version.is_amendment) => {
                let least = picture.entries.iter().filter(|(_, place)| *place != NONE);
                let least = least.map(|(_, place)| place + 1).max().unwrap_or(0);
                (least.max(versions[0].accepted_count), small(event.accepted.len()))
            }
            _ => {
                return Err(Violation::new(
                    Class::Lost,
                    &format!(
                        "event {at}: a snapshot of {} entries is none of {} pictures",
                        picture.entries.len(),
                        versions.len()
                    ),
                ));
            }
        };
        topic.take(model, at, &picture)?;
        topic.least = least;
        topic.next = (least, most);
        Ok(())
    }
}

impl Topic {
    /// Takes over what the snapshot says of each device.
    fn take(&mut self, model: &Model, at: usize, picture: &Picture) -> Verdict {
        let seats = &model.events[at].seats;
        for &(device, place) in &picture.entries {
            let seen = &mut self.seen[device as usize];
            let was_amended = seats[device as usize].amendment_count > 0;
            let is_newer = place != NONE && place + 1 >= *seen;
            ensure(is_newer || was_amended, Class::Backward, || {
                format!("event {at} device {device}: a snapshot with {place} after {seen} less 1")
            })?;
            if is_newer {
                *seen = place + 1;
            }
        }
        for (device, (seat, &seen)) in seats.iter().zip(&self.seen).enumerate() {
            let is_missing = seen > 0 && !picture.is_shown[device] && seat.amendment_count == 0;
            ensure(!is_missing, Class::Lost, || {
                format!("event {at}: device {device} has vanished")
            })?;
        }
        Ok(())
    }
}

fn hash_of(version: &crate::simulation::model::Version) -> u64 {
    version.hash
}

fn read(model: &Model, at: usize, text: &[u8]) -> Result<Picture, Violation> {
    let malformed = || Violation::new(Class::Wire, "a snapshot that is no list of entries");
    let mut scan = Scan::new(text);
    if !scan.eat(b"[") {
        return Err(malformed());
    }
    let is_shown = vec![false; model.events[at].seats.len()];
    let mut picture = Picture { hash: 0, entries: Vec::new(), is_shown };
    if !scan.eat(b"]}") {
        loop {
            if !scan.eat(b"{") {
                return Err(malformed());
            }
            let entry = scan.rest();
            let length = scan.until(b'}').ok_or_else(malformed)?.len() + 1;
            let entry = &entry[..length];
            let (device, record, place) = find(model, at, entry)?;
            if std::mem::replace(&mut picture.is_shown[device as usize], true) {
                return Err(Violation::new(Class::Wire, "a device twice in one snapshot"));
            }
            picture.hash ^= model.key(record);
            picture.entries.push((device, place));
            scan.eat(b"}");
            if scan.eat(b"]}") {
                break;
            }
            if !scan.eat(b",") {
                return Err(malformed());
            }
        }
    }
    if scan.rest().is_empty() { Ok(picture) } else { Err(malformed()) }
}

/// Whose entry it is, which record, and its place among the accepted ones.
fn find(model: &Model, at: usize, entry: &[u8]) -> Result<(u32, u32, u32), Violation> {
    let event = &model.events[at];
    if let Some(device) = device_of(model, entry) {
        if let Some(place) = model.find_accepted(at, device, entry) {
            return Ok((device, event.accepted[place as usize].record, place));
        }
        let fallback = event.fallbacks.iter().find(|&&record| model.text(record) == entry);
        if let Some(&record) = fallback {
            return Ok((device, record, NONE));
        }
    }
    let text = String::from_utf8_lossy(entry);
    Err(Violation::new(Class::Foreign, &format!("event {at}: never shown: {text}")))
}
