//! Tracks out of the folder of the embedded mode.

use std::path::Path;

use super::{DEVICES_MAX, Driver, Fix, Found, STRETCH_MAX, Trouble, Wanted};
use crate::embedded::history::History;
use crate::embedded::roster::RosterFile;

/// The store and the roster of a folder.
pub(super) struct Source {
    history: History,
    roster: RosterFile,
}

impl Source {
    /// Opens both.
    pub(super) fn open(directory: &Path) -> Result<Self, Trouble> {
        let shown = directory.display();
        let roster = RosterFile::read(directory).map_err(|mistakes| {
            let words = "Let EMBEDDED_DIR name the folder of a pitwall, or put the roster right.";
            Trouble::Undone(format!("The roster in {shown} cannot be read. {mistakes} {words}"))
        })?;
        let history = History::open(directory).map_err(|error| {
            let words = "Let EMBEDDED_DIR name a folder that pitwall has run in.";
            Trouble::Undone(format!("The store in {shown} cannot be read: {error}. {words}"))
        })?;
        Ok(Self { history, roster })
    }

    pub(super) fn find(&self, wanted: &Wanted<'_>) -> Result<Found, Trouble> {
        let driver = |imei: &str| {
            let device = self.roster.device(imei);
            let name = device.and_then(|device| device.name.clone());
            let number = device.and_then(|device| device.number.clone());
            Driver { imei: imei.to_owned(), name, number }
        };
        let Some(name) = wanted.event else {
            let imei = wanted.device.expect("clap asks for an event or a device");
            return Ok(Found { title: imei.to_owned(), drivers: vec![driver(imei)] });
        };
        let Some(event) = self.roster.event(name) else {
            let names: Vec<&str> = self.roster.events.iter().map(|it| it.name.as_str()).collect();
            let names = names.join(", ");
            let words = format!("The roster has no event {name}. Its events are: {names}.");
            return Err(Trouble::Undone(words));
        };
        let named = self.roster.devices_of(event).map(|device| device.imei.to_string());
        let mut imeis: Vec<String> = named.collect();
        if event.takes_any {
            let seen = self.history.devices(DEVICES_MAX).map_err(|error| unread(&error))?;
            imeis.extend(seen.into_iter().map(String::from));
        }
        imeis.sort_unstable();
        imeis.dedup();
        imeis.retain(|imei| wanted.device.is_none_or(|device| device == imei));
        if let (true, Some(device)) = (imeis.is_empty(), wanted.device) {
            let words = format!("Device {device} is not registered to event {name}.");
            return Err(Trouble::Undone(words));
        }
        let drivers = imeis.iter().map(|imei| driver(imei)).collect();
        Ok(Found { title: event.name.clone(), drivers })
    }

    pub(super) fn track(&self, imei: &str, after_us: i64, to_us: i64) -> Result<Vec<Fix>, Trouble> {
        // Of whole milliseconds, those behind a moment begin with the next one.
        let range = (after_us.div_euclid(1_000), (to_us + 999).div_euclid(1_000));
        let track = self.history.track(imei, range, STRETCH_MAX).map_err(|error| unread(&error))?;
        let fixes = track.into_iter().map(|(position, attributes)| Fix {
            time_us: position.timestamp_ms * 1_000,
            latitude: position.latitude,
            longitude: position.longitude,
            altitude: position.altitude,
            angle: position.angle,
            speed: position.speed,
            satellites: position.satellites.into(),
            priority: position.priority.into(),
            codec: position.codec.text().to_owned(),
            attributes,
        });
        Ok(fixes.collect())
    }
}

fn unread(error: &rusqlite::Error) -> Trouble {
    Trouble::Undone(format!("The store cannot be read: {error}. Look at its disk."))
}
