//! The log: JSON lines on one stream, safe to read whatever strangers sent.
//!
//! Values are escaped and cut to [`VALUE_BYTES_MAX`] bytes, so nobody outside can forge a line or
//! fill the disk with one. Writing fails in silence: a full disk must not stop positions.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Longest value of a field that is written; the rest is cut, and the cut shown by `…`.
pub const VALUE_BYTES_MAX: usize = 512;

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever works on the program.
    Debug,
    /// What an operator reads afterwards.
    Info,
    /// Something is not as it should be, and the program copes.
    Warn,
    /// Somebody has to do something.
    Error,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Where lines go; clones write to the same place.
#[derive(Clone)]
pub struct Log {
    least: Level,
    instance_id: Arc<str>,
    sink: Arc<Mutex<dyn Write + Send>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Log").field("least", &self.least).finish_non_exhaustive()
    }
}

impl Log {
    /// Writes lines of at least this level to the standard error stream.
    #[must_use]
    pub fn to_standard_error(least: Level, instance_id: &str) -> Self {
        Self::to(least, instance_id, io::stderr())
    }

    /// Writes lines of at least this level to `sink`.
    #[must_use]
    pub fn to(least: Level, instance_id: &str, sink: impl Write + Send + 'static) -> Self {
        Self { least, instance_id: instance_id.into(), sink: Arc::new(Mutex::new(sink)) }
    }

    /// Writes one line.
    pub fn write(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        if level < self.least {
            return;
        }
        let mut line = String::with_capacity(256);
        line.push_str("{\"time\":\"");
        push_time(&mut line, crate::clock::wall_ms());
        line.push_str("\",\"level\":\"");
        line.push_str(level.word());
        line.push_str("\",\"service\":\"pitwall\"");
        push_field(&mut line, "instance_id", &self.instance_id);
        push_field(&mut line, "msg", message);
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            push_field(&mut line, name, value);
        }
        line.push_str("}\n");
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is left to tell.
        drop(sink.write_all(line.as_bytes()));
    }

    /// See [`Level::Debug`].
    pub fn debug(&self, message: &str, fields: &[(&str, &str)]) {
        self.write(Level::Debug, message, fields);
    }

    /// See [`Level::Info`].
    pub fn info(&self, message: &str, fields: &[(&str, &str)]) {
        self.write(Level::Info, message, fields);
    }

    /// See [`Level::Warn`].
    pub fn warn(&self, message: &str, fields: &[(&str, &str)]) {
        self.write(Level::Warn, message, fields);
    }

    /// See [`Level::Error`].
    pub fn error(&self, message: &str, fields: &[(&str, &str)]) {
        self.write(Level::Error, message, fields);
    }
}

fn push_field(line: &mut String, name: &str, value: &str) {
    line.push_str(",\"");
    line.push_str(name);
    line.push_str("\":\"");
    push_escaped(line, value);
    line.push('"');
}

/// Appends `value` as the inside of a JSON string, cut where it is too long.
pub fn push_escaped(text: &mut String, value: &str) {
    use std::fmt::Write as _;
    let end = value.floor_char_boundary(VALUE_BYTES_MAX);
    for character in value[..end].chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            // C1 controls steer some terminals too.
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                write!(text, "\\u{:04x}", u32::from(character)).expect("text grows");
            }
            character => text.push(character),
        }
    }
    if end < value.len() {
        text.push('…');
    }
}

/// Appends epoch milliseconds as ISO 8601 in UTC.
pub fn push_time(text: &mut String, epoch_ms: i64) {
    use std::fmt::Write as _;
    let (days, ms) = (epoch_ms.div_euclid(86_400_000), epoch_ms.rem_euclid(86_400_000));
    // Days since 0000-03-01, so that the leap day is the last of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    let ms = ms % 1_000;
    write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
        .expect("text grows");
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::{Level, Log, VALUE_BYTES_MAX, push_escaped, push_time};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_the_five_fields_and_its_own() {
        let page = Page::default();
        let log = Log::to(Level::Info, "processor-1", page.clone());
        log.debug("too small", &[]);
        log.warn("it broke", &[("what", "a \"pipe\"\r\n"), ("empty", "")]);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let rest = text.split_once("Z\",").unwrap().1;
        let expected = "\"level\":\"warn\",\"service\":\"pitwall\",\"instance_id\":\"processor-1\",\
                        \"msg\":\"it broke\",\"what\":\"a \\\"pipe\\\"\\u000d\\u000a\"}\n";
        assert_eq!(rest, expected);
    }

    #[test]
    fn t5_what_strangers_send_forges_no_line_and_is_cut() {
        let mut text = String::new();
        push_escaped(&mut text, &"\x1b[31m\u{9b}\u{2028}é".repeat(1000));
        assert!(text.chars().all(|c| !c.is_control() && c != '\u{2028}'), "{text}");
        assert!(text.ends_with('…') && text.len() < VALUE_BYTES_MAX * 6 + 4);
    }

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        for (epoch_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_780_733_730_123, "2026-06-06T08:15:30.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            let mut text = String::new();
            push_time(&mut text, epoch_ms);
            assert_eq!(text, expected);
        }
    }
}
