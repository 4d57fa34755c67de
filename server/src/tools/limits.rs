//! `pitwall limits`: every bound of the engine with its value and what it bounds.
//!
//! Names, groups and sentences are read from the engine's own source, so that the table cannot tell
//! another story than the code. What each bound costs stands there too.

use std::io::{self, Write};

use engine::limits;

const SOURCE: &str = include_str!("../../../engine/src/limits.rs");

/// Pairs the name of each constant with its value.
macro_rules! values {
    ($($name:ident)*) => {
        [$((stringify!($name), limits::$name.to_string())),*]
    };
}

/// One bound.
#[derive(Debug, PartialEq, Eq)]
struct Bound<'a> {
    group: &'a str,
    name: &'a str,
    /// The first sentence of its documentation.
    bounds: String,
}

/// Prints the table.
pub(super) fn write(out: &mut impl Write) -> io::Result<()> {
    let mut group = "";
    let values = values();
    let values = values.as_ref();
    for bound in bounds(SOURCE) {
        if bound.group != group {
            let space = if group.is_empty() { "" } else { "\n" };
            writeln!(out, "{space}{}", bound.group)?;
            group = bound.group;
        }
        let value = values.iter().find(|(name, _)| *name == bound.name);
        let value = value.map_or("?", |(_, value)| value);
        writeln!(out, "  {:27} {value:>13}  {}", bound.name, bound.bounds)?;
    }
    out.flush()
}

fn values() -> impl AsRef<[(&'static str, String)]> {
    values![
        DEVICE_ID_BYTES_MAX PAYLOAD_BYTES_MAX ENTRY_FIELDS_MAX PAYLOAD_DEPTH_MAX NUMBER_BYTES_MAX
        NUMBER_EXPONENT_MAX TIMESTAMP_MS_MIN TIMESTAMP_MS_MAX ALTITUDE_MIN ALTITUDE_MAX SPEED_MAX
        ANGLE_MAX

        FUTURE_TOLERANCE_MS

        MESSAGE_BYTES_MAX MESSAGE_FRAGMENTS_MAX MESSAGE_DEPTH_MAX TOPIC_BYTES_MAX
        REQUEST_ID_BYTES_MAX CONTROL_PAYLOAD_BYTES_MAX
    ]
}

/// Every constant of the source, in its order.
fn bounds(source: &str) -> Vec<Bound<'_>> {
    let mut group = "";
    let mut said = String::new();
    let mut bounds = Vec::new();
    for line in source.lines() {
        if let Some(heading) = line.strip_prefix("// ---- ") {
            group = heading.trim_end_matches([' ', '-']);
        } else if let Some(sentence) = line.strip_prefix("///") {
            said.push_str(sentence);
        } else if let Some((name, _)) =
            line.strip_prefix("pub const ").and_then(|rest| rest.split_once(':'))
        {
            bounds.push(Bound { group, name, bounds: first_sentence(&said) });
            said.clear();
        }
    }
    bounds
}

/// The first sentence of a documentation comment, without the brackets of its links.
fn first_sentence(said: &str) -> String {
    let end = said.find(". ").map_or(said.len(), |at| at + 1);
    said[..end].trim().replace("[`", "`").replace("`]", "`")
}

#[cfg(test)]
mod tests {
    use super::{Bound, SOURCE, bounds, values, write};

    #[test]
    fn every_bound_of_the_engine_has_its_value() {
        let named: Vec<&str> = bounds(SOURCE).iter().map(|bound| bound.name).collect();
        let valued = values();
        let valued: Vec<&str> = valued.as_ref().iter().map(|(name, _)| *name).collect();
        assert_eq!(named, valued, "list the constants in `values` as limits.rs orders them");
    }

    #[test]
    fn every_bound_has_a_group_and_a_sentence() {
        for bound in bounds(SOURCE) {
            assert!(!bound.group.is_empty() && !bound.bounds.is_empty(), "{bound:?}");
        }
    }

    #[test]
    fn group_name_and_first_sentence_come_from_the_source() {
        let source = "// ---- Feeds (feed.rs) ----\n\n/// Most blocks, see\n/// [`B`]. Costs 8 B.\n\
                      pub const A: usize = 4;\nconst _: () = assert!(A > 0);\n";
        let expected =
            Bound { group: "Feeds (feed.rs)", name: "A", bounds: "Most blocks, see `B`.".into() };
        assert_eq!(bounds(source), [expected]);
    }

    #[test]
    fn the_table_shows_value_and_sentence_on_one_line() {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        let table = String::from_utf8(out).unwrap();
        let line = table.lines().find(|line| line.contains("PAYLOAD_BYTES_MAX")).unwrap();
        assert!(line.contains(" 65536  Longest `payload`."), "{line}");
    }
}
