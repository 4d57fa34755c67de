//! How dead letters look: a line each, or one with all that is in it.

use std::io::{self, Write};

use super::letter::Letter;
use crate::tools::json::Object;
use crate::tools::plain::{age, cut, table, text};

/// Longest device in a table: an IMEI has 15 characters.
const DEVICE_CHARACTERS_MAX: usize = 32;

/// Longest reason in a table; `show` has all of it.
const REASON_CHARACTERS_MAX: usize = 120;

/// Deepest level that is indented: what is nested deeper is an attack on the reader, not a payload.
const INDENT_MAX: usize = 8;

/// The heads of the table of letters.
pub(super) const HEADS: [&str; 6] = ["LETTER", "ENTRY", " AGE", "CODE", "DEVICE", "REASON"];

/// A letter as a row of the table.
pub(super) fn row(letter: &Letter, now_ms: u64) -> Vec<String> {
    let device = letter.device().map_or_else(|| "-".to_owned(), text);
    let lost = if letter.are_fields_lost() { "[fields lost] " } else { "" };
    vec![
        letter.id.to_string(),
        cut(&text(letter.entry()), DEVICE_CHARACTERS_MAX),
        age(now_ms.saturating_sub(letter.id.ms)),
        cut(&text(letter.code()), DEVICE_CHARACTERS_MAX),
        cut(&device, DEVICE_CHARACTERS_MAX),
        cut(&format!("{lost}{}", text(letter.reason())), REASON_CHARACTERS_MAX),
    ]
}

/// Writes the table.
pub(super) fn write_table(rows: &[Vec<String>], out: &mut impl Write) -> io::Result<()> {
    table(&HEADS, rows, out)
}

/// A letter as an object, without the fields of its entry.
pub(super) fn object(letter: &Letter, now_ms: u64) -> Object {
    Object::new()
        .text("letter", &letter.id.to_string())
        .bytes("entry", Some(letter.entry()))
        .bytes("at", Some(letter.at()))
        .number("age_ms", Some(now_ms.saturating_sub(letter.id.ms)))
        .bytes("code", Some(letter.code()))
        .bytes("device_id", letter.device())
        .bytes("reason", Some(letter.reason()))
        .bytes("instance", Some(letter.instance()))
        .is("lost_fields", letter.are_fields_lost())
}

/// Writes all that is in a letter.
pub(super) fn write_whole(letter: &Letter, now_ms: u64, out: &mut impl Write) -> io::Result<()> {
    let age = age(now_ms.saturating_sub(letter.id.ms));
    writeln!(out, "letter    {} ({age} old)", letter.id)?;
    for (name, value) in [
        ("entry", letter.entry()),
        ("reason", letter.reason()),
        ("code", letter.code()),
        ("instance", letter.instance()),
        ("at", letter.at()),
    ] {
        writeln!(out, "{name:<8}  {}", text(value))?;
    }
    for (name, value) in letter.others() {
        writeln!(out, "{:<8}  {}", text(name), text(value))?;
    }
    let origin = match (letter.are_fields_lost(), letter.decodes()) {
        (true, Ok(())) => " (made from the row: the entry was trimmed; they are whole)".to_owned(),
        (true, Err(why)) => format!(" (made from the row: the entry was trimmed; {why})"),
        (false, Ok(())) => " (they can be decoded)".to_owned(),
        (false, Err(why)) => format!(" ({why})"),
    };
    writeln!(out, "\n{} fields of the entry{origin}", letter.fields.len())?;
    for (name, value) in &letter.fields {
        writeln!(out, "{:<10}  {}", text(name), indented(value))?;
    }
    Ok(())
}

/// A value that may be JSON, with its line breaks; nothing of it is left out or put right.
fn indented(value: &[u8]) -> String {
    let escaped = text(value);
    if !escaped.starts_with(['{', '[']) || str::from_utf8(value).is_err() {
        return escaped;
    }
    let (mut lines, mut depth) = (String::new(), 0_usize);
    let (mut is_text, mut is_escaped) = (false, false);
    for character in str::from_utf8(value).unwrap_or_default().chars() {
        let is_mark = !is_text;
        if is_text {
            is_text = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
        } else {
            is_text = character == '"';
        }
        let break_line = |depth: usize, lines: &mut String| {
            lines.push('\n');
            lines.extend(std::iter::repeat_n("  ", depth.min(INDENT_MAX)));
        };
        match character {
            '}' | ']' if is_mark => {
                depth = depth.saturating_sub(1);
                break_line(depth, &mut lines);
                lines.push(character);
            }
            '{' | '[' if is_mark => {
                depth += 1;
                lines.push(character);
                break_line(depth, &mut lines);
            }
            ',' if is_mark => {
                lines.push(character);
                break_line(depth, &mut lines);
            }
            character => lines += &text(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::indented;

    #[test]
    fn a_payload_is_indented_and_stays_what_it_is() {
        for (value, expected) in [
            (
                &br#"{"a":1,"b":[2,"x,{\"y"]}"#[..],
                "{\n  \"a\":1,\n  \"b\":[\n    2,\n    \"x,{\\\"y\"\n  ]\n}",
            ),
            (b"{\"a\":\"\x1b\xc2\x9b\"", "{\n  \"a\":\"\\u{1b}\\u{9b}\""),
            (b"}]{", "}]{"),
            (b"{\xff}", "{\\xff}"),
            (b"1,2", "1,2"),
            (b"", ""),
        ] {
            assert_eq!(indented(value), expected);
        }
        let deep = indented("[".repeat(10_000).as_bytes());
        assert!(deep.len() < 10_000 * 20, "{}", deep.len());
    }
}
