//! From the text of a roster to what it says: every table and value judged where it stands.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

use engine::id::EventId;
use engine::limits::{DEVICES_MAX, EVENTS_MAX};
use engine::teltonika::Imei;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::Mistakes;
use super::{Device, Event, RosterFile, course};

/// Longest name of anything: it stands in a list on a phone.
const NAME_BYTES_MAX: usize = 100;

/// The namespace in which events get their uuid by name: that of no other program.
const NAMESPACE: [u8; 16] = *b"pitwall event ns";

/// One table of the file.
type Table<'t> = &'t DeTable<'t>;

/// Reads a roster; files it names lie in `directory`.
pub(super) fn read(text: &str, directory: &Path) -> Result<RosterFile, Mistakes> {
    let mut reader = Reader { text, directory, mistakes: Mistakes::default() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let words = format!("this is not TOML: {}.", error.message().trim_end_matches('.'));
        reader.mistakes.add(text, &error.span().unwrap_or_default(), words);
    }
    // What could not be parsed is only in part there: nothing sensible can be said about the rest.
    std::mem::take(&mut reader.mistakes).into_result()?;
    let file = reader.file(document.get_ref());
    reader.mistakes.into_result()?;
    Ok(file)
}

struct Reader<'a> {
    text: &'a str,
    directory: &'a Path,
    mistakes: Mistakes,
}

