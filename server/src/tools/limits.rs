//! `pitwall limits`: every bound of the engine with its value and what it bounds.
//!
//! Names, groups and sentences are read from the engine's own source, so that the table cannot tell
//! another story than the code. What each bound costs stands there too.

use std::io::{self, Write};

use engine::limits;
use engine::time::Rate;

const SOURCE: &str = include_str!("../../../engine/src/limits.rs");

/// Pairs the name of each constant with its value as text.
macro_rules! values {
    ($text:expr; $($name:ident)*) => {
        [$((stringify!($name), $text(limits::$name))),*]
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
    for bound in bounds(SOURCE) {
        if bound.group != group {
            let space = if group.is_empty() { "" } else { "\n" };
            writeln!(out, "{space}{}", bound.group)?;
            group = bound.group;
        }
        let value = values.iter().find(|(name, _)| *name == bound.name);
        let value = value.map_or("?", |(_, value)| value);
        writeln!(out, "  {:27} {value:>15}  {}", bound.name, bound.bounds)?;
    }
    out.flush()
}

/// Every bound, in the order of the source but for the rates, which come last.
#[rustfmt::skip] // one word per bound, nothing to lay out
fn values() -> Vec<(&'static str, String)> {
    let numbers = values![number;
        DEVICE_ID_BYTES_MAX PAYLOAD_BYTES_MAX ENTRY_FIELDS_MAX PAYLOAD_DEPTH_MAX NUMBER_BYTES_MAX
        NUMBER_EXPONENT_MAX TIMESTAMP_MS_MIN TIMESTAMP_MS_MAX ALTITUDE_MIN ALTITUDE_MAX SPEED_MAX
        ANGLE_MAX FUTURE_TOLERANCE_MS IMEI_DIGITS_MIN IMEI_DIGITS_MAX TELTONIKA_RECORDS_MAX
        TELTONIKA_DATA_BYTES_MAX TELTONIKA_PACKET_BYTES_MAX TELTONIKA_ELEMENTS_MAX
        MESSAGE_BYTES_MAX MESSAGE_FRAGMENTS_MAX READER_HEAP_BYTES_MAX MESSAGE_DEPTH_MAX
        TOPIC_BYTES_MAX REQUEST_ID_BYTES_MAX CONTROL_PAYLOAD_BYTES_MAX DEVICES_MAX EVENTS_MAX
        EVENT_SLOTS_MAX SLOTS_MAX FEED_PENDING_BYTES_MAX FEEDS_MAX SWEEP_STEP_MS SPARE_BLOCKS_MAX
        SPARE_BLOCK_BYTES_MAX SPARE_TAILS_MAX ROUND_SENDS_PER_TURN REPLY_STALL_MS HELD_MS_MAX
        ANSWER_MS_MAX
        SNAPSHOT_COPY_BYTES_MAX REPLY_BYTES_MAX LAP_REST_BYTES_MAX FRAME_BYTES_MAX FRAME_BYTES_TYPICAL BLOCK_BYTES_MAX FEED_WINDOW_BYTES_MAX
        FEED_WINDOW_AGE_MS FEED_LINGER_MS SNAPSHOT_BYTES_MAX VIEWERS_MAX TOPICS_MAX
        REQUESTS_WAITING_MAX REPLIES_WAITING_MAX LAP_RANGES LAP_CHUNK_BYTES TURN_SENDS_MAX
        FLUSH_MAX_MS PING_INTERVAL_MS ROUND_TRIPS_MAX SILENCE_MS SWEEP_MS CLOSE_WAIT_MS VIOLATIONS_MAX
        BATCH_ROWS_MAX BATCH_BYTES_MAX WRITTEN_DEVICES_MAX COPY_PIECE_BYTES
    ];
    let rates = values![rate; MESSAGE_RATE SUBSCRIBE_RATE PING_RATE];
    numbers.into_iter().chain(rates).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "numbers are smaller than references to them")]
fn number(value: impl ToString) -> String {
    value.to_string()
}

fn rate(rate: Rate) -> String {
    format!("{}/s, burst {}", rate.per_second, rate.burst)
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
        } else if !line.starts_with("#[") {
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
    use std::collections::BTreeSet;

    use super::{Bound, SOURCE, bounds, values, write};

    #[test]
    fn every_bound_of_the_engine_has_its_value() {
        let named: BTreeSet<&str> = bounds(SOURCE).iter().map(|bound| bound.name).collect();
        let valued: BTreeSet<&str> = values().iter().map(|(name, _)| *name).collect();
        assert_eq!(named, valued, "name every constant of limits.rs in `values`, and no other");
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
