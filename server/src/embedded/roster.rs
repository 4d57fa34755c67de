//! The roster file: which events there are, which devices drive in them, and how they are called.
//!
//! It is read as a whole or not at all. Every mistake is named with its line and column.

mod course;
mod mistake;
mod read;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::id::EventId;

pub(super) use mistake::Mistakes;

/// The file within the folder.
pub(crate) const FILE: &str = "roster.toml";

/// What is written when there is no roster: one event that takes every device in.
const EXAMPLE: &str = include_str!("roster/example.toml");

/// Longest roster: 20,000 devices at 100 bytes each.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RosterFile {
    /// In the order of the file.
    pub(crate) events: Vec<Event>,
    /// In the order of the file.
    pub(crate) devices: Vec<Device>,
    /// Where each stands among them.
    place_by_imei: HashMap<Arc<str>, usize>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// As given, or made from the name.
    pub(crate) id: EventId,
    /// As given.
    pub(crate) name: String,
    /// Who holds it, if that is said.
    pub(crate) organization: Option<String>,
    /// True when every device drives in it that sends.
    pub(crate) takes_any: bool,
    /// A FeatureCollection, as text.
    pub(crate) course: Option<Arc<str>>,
    /// The file that it came from.
    pub(crate) course_file: Option<PathBuf>,
    /// The devices that are named for it: places in [`RosterFile::devices`].
    pub(crate) devices: Vec<usize>,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// As it introduces itself.
    pub(crate) imei: Arc<str>,
    /// Who or what carries it.
    pub(crate) name: Option<String>,
    /// The start number.
    pub(crate) number: Option<String>,
    /// The events it is registered to: places in [`RosterFile::events`].
    pub(crate) events: Vec<usize>,
}

impl RosterFile {
    /// Reads the file of a folder.
    pub(crate) fn read(directory: &Path) -> Result<Self, Mistakes> {
        let path = directory.join(FILE);
        let cannot = |error: &io::Error| Mistakes::of_file(format!("it cannot be read: {error}."));
        let text = text_of(&path, FILE_BYTES_MAX).map_err(|error| cannot(&error))?;
        read::read(&text, directory)
    }

    /// The event of this name or uuid.
    pub(crate) fn event(&self, name_or_id: &str) -> Option<&Event> {
        let id = EventId::parse(name_or_id.to_ascii_lowercase().as_bytes());
        self.events.iter().find(|event| Some(event.id) == id || event.name == name_or_id)
    }

    /// What is said about a device.
    pub(crate) fn device(&self, imei: &str) -> Option<&Device> {
        self.place_by_imei.get(imei).map(|&place| &self.devices[place])
    }

    /// Adds one; false when one with this IMEI is there.
    fn add(&mut self, device: Device) -> bool {
        let place = self.devices.len();
        if self.place_by_imei.contains_key(&device.imei) {
            return false;
        }
        self.place_by_imei.insert(device.imei.clone(), place);
        for &event in &device.events {
            self.events[event].devices.push(place);
        }
        self.devices.push(device);
        true
    }

    /// The devices of an event that the file names, in its order.
    pub(crate) fn devices_of<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a Device> {
        event.devices.iter().map(|&place| &self.devices[place])
    }

    /// True when the file names the device for the event, which has this place.
    pub(crate) fn names(&self, imei: &str, event: usize) -> bool {
        self.device(imei).is_some_and(|device| device.events.contains(&event))
    }
}

/// Writes the example where there is no roster; true when it did.
///
/// # Errors
/// When the folder cannot be written to.
pub(super) fn write_example(directory: &Path) -> io::Result<bool> {
    let file = fs::OpenOptions::new().write(true).create_new(true).open(directory.join(FILE));
    match file {
        Ok(mut file) => io::Write::write_all(&mut file, EXAMPLE.as_bytes()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// The text of a file, which must not be longer than this.
fn text_of(path: &Path, bytes_max: u64) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    // Opening a pipe would wait for somebody to write.
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = String::new();
    fs::File::open(path)?.take(bytes_max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it is longer than {bytes_max} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
pub(super) mod tests;
