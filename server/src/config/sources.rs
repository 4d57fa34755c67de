//! Where settings come from: flags before the environment, that before a file, that before defaults.
//!
//! A setting is taken from the first place that has it. Here it is still text; what is wrong with
//! how it was given is found here, what is wrong with its value later.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::file::{self, Line};
use super::settings::{self, Setting};
use crate::secret::Secret;

/// The variable that names a file with settings.
pub const FILE_VARIABLE: &str = "PITWALL_CONFIG";

/// Prefixes of our variables: one that begins so and is not a setting is probably a slip.
const PREFIXES: [&str; 5] = ["LIVE_", "DIRECTUS_", "WRITE_", "EMBEDDED_", "PITWALL_"];

/// What is said of a secret on the command line.
const SECRET_IN_SIGHT: &str = "is given by a flag, which every user of this machine can see: give \
                               it by the environment or in a file.";

/// What a process was given, before anything was looked at. Any of it may be a secret.
#[derive(Default)]
pub struct Sources {
    /// Flags, by the variable they stand for.
    pub flags: Vec<(String, OsString)>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The file of `--config`.
    pub file: Option<PathBuf>,
}

/// Where the value of a setting was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag,
    /// The environment.
    Environment,
    /// A line of the file with settings.
    File(usize),
    /// The file that this variable names.
    SecretFile(String),
    /// Nobody set it.
    Default,
}

/// A setting and the text it has.
#[derive(Clone, Debug)]
pub struct Value {
    /// Which setting.
    pub setting: &'static Setting,
    /// Its text, which may hold a secret whatever the setting; empty when it is unset.
    pub text: Secret,
    /// Where that comes from.
    pub origin: Origin,
    /// What holds when nobody sets it, with the other settings as they are.
    pub default: &'static str,
}

/// A sentence about a setting, told without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The variable.
    pub name: String,
    /// The rest of the sentence.
    pub words: String,
}

/// All settings as text, and what was wrong or odd about how they were given.
#[derive(Debug, Default)]
pub struct Gathered {
    /// One for each setting, in the order of the table.
    pub values: Vec<Value>,
    /// What has to be put right before the program can start.
    pub mistakes: Vec<Remark>,
    /// What deserves a look.
    pub warnings: Vec<Remark>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Gathered {
    /// Adds a mistake.
    pub fn mistake(&mut self, name: &str, words: impl Into<String>) {
        self.mistakes.push(Remark { name: name.to_owned(), words: words.into() });
    }

    /// Adds a warning.
    pub fn warn(&mut self, name: &str, words: impl Into<String>) {
        self.warnings.push(Remark { name: name.to_owned(), words: words.into() });
    }
}

impl Sources {
    /// Finds the text of every setting.
    #[must_use]
    pub fn gather(&self) -> Gathered {
        let mut gathered = Gathered::default();
        let text = self.file_text(&mut gathered);
        let lines = file_lines(text.expose(), &mut gathered);
        let places = Places { sources: self, lines };
        gathered.values =
            settings::all().map(|setting| places.value(setting, &mut gathered)).collect();
        apply_embedded_defaults(&mut gathered.values);
        self.warn_of_unknown(&mut gathered);
        gathered
    }

    /// The text of the file with settings; empty when there is none.
    fn file_text(&self, gathered: &mut Gathered) -> Secret {
        let variable = find(&self.environment, FILE_VARIABLE).filter(|path| !path.is_empty());
        let (path, name) = match (&self.file, variable) {
            (Some(path), _) => (path.as_path(), "--config"),
            (None, Some(path)) => (Path::new(path), FILE_VARIABLE),
            (None, None) => return Secret::new(""),
        };
        match file::read(path, file::SETTINGS_BYTES_MAX) {
            Ok(contents) => {
                let has_secret = |line: &Line<'_>| is_secret(line.name) && !line.value.is_empty();
                let lines = file::lines(contents.text.expose()).unwrap_or_default();
                if contents.is_world_readable && lines.iter().any(has_secret) {
                    gathered.warn(
                        name,
                        "names a file that holds a secret and that every user of this machine may \
                         read: take their permission away with chmod o=.",
                    );
                }
                contents.text
            }
            Err(words) => {
                gathered.mistake(name, words);
                Secret::new("")
            }
        }
    }

    fn warn_of_unknown(&self, gathered: &mut Gathered) {
        let names = self.environment.iter().filter_map(|(name, _)| name.to_str());
        for name in names.filter(|name| !is_known(name)) {
            if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
                gathered.warn(name, unknown(name));
            }
        }
    }
}

/// All places at once.
struct Places<'a> {
    sources: &'a Sources,
    lines: Vec<Line<'a>>,
}

