//! `pitwall config`: every setting with its value, where that comes from, its default and meaning.
//!
//! A secret is shown as `(set)`. A value that is wrong is not shown either: it may be a secret that
//! was put in the wrong place.

use std::io::{self, Write};

use crate::config::load::Loaded;
use crate::config::settings::SECTIONS;
use crate::config::sources::{Origin, Value};
use crate::log::push_escaped;

/// Prints the table, then what deserves a look. What is wrong is for the standard error stream.
pub(crate) fn write(loaded: &Loaded, out: &mut impl Write) -> io::Result<()> {
    let mut values = loaded.values().iter();
    for (index, section) in SECTIONS.iter().enumerate() {
        let space = if index == 0 { "" } else { "\n" };
        writeln!(out, "{space}# {}", section.title)?;
        for value in values.by_ref().take(section.settings.len()) {
            let (name, default) = (value.setting.name, value.default);
            let default = if default.is_empty() { "(unset)" } else { default };
            writeln!(out, "{name}={}", shown(value, loaded))?;
            writeln!(out, "    {}; default {default}", origin(&value.origin))?;
            writeln!(out, "    {}", value.setting.meaning)?;
        }
    }
    for warning in loaded.warnings() {
        writeln!(out, "\nwarning: {} {}", warning.name, warning.words)?;
    }
    out.flush()
}

fn shown(value: &Value, loaded: &Loaded) -> String {
    if loaded.mistakes().iter().any(|mistake| mistake.name == value.setting.name) {
        let is_missing = value.origin == Origin::Default;
        return if is_missing { "(missing)" } else { "(wrong)" }.to_owned();
    }
    if value.text.expose().is_empty() {
        return "(unset)".to_owned();
    }
    if value.setting.kind.is_secret() {
        return "(set)".to_owned();
    }
    let mut text = String::new();
    push_escaped(&mut text, value.text.expose());
    text
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Flag => "from a flag".to_owned(),
        Origin::Environment => "from the environment".to_owned(),
        Origin::File(line) => format!("from line {line} of the file with settings"),
        Origin::SecretFile(variable) => format!("from the file that {variable} names"),
        Origin::Default => "not set by anybody".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::config::Config;
    use crate::config::sources::Sources;

    fn printed(variables: &[(&str, &str)]) -> String {
        let environment =
            variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut out = Vec::new();
        let sources = Sources { environment, ..Sources::default() };
        write(&Config::load(&sources), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_setting_is_shown_with_its_origin_default_and_meaning() {
        let text = printed(&[("LIVE_WS_PORT", "9000")]);
        let expected = "LIVE_WS_PORT=9000\n    from the environment; default 8081\n    The port \
                        viewers connect to.\n";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("LIVE_SHARDS=(unset)\n    not set by anybody; default (unset)\n"));
    }

    #[test]
    fn t4_neither_a_secret_nor_a_wrong_value_is_shown() {
        let text = printed(&[
            ("REDIS_URL", "redis://:canary@redis"),
            ("POSTGRES_URL", "canary"),
            ("ADMIN_TOKEN", "canary-canary-canary"),
            ("DIRECTUS_BASE_URL", "http://user:canary@directus"),
            ("LIVE_CANARY", "canary"),
        ]);
        assert!(!text.contains("canary"), "{text}");
        for expected in ["REDIS_URL=(set)", "POSTGRES_URL=(wrong)", "ADMIN_TOKEN=(set)"] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
    }
}
