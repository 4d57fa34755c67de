//! Files that hold settings: one with `NAME=VALUE` lines, and those that hold a single secret.
//!
//! What they hold is never repeated, and neither is their path, which is a setting's value.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::secret::Secret;

/// Longest file with settings: each of them set and explained takes a tenth of it.
pub const SETTINGS_BYTES_MAX: u64 = 64 * 1024;

/// Longest file with a secret: an address at its longest, and then some.
pub const SECRET_BYTES_MAX: u64 = 16 * 1024;

/// What a file held.
#[derive(Debug)]
pub struct Contents {
    /// The text.
    pub text: Secret,
    /// True when every user of the machine may read it.
    pub is_world_readable: bool,
}

/// One line of a file with settings.
#[derive(PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: usize,
    /// What stands before the `=`.
    pub name: &'a str,
    /// What stands behind it, without quotes around it.
    pub value: &'a str,
}

impl fmt::Debug for Line<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}=…", self.number, self.name)
    }
}

/// Reads a whole file, or says what is wrong with it as the end of a sentence about the setting that
/// names it.
pub fn read(path: &Path, bytes_max: u64) -> Result<Contents, String> {
    let cannot = |error: io::Error| format!("names a file that cannot be read: {error}.");
    let metadata = fs::metadata(path).map_err(cannot)?;
    // Opening a pipe would wait for somebody to write.
    if !metadata.is_file() {
        return Err("names something that is not a file, such as a folder.".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes))
        .map_err(cannot)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("names a file of more than {bytes_max} bytes."));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| "names a file that is not UTF-8 text.".to_owned())?;
    Ok(Contents { text: Secret::new(text), is_world_readable: metadata.mode() & 0o004 != 0 })
}

/// The lines of a file with settings that set something, or the numbers of those that are no such
/// line. The syntax is that of environment files: `#` begins a comment line, `export` is skipped,
/// quotes around a whole value are removed, and nothing is replaced or continued.
pub fn lines(text: &str) -> Result<Vec<Line<'_>>, Vec<usize>> {
    let mut lines = Vec::new();
    let mut wrong = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let parts = line.split_once('=');
        let set = parts.and_then(|(name, value)| Some((name_of(name)?, unquoted(value.trim())?)));
        match set {
            Some((name, value)) => lines.push(Line { number, name, value }),
            None => wrong.push(number),
        }
    }
    if wrong.is_empty() { Ok(lines) } else { Err(wrong) }
}

fn name_of(text: &str) -> Option<&str> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!text.is_empty() && text.bytes().all(is_name)).then_some(text)
}

/// The value without quotes around it; nothing when a quote is open.
fn unquoted(text: &str) -> Option<&str> {
    let Some(quote) = text.chars().next().filter(|first| ['"', '\''].contains(first)) else {
        return Some(text);
    };
    text[1..].strip_suffix(quote).filter(|inner| !inner.contains(quote))
}

#[cfg(test)]
mod tests {
    use super::{Line, lines};

    #[test]
    fn a_settings_file_is_read_as_environment_files_are() {
        let text = "# A comment\r\n\nA=1\r\n  export  B = two words \nC='x # y'\nD=\"\"\nE=a=b\nF=";
        let expected =
            [(3, "A", "1"), (5, "C", "x # y"), (6, "D", ""), (7, "E", "a=b"), (8, "F", "")]
                .map(|(number, name, value)| Line { number, name, value });
        assert_eq!(lines(text), Err(vec![4]), "a name with a space behind it");
        let text = text.replace("B = two", "B=two");
        let mut found = lines(&text).unwrap();
        assert_eq!(found.remove(1), Line { number: 4, name: "B", value: "two words" });
        assert_eq!(found, expected);
    }

    #[test]
    fn every_line_that_sets_nothing_is_told_by_its_number() {
        assert_eq!(lines("A\nB=1\n=2\nC=\"open\nD='a'b'"), Err(vec![1, 3, 4, 5]));
    }
}
