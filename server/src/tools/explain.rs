//! `pitwall explain`: what would become of each payload, and why.
//!
//! It asks the decoder that both planes use. Whether a shown position reaches a viewer depends on
//! more than the payload: the device must drive in an event, and newer positions go first.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use engine::decode::{DecodeError, Decoded, Decoder, Tally};
use engine::limits::{FUTURE_TOLERANCE_MS, PAYLOAD_BYTES_MAX};
use engine::position::{Codec, Position};

/// What pitwall does with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Shown,
    StoredOnly(Hidden),
    Refused(DecodeError),
}

/// Why viewers do not see a position that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hidden {
    WithoutFix,
    FromTheFuture { ahead_ms: i64 },
}

/// How often each fate came.
#[derive(Default)]
struct Counts {
    shown: u64,
    stored_only: u64,
    refused: u64,
}

/// Reads one payload per line until the input ends, and says of each what becomes of it.
pub(super) fn write(
    codec: Codec,
    now_ms: i64,
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut line = Vec::new();
    let mut counts = Counts::default();
    let mut number = 0_u64;
    while read_line(input, &mut line)? {
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        // One decoder per line: its tally is then what was forgiven in this line.
        let mut decoder = Decoder::new();
        let fate = match decoder.decode_payload(line.trim_ascii(), codec) {
            Ok(decoded) => {
                write!(out, "{number}: {}", named(&decoded))?;
                fate_of(&decoded.position, now_ms)
            }
            Err(error) => {
                write!(out, "{number}")?;
                Fate::Refused(error)
            }
        };
        counts.count(fate);
        writeln!(out, ": {fate}{}", forgiven(decoder.tally()))?;
    }
    let Counts { shown, stored_only, refused } = counts;
    writeln!(out, "{shown} shown, {stored_only} stored only, {refused} refused")?;
    out.flush()
}

/// What becomes of a position that was decoded.
fn fate_of(position: &Position, now_ms: i64) -> Fate {
    let ahead_ms = position.timestamp_ms - now_ms;
    if position.is_without_fix() {
        Fate::StoredOnly(Hidden::WithoutFix)
    } else if ahead_ms > FUTURE_TOLERANCE_MS {
        Fate::StoredOnly(Hidden::FromTheFuture { ahead_ms })
    } else {
        Fate::Shown
    }
}

impl Counts {
    const fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Shown => self.shown += 1,
            Fate::StoredOnly(_) => self.stored_only += 1,
            Fate::Refused(_) => self.refused += 1,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shown => formatter.write_str("shown"),
            Self::StoredOnly(Hidden::WithoutFix) => {
                formatter.write_str("stored only, it has no satellites and lies at 0, 0")
            }
            Self::StoredOnly(Hidden::FromTheFuture { ahead_ms }) => {
                let seconds = ahead_ms / 1_000;
                write!(formatter, "stored only, it is dated {seconds} s in the future")
            }
            Self::Refused(error) => write!(formatter, "refused: {error}"),
        }
    }
}

fn named(decoded: &Decoded<'_>) -> String {
    let Position { latitude, longitude, timestamp_ms, .. } = decoded.position;
    format!("{:?} at {latitude}, {longitude}, {timestamp_ms} ms", decoded.device_id)
}

/// What the decoder forgave, or nothing.
fn forgiven(tally: &Tally) -> String {
    let notes = [
        (tally.defaulted, "missing and taken as empty"),
        (tally.clamped, "out of range and clamped"),
        (tally.unknown_fields, "unknown and ignored"),
        (tally.attributes_unusual, "unusual attributes kept"),
    ];
    let said = notes.iter().filter(|(count, _)| *count > 0);
    said.map(|(count, note)| format!("; {count} {note}")).collect()
}

/// Reads a line; of one that is longer than any payload only so much that the decoder sees it.
/// False when there is none.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    const LINE_BYTES_MAX: u64 = PAYLOAD_BYTES_MAX as u64 + 2;
    line.clear();
    let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', line)?;
    if read as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
        input.skip_until(b'\n')?;
    }
    Ok(read > 0)
}

#[cfg(test)]
mod tests {
    use engine::limits::PAYLOAD_BYTES_MAX;
    use engine::position::Codec;

    use super::write;

    /// 2026-06-06T08:15:30Z
    const NOW_MS: i64 = 1_780_733_730_000;

    fn payload(timestamp: &str, rest: &str) -> String {
        format!(r#"{{"device_id":"356307042441013","timestamp":"{timestamp}",{rest}}}"#)
    }

    fn full(latitude: &str, satellites: u8) -> String {
        format!(
            "\"latitude\":{latitude},\"longitude\":0,\"altitude\":0,\"angle\":0,\"speed\":0,\
             \"satellites\":{satellites},\"priority\":0,\"attributes\":{{}}"
        )
    }

    fn check(input: &str, expected: &[&str]) {
        let mut out = Vec::new();
        write(Codec::Codec8, NOW_MS, &mut input.as_bytes(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.lines().collect::<Vec<_>>(), expected, "{input}");
    }

    #[test]
    fn a_good_payload_is_shown() {
        check(
            &payload("2026-06-06T08:15:30.000Z", &full("41.5", 9)),
            &[
                "1: \"356307042441013\" at 41.5, 0, 1780733730000 ms: shown",
                "1 shown, 0 stored only, 0 refused",
            ],
        );
    }

    #[test]
    fn a_payload_that_viewers_may_not_see_is_stored_only() {
        check(
            &payload("2026-06-06T08:15:30.000Z", &full("0", 0)),
            &[
                "1: \"356307042441013\" at 0, 0, 1780733730000 ms: \
                 stored only, it has no satellites and lies at 0, 0",
                "0 shown, 1 stored only, 0 refused",
            ],
        );
        check(
            &payload("2026-06-06T08:16:31.000Z", &full("1", 9)),
            &[
                "1: \"356307042441013\" at 1, 0, 1780733791000 ms: \
                 stored only, it is dated 61 s in the future",
                "0 shown, 1 stored only, 0 refused",
            ],
        );
    }

    #[test]
    fn a_refusal_names_its_line_and_reason() {
        check(
            &format!("\n{}\n", payload("2026-06-06T08:15:30.000Z", &full("91", 9))),
            &["2: refused: `latitude` is out of range.", "0 shown, 0 stored only, 1 refused"],
        );
    }

    #[test]
    fn what_was_forgiven_is_said() {
        check(
            &payload("2026-06-06T08:15:30.000Z", "\"latitude\":1,\"longitude\":2,\"extra\":3"),
            &[
                "1: \"356307042441013\" at 1, 2, 1780733730000 ms: shown\
                 ; 6 missing and taken as empty; 1 unknown and ignored",
                "1 shown, 0 stored only, 0 refused",
            ],
        );
    }

    #[test]
    fn a_line_longer_than_any_payload_is_one_refusal() {
        let long = "x".repeat(3 * PAYLOAD_BYTES_MAX);
        check(
            &format!("{long}\n{{}}"),
            &[
                "1: refused: The payload is longer than 65536 bytes.",
                "2: refused: The payload has no `device_id`.",
                "0 shown, 0 stored only, 2 refused",
            ],
        );
    }
}
