//! What a command has measured: the same facts as lines for people or as one JSON object.

use std::fmt::Write;

use loadgen::measure::{Percentiles, Share};

/// One thing that was measured.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    Number(u64),
    Flag(bool),
    Times(Percentiles),
    Busy(Share),
    Counts(Vec<(String, u64)>),
    Words(Vec<String>),
}

/// Facts by their names, what has failed, and what is to be known beside.
#[derive(Debug, Default)]
pub(super) struct Report {
    facts: Vec<(&'static str, Fact)>,
    failures: Vec<String>,
    remarks: Vec<String>,
}

impl Report {
    /// Adds a number; its name ends in its unit, if it has one.
    pub(super) fn number(&mut self, name: &'static str, number: u64) {
        self.facts.push((name, Fact::Number(number)));
    }

    pub(super) fn fact(&mut self, name: &'static str, fact: Fact) {
        self.facts.push((name, fact));
    }

    /// Says what has failed and what to do about it, if it has.
    pub(super) fn fail_if(&mut self, has_failed: bool, words: impl FnOnce() -> String) {
        if has_failed {
            self.failures.push(words());
        }
    }

    /// Says what is to be known of the figures, if it is so.
    pub(super) fn remark_if(&mut self, is_so: bool, words: impl FnOnce() -> String) {
        if is_so {
            self.remarks.push(words());
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Lines for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let longest = self.facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, fact) in &self.facts {
            let value = match fact {
                Fact::Number(number) => number.to_string(),
                Fact::Flag(true) => "yes".to_owned(),
                Fact::Flag(false) => "no".to_owned(),
                Fact::Times(times) => times.to_string(),
                Fact::Busy(share) => format!(
                    "{} on a core in the busiest second, {} waiting for one in the worst",
                    share.most_percent, share.waited_percent
                ),
                Fact::Counts(counts) if counts.is_empty() => "none".to_owned(),
                Fact::Counts(counts) => {
                    let each = |(what, count): &(String, u64)| format!("{what}: {count}");
                    counts.iter().map(each).collect::<Vec<_>>().join(", ")
                }
                Fact::Words(words) if words.is_empty() => continue,
                Fact::Words(words) => words.join("; "),
            };
            line(&mut text, format_args!("{:longest$}  {value}", name.replace('_', " ")));
        }
        for words in &self.remarks {
            line(&mut text, format_args!("NOTE    {words}"));
        }
        for words in &self.failures {
            line(&mut text, format_args!("FAILED  {words}"));
        }
        text
    }

    /// One object on one line.
    pub(super) fn json(&self) -> String {
        let mut members: Vec<String> =
            self.facts.iter().map(|(name, fact)| format!("\"{name}\":{}", value(fact))).collect();
        members.push(format!("\"remarks\":{}", list(&self.remarks)));
        members.push(format!("\"failures\":{}", list(&self.failures)));
        format!("{{{}}}\n", members.join(","))
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("text grows");
}

fn value(fact: &Fact) -> String {
    match fact {
        Fact::Number(number) => number.to_string(),
        Fact::Flag(is_so) => is_so.to_string(),
        Fact::Times(times) => format!(
            r#"{{"count":{},"p50_us":{},"p90_us":{},"p99_us":{},"p999_us":{},"longest_us":{}}}"#,
            times.count, times.p50_us, times.p90_us, times.p99_us, times.p999_us, times.longest_us
        ),
        Fact::Busy(share) => {
            format!(r#"{{"on_a_core":{},"waiting":{}}}"#, share.most_percent, share.waited_percent)
        }
        Fact::Counts(counts) => {
            let each = |(what, count): &(String, u64)| format!("{}:{count}", quoted(what));
            format!("{{{}}}", counts.iter().map(each).collect::<Vec<_>>().join(","))
        }
        Fact::Words(words) => list(words),
    }
}

fn list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|words| quoted(words)).collect();
    format!("[{}]", quoted.join(","))
}

fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\0'..' ' => write!(quoted, "\\u{:04x}", u32::from(letter)).expect("text grows"),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{Fact, Report};

    fn report() -> Report {
        let mut report = Report::default();
        report.number("entries", 7);
        report.fact("closes", Fact::Counts(vec![("1013".to_owned(), 2)]));
        report.fact("told", Fact::Words(vec!["a \"b\"\n".to_owned()]));
        report.fail_if(false, || unreachable!());
        report.remark_if(true, || "so".to_owned());
        report
    }

    #[test]
    fn a_report_is_one_object_for_programs() {
        let expected = "{\"entries\":7,\"closes\":{\"1013\":2},\"told\":[\"a \\\"b\\\"\\u000a\"],\
            \"remarks\":[\"so\"],\"failures\":[]}\n";
        assert_eq!(report().json(), expected);
    }

    #[test]
    fn a_report_is_lines_for_people_and_says_what_failed_last() {
        let mut report = report();
        report.fail_if(true, || "do this".to_owned());
        let text = report.text();
        assert!(text.starts_with("entries  7\ncloses   1013: 2\n"), "{text}");
        assert!(text.ends_with("NOTE    so\nFAILED  do this\n"), "{text}");
        assert!(report.has_failed());
    }
}
