//! The log: JSON lines on one stream, safe to read whatever strangers sent.
//!
//! Values are escaped and cut to [`VALUE_BYTES_MAX`] bytes, so nobody outside can forge a line or
//! fill the disk with one. Who logs never waits: lines that find no room are counted, and a full disk
//! is not told to anybody.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::metrics::Counter;

/// Longest value of a field that is written; the rest is cut, and the cut shown by `…`.
pub const VALUE_BYTES_MAX: usize = 512;

/// Lines that may wait for whoever reads the log: 300 KB of usual ones. What finds no room is counted
/// and told as soon as there is some.
const LINES_WAITING_MAX: usize = 1_024;

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
#[derive(Clone, Debug)]
pub struct Log {
    least: Level,
    instance_id: Arc<str>,
    lines: Sender<Line>,
    lost: Arc<Counter>,
}

/// What the thread that writes is given.
#[derive(Debug)]
enum Line {
    Text(String),
    /// Everything before it is written; whoever waits is told.
    Mark(Sender<()>),
}

impl Log {
    /// Writes lines of at least this level to the standard error stream.
    #[must_use]
    pub fn to_standard_error(least: Level, instance_id: &str) -> Self {
        Self::to(least, instance_id, io::stderr())
    }

    /// Writes lines of at least this level to `sink`, on a thread of its own: who logs never waits for
    /// whoever reads the log.
    ///
    /// # Panics
    /// When there is no thread to be had, which is before anything works.
    #[must_use]
    pub fn to(least: Level, instance_id: &str, sink: impl Write + Send + 'static) -> Self {
        let (lines, waiting) = bounded(LINES_WAITING_MAX);
        let lost = Arc::new(Counter::default());
        let log = Self { least, instance_id: instance_id.into(), lines, lost };
        let (writer, lost) = (log.instance_id.clone(), log.lost.clone());
        let write = move || write_all(&waiting, sink, &writer, &lost);
        thread::Builder::new().name("log".to_owned()).spawn(write).expect("a thread for the log");
        log
    }

    /// Waits until everything that was logged before is written, but no longer than this.
    pub fn flush(&self, within: Duration) {
        let (told, written) = bounded(1);
        let deadline = Instant::now() + within;
        if self.lines.send_deadline(Line::Mark(told), deadline).is_ok() {
            // If whoever reads the log does not, the rest is lost.
            written.recv_deadline(deadline).ok();
        }
    }

    /// Writes one line.
    pub fn write(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        if level < self.least {
            return;
        }
        let line = Line::Text(line_of(level, &self.instance_id, message, fields));
        if self.lines.try_send(line).is_err() {
            self.lost.increment();
        }
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

/// Writes until the last log is gone; in between it tells how many lines found no room.
fn write_all(waiting: &Receiver<Line>, mut sink: impl Write, instance_id: &str, lost: &Counter) {
    let mut told = 0;
    while let Ok(line) = waiting.recv() {
        let lost = lost.value();
        if lost > told {
            let count = (lost - told).to_string();
            told = lost;
            let words = "lines of this log are lost: whoever reads it is too slow";
            let text = line_of(Level::Warn, instance_id, words, &[("lines", &count)]);
            // A full disk must not stop positions, and nobody is left to tell.
            drop(sink.write_all(text.as_bytes()));
        }
        match line {
            Line::Text(text) => drop(sink.write_all(text.as_bytes())),
            Line::Mark(told) => drop(told.try_send(())),
        }
    }
}

fn line_of(level: Level, instance_id: &str, message: &str, fields: &[(&str, &str)]) -> String {
    let mut line = String::with_capacity(256);
    line.push_str("{\"time\":\"");
    push_time(&mut line, crate::clock::wall_ms());
    line.push_str("\",\"level\":\"");
    line.push_str(level.word());
    line.push_str("\",\"service\":\"pitwall\"");
    push_field(&mut line, "instance_id", instance_id);
    push_field(&mut line, "msg", message);
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        push_field(&mut line, name, value);
    }
    line.push_str("}\n");
    line
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
    let end = value.floor_char_boundary(VALUE_BYTES_MAX);
    push_escaped_whole(text, &value[..end]);
    if end < value.len() {
        text.push('…');
    }
}

/// Appends `value` as the inside of a JSON string, however long it is.
pub fn push_escaped_whole(text: &mut String, value: &str) {
    use std::fmt::Write as _;
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            // C1 controls steer some terminals too.
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                write!(text, "\\u{:04x}", u32::from(character)).expect("text grows");
            }
            character => text.push(character),
        }
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
    use std::sync::mpsc::{Receiver, channel};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::{LINES_WAITING_MAX, Level, Log, VALUE_BYTES_MAX, push_escaped, push_time};

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
        log.flush(Duration::from_secs(10));
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let rest = text.split_once("Z\",").unwrap().1;
        let expected = "\"level\":\"warn\",\"service\":\"pitwall\",\"instance_id\":\"processor-1\",\
                        \"msg\":\"it broke\",\"what\":\"a \\\"pipe\\\"\\u000d\\u000a\"}\n";
        assert_eq!(rest, expected);
    }

    /// A reader of the log that has stopped reading until it is told to go on.
    struct Stuck(Receiver<()>, Page);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // An error is the sign to go on for good.
            self.0.recv().ok();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn f83_who_logs_never_waits_and_what_is_lost_is_told() {
        let page = Page::default();
        let (go_on, stuck) = channel();
        let log = Log::to(Level::Info, "processor-1", Stuck(stuck, page.clone()));
        let lines = LINES_WAITING_MAX + 100;
        for _ in 0..lines {
            log.info("a line", &[]);
        }
        log.flush(Duration::ZERO);
        drop(go_on);
        log.flush(Duration::from_secs(10));
        log.info("after", &[]);
        log.flush(Duration::from_secs(10));
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let written = text.lines().filter(|line| line.contains("\"a line\"")).count();
        let lost: usize = text
            .lines()
            .filter_map(|line| {
                line.split_once("\"lines\":\"")?.1.split('"').next()?.parse::<usize>().ok()
            })
            .sum();
        assert_eq!(written + lost, lines, "{lost} of {lines} are told to be lost");
        assert!(lost > 0);
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
