//! Reads a metrics page as strictly as the text format says, and as this project promises.

use std::collections::{HashMap, HashSet};

/// Labels that would tell who watches whom.
const FORBIDDEN_LABELS: [&str; 8] =
    ["device", "device_id", "imei", "user", "user_id", "event", "address", "cookie"];

/// The samples of a page.
#[derive(Debug)]
pub struct Exposition {
    samples: HashMap<String, String>,
}

impl Exposition {
    /// Reads a page.
    ///
    /// # Panics
    /// With the line that is not as it must be; so do all functions here.
    #[must_use]
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has its end");
        let mut samples = HashMap::new();
        let mut families = HashSet::new();
        let (mut helped, mut family, mut kind) = ("", "", "");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                assert!(families.insert(name), "a second HELP: {line}");
                assert!(help.ends_with('.') || help.ends_with('?'), "no sentence: {line}");
                helped = name;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                (family, kind) = rest.split_once(' ').unwrap_or((rest, ""));
                assert_eq!(family, helped, "HELP comes first: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap_or((line, ""));
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                let own = name.strip_prefix(family).unwrap_or_else(|| panic!("{line}"));
                let suffixes: &[&str] =
                    if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(suffixes.contains(&own), "{line}");
                let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
                assert!(name.chars().all(good), "{line}");
                check_labels(labels, line);
                assert!(value.parse::<f64>().is_ok(), "{line}");
                let before = samples.insert(series.to_owned(), value.to_owned());
                assert!(before.is_none(), "twice: {line}");
            }
        }
        Self { samples }
    }

    /// The value of a sample, named with its labels as it stands on the page.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn text(&self, series: &str) -> &str {
        self.samples.get(series).unwrap_or_else(|| panic!("{series} is missing"))
    }

    /// See [`Exposition::text`].
    ///
    /// # Panics
    /// When it is no number.
    #[must_use]
    pub fn value(&self, series: &str) -> f64 {
        self.text(series).parse().expect("values are numbers")
    }
}

fn check_labels(labels: &str, line: &str) {
    let Some(labels) = labels.strip_suffix('}') else {
        assert!(labels.is_empty(), "{line}");
        return;
    };
    for label in labels.split(',') {
        let (name, value) = label.split_once('=').unwrap_or((label, ""));
        assert!(!FORBIDDEN_LABELS.contains(&name), "{line}");
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = value.unwrap_or_else(|| panic!("{line}"));
        assert!(!value.contains(['"', '\\']), "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::Exposition;

    #[test]
    fn the_reader_refuses_what_prometheus_would_refuse() {
        let good = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n";
        assert_eq!(Exposition::read(good).text("a_total{b=\"c\"}"), "1");
        for (part, other) in [
            ("a_total{b=\"c\"} 1\n", "a_total{b=\"c\"} 1\na_total{b=\"c\"} 1\n"),
            ("counter", "gauge"),
            ("counter", "meter"),
            ("# TYPE a_total", "# TYPE b_total"),
            ("{b=", "{device_id="),
            (" 1\n", " one\n"),
            (" 1\n", " 1"),
            ("a_total{", "c_total{"),
            ("# TYPE a_total counter\n", "# TYPE a_total counter\n# HELP a_total A.\n"),
        ] {
            let bad = good.replacen(part, other, 1);
            assert!(std::panic::catch_unwind(|| Exposition::read(&bad)).is_err(), "{bad}");
        }
    }
}