impl Reader<'_> {
    fn mistake(&mut self, span: &Range<usize>, words: impl Into<String>) {
        self.mistakes.add(self.text, span, words);
    }

    fn file(&mut self, document: Table<'_>) -> RosterFile {
        self.only(document, &["event", "device"], "a roster");
        let mut file = RosterFile::default();
        let (mut places, mut ids) = (HashMap::new(), HashSet::new());
        for (span, table) in self.tables(document, "event", EVENTS_MAX) {
            let Some(event) = self.event(&span, table) else { continue };
            let is_known = !ids.insert(event.id)
                || places.insert(event.name.clone(), file.events.len()).is_some();
            if is_known {
                self.mistake(&span, "an event of this name or uuid stands above already.");
            }
            file.events.push(event);
        }
        for (span, table) in self.tables(document, "device", DEVICES_MAX) {
            let Some(device) = self.device(&span, table, &places) else { continue };
            if !file.add(device) {
                self.mistake(&span, "a device with this imei stands above already.");
            }
        }
        file
    }

    fn event(&mut self, span: &Range<usize>, table: Table<'_>) -> Option<Event> {
        let known = ["name", "uuid", "organization", "devices", "course"];
        self.only(table, &known, "an event");
        let name = self.name(table, "name");
        if !table.contains_key("name") {
            self.mistake(span, "this event has no name: add name = \"…\".");
        }
        let id = match self.string(table, "uuid") {
            None => name.as_deref().map(id_of_name),
            Some((span, text)) => {
                let id = EventId::parse(text.to_ascii_lowercase().as_bytes());
                if id.is_none() {
                    let words = "uuid is none: write 36 characters such as \
                                 \"1f0c5b9a-6d3e-4c8a-9f3e-2b7d1a4e8c55\", or leave it out.";
                    self.mistake(&span, words);
                }
                id
            }
        };
        let takes_any = match self.string(table, "devices") {
            Some((_, "any")) => true,
            Some((span, _)) => {
                let words = "devices can only be \"any\": name single devices by [[device]] tables \
                             with events = [\"…\"].";
                self.mistake(&span, words);
                false
            }
            None => false,
        };
        let course = self.string(table, "course").and_then(|(span, name)| {
            let read = course::read(self.directory, name);
            read.map_err(|words| self.mistake(&span, format!("course {words}"))).ok()
        });
        let (course_file, course) = course.unzip();
        let organization = self.name(table, "organization");
        let devices = Vec::new();
        Some(Event { id: id?, name: name?, organization, takes_any, course, course_file, devices })
    }

    fn device(
        &mut self,
        span: &Range<usize>,
        table: Table<'_>,
        places: &HashMap<String, usize>,
    ) -> Option<Device> {
        self.only(table, &["imei", "name", "number", "events"], "a device");
        let imei = self.string(table, "imei");
        if !table.contains_key("imei") {
            self.mistake(span, "this device has no imei: add imei = \"…\" with its 15 digits.");
        }
        let imei = imei.and_then(|(span, text)| {
            let is_imei = Imei::parse(text.as_bytes()).is_ok();
            if !is_imei {
                self.mistake(&span, "imei is none: write 15 digits, or 16 with the version.");
            }
            is_imei.then(|| text.into())
        });
        let number = self.number(table);
        let name = self.name(table, "name");
        let mut events: Vec<usize> = Vec::new();
        for (span, text) in self.strings(table, "events") {
            match places.get(text) {
                Some(place) if events.contains(place) => {
                    self.mistake(&span, "this event is named twice.");
                }
                Some(place) => events.push(*place),
                None => {
                    let words =
                        format!("there is no event \"{text}\": write the name of one above.");
                    self.mistake(&span, words);
                }
            }
        }
        Some(Device { imei: imei?, name, number, events })
    }

    /// Every key is one that is known: a slip must not be without effect in silence.
    fn only(&mut self, table: Table<'_>, known: &[&str], of: &str) {
        for key in table.keys() {
            let name = key.get_ref();
            if !known.contains(&&**name) {
                let words = format!("{of} has no \"{name}\", only {}.", known.join(", "));
                self.mistake(&key.span(), words);
            }
        }
    }

    /// The tables of `[[name]]`, with where each begins.
    fn tables<'t>(
        &mut self,
        document: &'t DeTable<'t>,
        name: &str,
        count_max: usize,
    ) -> Vec<(Range<usize>, &'t DeTable<'t>)> {
        let Some(value) = document.get(name) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.mistake(&value.span(), format!("write [[{name}]], with two brackets."));
            return Vec::new();
        };
        if array.len() > count_max {
            self.mistake(&value.span(), format!("there are more than {count_max} of them."));
        }
        let mut tables = Vec::new();
        for value in array.iter() {
            match value.get_ref().as_table() {
                Some(table) => tables.push((value.span(), table)),
                None => self.mistake(&value.span(), format!("this is no [[{name}]] table.")),
            }
        }
        tables
    }

    fn string<'t>(&mut self, table: &'t DeTable<'t>, key: &str) -> Option<(Range<usize>, &'t str)> {
        let value = table.get(key)?;
        let text = self.text(key, value)?;
        Some((value.span(), text))
    }

    fn text<'t>(&mut self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Option<&'t str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.mistake(&value.span(), format!("{key} must be text, in quotes."));
        }
        text
    }

    fn strings<'t>(&mut self, table: &'t DeTable<'t>, key: &str) -> Vec<(Range<usize>, &'t str)> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.mistake(&value.span(), format!("{key} must be a list, such as [\"race\"]."));
            return Vec::new();
        };
        array.iter().filter_map(|it| Some((it.span(), self.text(key, it)?))).collect()
    }

    /// A text that people read.
    fn name(&mut self, table: Table<'_>, key: &str) -> Option<String> {
        let (span, text) = self.string(table, key)?;
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len())
            && text.trim() == text
            && !text.chars().any(char::is_control);
        if !fits {
            let words = format!(
                "{key} must be 1 to {NAME_BYTES_MAX} bytes of visible text, without blanks at its ends."
            );
            self.mistake(&span, words);
        }
        fits.then(|| text.to_owned())
    }

    /// A start number, which people write with and without quotes.
    fn number(&mut self, table: Table<'_>) -> Option<String> {
        let value = table.get("number")?;
        match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            _ => self.name(table, "number"),
        }
    }
}

/// A uuid of version 5: the same name is the same event, on every machine and after every restart.
fn id_of_name(name: &str) -> EventId {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(&NAMESPACE);
    hash.update(name.as_bytes());
    let digest = hash.digest().bytes();
    let mut bytes = *digest.first_chunk::<16>().expect("a digest has 20 bytes");
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    EventId(u128::from_be_bytes(bytes))
}
