//! What a demo shows: the picture of a terminal, and the lines where there is none.

use std::time::Duration;

use super::acts::Acts;
use super::numbers::Meter;
use super::stage::Stage;

const BOLD: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const ALERT: &str = "\x1b[1;31m";
const OFF: &str = "\x1b[0m";

/// Columns before the sentences of the story.
const INDENT: usize = 9;

/// What is looked at for one picture.
pub(super) struct View<'a> {
    pub(super) stage: &'a Stage,
    pub(super) meter: &'a Meter,
    pub(super) acts: &'a Acts,
}

/// The first line where there is no terminal.
pub(super) fn greeting(stage: &Stage) -> String {
    let mut text = format!(
        "pitwall demo: {} cars race at {}  (Ctrl-C ends it and removes everything)",
        stage.car_count,
        stage.url()
    );
    if let Some(token) = &stage.token {
        text.push_str(&format!("\nThe page asks for this token: {token}"));
    }
    text
}

/// One line of numbers.
pub(super) fn line(stage: &Stage, meter: &Meter) -> String {
    let (now, cars) = (meter.now(), stage.cars());
    format!(
        "{:>5} s  {} cars  {:.0} positions/s  {:.0} viewers  {:.0} frames/s  {}  {} rows stored",
        stage.begun.elapsed().as_secs(),
        cars.connected,
        meter.positions(),
        now.viewers,
        meter.frames(),
        delay(stage),
        grouped(now.rows)
    )
}

impl View<'_> {
    /// The picture, a line each, for so many columns.
    pub(super) fn lines(&self, columns: usize) -> Vec<String> {
        let mut lines = self.head();
        lines.extend(self.numbers());
        lines.push(String::new());
        lines.extend(self.keys());
        lines.push(String::new());
        lines.extend(self.story(columns));
        lines
    }

    fn head(&self) -> Vec<String> {
        let seconds = self.stage.begun.elapsed().as_secs();
        let mut lines = vec![
            format!(
                "{BOLD}pitwall demo{OFF}   {FAINT}{:02}:{:02}{OFF}",
                seconds / 60,
                seconds % 60
            ),
            String::new(),
            format!("  Open     {BOLD}{}{OFF}   the live page", self.stage.url()),
        ];
        if let Some(token) = &self.stage.token {
            lines.push(format!("  Token    {BOLD}{token}{OFF}   the page asks for it"));
            let port = self.stage.page.port();
            let words = "from other machines, by the address of this one";
            lines.push(format!("           port {port} {words}"));
        }
        lines.push(String::new());
        lines
    }

    fn numbers(&self) -> Vec<String> {
        let (now, cars) = (self.meter.now(), self.stage.cars());
        let connected = format!("{} of {} connected", cars.connected, self.stage.car_count);
        let stored = format!("{} rows", grouped(now.rows));
        let store = match self.stage.store.paused_for() {
            Some(left) => format!(
                "{ALERT}stopped for {:.1} s{OFF}; cars keep {} records",
                left.as_secs_f64(),
                cars.kept
            ),
            None => format!("working; {} records answered", grouped(cars.answered)),
        };
        vec![
            row("Cars", &connected, &format!("{:.0} positions/s", self.meter.positions())),
            row("Viewers", &grouped(now.viewers), &self.frames()),
            row(
                "Delay",
                &delay(self.stage),
                "from the bytes of a car to a phone, both the demo's own",
            ),
            row("Store", &stored, &store),
        ]
    }

    fn frames(&self) -> String {
        let conflated = self.meter.conflated();
        let mut text = format!("{} frames/s", grouped(self.meter.frames()));
        if conflated >= 1.0 {
            text.push_str(&format!(
                "; {conflated:.0}/s left out for slow phones, never the newest"
            ));
        }
        text
    }

    fn keys(&self) -> Vec<String> {
        let crowd = self.stage.crowd.snapshot();
        let slow = if self.acts.slow {
            let age_ms = crowd.slow_freshness.p99_us / 1_000;
            format!("it watches; what it sees is at most {age_ms} ms old (p99)")
        } else {
            String::new()
        };
        let stalled = if self.acts.stalled { "it reads nothing" } else { "" };
        let burst = if self.acts.burst {
            let come =
                crowd.watching.saturating_sub(crowd.slow + crowd.stalled).min(self.stage.burst);
            format!("{} of {} watch", grouped(come), grouped(self.stage.burst))
        } else {
            String::new()
        };
        let many = format!("{} viewers come at once, or go", grouped(self.stage.burst));
        vec![
            format!("  {FAINT}Press{OFF}"),
            key('s', "a slow phone (10 kB/s) comes or goes", &slow),
            key('t', "a phone that reads nothing comes or goes", stalled),
            key('b', &many, &burst),
            key('d', "the store stands still for five seconds", ""),
            key('q', "end, and remove everything", ""),
        ]
    }

    fn story(&self, columns: usize) -> Vec<String> {
        let columns = columns.saturating_sub(INDENT).max(INDENT);
        let mut lines = Vec::new();
        for (at, words) in &self.acts.story {
            let time = format!("  {FAINT}{:02}:{:02}{OFF}  ", at / 60, at % 60);
            lines.extend(wrapped(words, columns, &time));
        }
        for words in self.stage.warnings.lines() {
            let sign = format!("  {ALERT}  !  {OFF}  ");
            lines.extend(wrapped(&words, columns, &sign));
        }
        lines
    }
}

/// Words in lines of at most so many columns, the first behind this, the others as far from the edge.
fn wrapped(words: &str, columns: usize, first: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    let of = |(at, line): (usize, String)| match at {
        0 => format!("{first}{line}"),
        _ => format!("{}{line}", " ".repeat(INDENT)),
    };
    lines.into_iter().enumerate().map(of).collect()
}

fn row(name: &str, value: &str, more: &str) -> String {
    format!("  {name:<8} {BOLD}{value:<28}{OFF} {more}")
}

fn key(key: char, what: &str, state: &str) -> String {
    format!("    {BOLD}{key}{OFF}   {what:<42} {state}")
}

fn delay(stage: &Stage) -> String {
    match (stage.probe.delay(0.5), stage.probe.delay(0.99)) {
        (Some(half), Some(most)) => {
            format!("p50 {}  p99 {}", milliseconds(half), milliseconds(most))
        }
        _ => "not known yet".to_owned(),
    }
}

/// A time in milliseconds, with one decimal.
pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

/// A number with its thousands apart.
pub(super) fn grouped(number: impl std::fmt::Display) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{grouped, milliseconds, wrapped};

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999.6), "1,000");
        assert_eq!(milliseconds(Duration::from_micros(1_550)), "1.6 ms");
    }

    #[test]
    fn a_long_sentence_goes_on_below_its_beginning() {
        let lines = wrapped("one two three", 8, "0:00 ");
        assert_eq!(lines, ["0:00 one two", "         three"]);
        assert_eq!(wrapped("endless-word", 3, ""), ["endless-word"]);
    }
}
