//! What a demo shows: the picture of a terminal, and the lines where there is none.

use super::acts::{Acts, BURST};
use super::numbers::Meter;
use super::stage::Stage;

const BOLD: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const ALERT: &str = "\x1b[1;31m";
const OFF: &str = "\x1b[0m";

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
        stage.cars().devices,
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
        delay(meter),
        grouped(now.rows)
    )
}

impl View<'_> {
    /// The picture, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = self.head();
        lines.extend(self.numbers());
        lines.push(String::new());
        lines.extend(self.keys());
        lines.push(String::new());
        lines.extend(self.story());
        lines
    }

    fn head(&self) -> Vec<String> {
        let seconds = self.stage.begun.elapsed().as_secs();
        let mut lines = vec![
            format!("{BOLD}pitwall demo{OFF}   {FAINT}{:02}:{:02}{OFF}", seconds / 60, seconds % 60),
            String::new(),
            format!("  Open     {BOLD}{}{OFF}   the live page", self.stage.url()),
        ];
        if let Some(token) = &self.stage.token {
            lines.push(format!("  Token    {BOLD}{token}{OFF}   the page asks for it"));
        }
        lines.push(String::new());
        lines
    }

    fn numbers(&self) -> Vec<String> {
        let (now, cars) = (self.meter.now(), self.stage.cars());
        let connected = format!("{} of {} connected", cars.connected, cars.devices);
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
            row("Delay", &delay(self.meter), "from a position's arrival until all viewers have it"),
            row("Store", &stored, &store),
        ]
    }

    fn frames(&self) -> String {
        let conflated = self.meter.conflated();
        let mut text = format!("{} frames/s", grouped(self.meter.frames()));
        if conflated >= 1.0 {
            text.push_str(&format!("; {conflated:.0}/s left out for slow phones, never the newest"));
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
            let come = crowd.watching.saturating_sub(crowd.slow + crowd.stalled).min(BURST);
            format!("{} of 5,000 watch", grouped(come))
        } else {
            String::new()
        };
        vec![
            format!("  {FAINT}Press{OFF}"),
            key('s', "a phone with 2 kB/s comes or goes", &slow),
            key('t', "a phone that reads nothing comes or goes", stalled),
            key('b', "5,000 viewers come at once, or go", &burst),
            key('d', "the store stands still for five seconds", ""),
            key('q', "end, and remove everything", ""),
        ]
    }

    fn story(&self) -> Vec<String> {
        let told = self.acts.story.iter().map(|(at, words)| {
            format!("  {FAINT}{:02}:{:02}{OFF}  {words}", at / 60, at % 60)
        });
        let warnings = self.stage.warnings.lines().into_iter();
        told.chain(warnings.map(|line| format!("  {ALERT}{line}{OFF}"))).collect()
    }
}

fn row(name: &str, value: &str, more: &str) -> String {
    format!("  {name:<8} {BOLD}{value:<28}{OFF} {more}")
}

fn key(key: char, what: &str, state: &str) -> String {
    format!("    {BOLD}{key}{OFF}   {what:<42} {state}")
}

fn delay(meter: &Meter) -> String {
    match (meter.delay_ms(0.5), meter.delay_ms(0.99)) {
        (Some(half), Some(most)) => format!("p50 {} p99 {}", at_most(half), at_most(most)),
        _ => "nobody watches yet".to_owned(),
    }
}

/// A bound in milliseconds.
fn at_most(ms: f64) -> String {
    if ms.is_finite() { format!("≤ {ms} ms") } else { "over 100 s".to_owned() }
}

/// A number with its thousands apart.
fn grouped(number: impl Into<f64>) -> String {
    let digits = format!("{:.0}", number.into());
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
    use super::{at_most, grouped};

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999.6), "1,000");
        assert_eq!(at_most(0.5), "≤ 0.5 ms");
        assert_eq!(at_most(f64::INFINITY), "over 100 s");
    }
}