impl Places<'_> {
    fn value(&self, setting: &'static Setting, gathered: &mut Gathered) -> Value {
        let file = setting.file_variable();
        let path = file.as_deref().and_then(|variable| self.text(variable, gathered));
        let path = path.filter(|(path, _)| !path.is_empty());
        // An empty variable is what a compose file passes on when nobody set it.
        let is_given = |text: &str| path.is_none() || !text.is_empty();
        let inline = self.text(setting.name, gathered).filter(|(text, _)| is_given(text));
        let (text, origin) = match (inline, path, file) {
            (Some(_), Some(_), Some(variable)) => {
                gathered.mistake(
                    setting.name,
                    format!("is given twice, by itself and by {variable}: remove one of them."),
                );
                (String::new(), Origin::Default)
            }
            (None, Some((path, _)), Some(variable)) => {
                (secret(&path, &variable, gathered), Origin::SecretFile(variable))
            }
            (Some((text, origin)), _, _) => {
                if setting.kind.is_secret() && origin == Origin::Flag {
                    gathered.warn(setting.name, SECRET_IN_SIGHT);
                }
                (text, origin)
            }
            (None, ..) => (setting.default.to_owned(), Origin::Default),
        };
        Value { setting, text: Secret::new(text), origin, default: setting.default }
    }

    /// The text of a variable in the first place that has it.
    fn text(&self, name: &str, gathered: &mut Gathered) -> Option<(String, Origin)> {
        let flags = &self.sources.flags;
        let flag = flags.iter().find(|(flag, _)| flag == name).map(|(_, text)| text.as_os_str());
        let set = flag.map(|text| (text, Origin::Flag)).or_else(|| {
            find(&self.sources.environment, name).map(|text| (text, Origin::Environment))
        });
        if let Some((text, origin)) = set {
            if let Some(text) = text.to_str() {
                return Some((text.to_owned(), origin));
            }
            gathered.mistake(name, "is not UTF-8 text.");
            return None;
        }
        let line = self.lines.iter().find(|line| line.name == name)?;
        Some((line.value.to_owned(), Origin::File(line.number)))
    }
}

/// In the embedded mode some settings have another default.
fn apply_embedded_defaults(values: &mut [Value]) {
    let directory = values.iter().find(|value| value.setting.name == "EMBEDDED_DIR");
    if directory.is_none_or(|directory| directory.text.expose().is_empty()) {
        return;
    }
    for (name, default) in settings::EMBEDDED_DEFAULTS {
        let value = values.iter_mut().find(|value| value.setting.name == name);
        let value = value.expect("the table of defaults names settings");
        value.default = default;
        if value.origin == Origin::Default {
            value.text = Secret::new(default);
        }
    }
}

/// The lines of the file with settings, each name once.
fn file_lines<'a>(text: &'a str, gathered: &mut Gathered) -> Vec<Line<'a>> {
    let lines = match file::lines(text) {
        Ok(lines) => lines,
        Err(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            let words =
                format!("names a file with lines that are not NAME=VALUE: {}.", numbers.join(", "));
            gathered.mistake(FILE_VARIABLE, words);
            return Vec::new();
        }
    };
    for (index, line) in lines.iter().enumerate() {
        if lines[..index].iter().any(|earlier| earlier.name == line.name) {
            gathered.mistake(line.name, "is set twice in the file with settings: remove one line.");
        } else if !is_known(line.name) {
            gathered.warn(line.name, unknown(line.name));
        }
    }
    lines
}

/// What the file at `path` holds, without the line break that editors put at the end.
fn secret(path: &str, variable: &str, gathered: &mut Gathered) -> String {
    match file::read(Path::new(path), file::SECRET_BYTES_MAX) {
        Ok(contents) => {
            if contents.is_world_readable {
                gathered.warn(
                    variable,
                    "names a file that every user of this machine may read: take their permission \
                     away with chmod o=.",
                );
            }
            contents.text.expose().trim_end_matches(['\n', '\r']).to_owned()
        }
        Err(words) => {
            gathered.mistake(variable, words);
            String::new()
        }
    }
}

fn find<'a>(environment: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    environment.iter().find(|(variable, _)| variable == name).map(|(_, text)| text.as_os_str())
}

fn is_known(name: &str) -> bool {
    let secret = name.strip_suffix("_FILE").filter(|name| is_secret(name));
    name == FILE_VARIABLE || secret.is_some() || settings::named(name).is_some()
}

fn is_secret(name: &str) -> bool {
    settings::named(name).is_some_and(|setting| setting.kind.is_secret())
}

fn unknown(name: &str) -> String {
    let is_short = |_: &&Setting| name.len() <= 64;
    let near = settings::all().filter(is_short);
    match near.map(|setting| (distance(name, setting.name), setting.name)).min() {
        Some((1..=3, nearest)) => {
            format!("is not a setting of this version, and without effect: is {nearest} meant?")
        }
        _ => "is not a setting of this version, and without effect: remove it.".to_owned(),
    }
}

/// How many letters have to be put in, taken out or changed to make one of the other.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.bytes().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for (at, other) in right.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != other);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn a_slip_is_near_to_what_was_meant() {
        for (left, right, expected) in
            [("", "abc", 3), ("LIVE_WS_PORT", "LIVE_WS_PORT", 0), ("LIVE_PORT", "LIVE_WS_PORT", 3)]
        {
            assert_eq!(distance(left, right), expected);
            assert_eq!(distance(right, left), expected);
        }
    }
}
