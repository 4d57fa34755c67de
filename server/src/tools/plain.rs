//! Writes what strangers sent so that it can be read and steers no terminal: aligned tables, ages,
//! bytes.

use std::io::{self, Write};

/// Bytes as one line of text: what is no text, or cannot be seen, is escaped as in Rust. A backslash
/// is not, so that JSON stays JSON; whoever must tell the one from the other asks for JSON output.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\'' | '\\' => text.push(character),
                character => text.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            text += &format!("\\x{byte:02x}");
        }
    }
    text
}

/// So many characters of a text at most; the last of them tells that there were more.
pub(super) fn cut(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(characters_max - 1).chain(['…']).collect(),
    }
}

/// A time as people say it.
pub(super) fn age(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Writes rows below their heads. Columns are as wide as what is in them; those whose head begins
/// with a space are aligned to the right.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>], out: &mut impl Write) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].trim().chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let named = heads.iter().map(|head| head.trim().to_owned()).collect();
    for row in [&named].into_iter().chain(rows) {
        let mut line = String::new();
        for ((cell, head), &width) in row.iter().zip(heads).zip(&widths) {
            line += &if head.starts_with(' ') {
                format!("{cell:>width$}  ")
            } else {
                format!("{cell:<width$}  ")
            };
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{age, cut, table, text};

    #[test]
    fn t29_nothing_that_steers_a_terminal_is_written() {
        for (bytes, expected) in [
            (&b"356307042441013"[..], "356307042441013"),
            (b"\x1b[2J\x07\r\n\t\0", "\\u{1b}[2J\\u{7}\\r\\n\\t\\0"),
            (
                "\u{9b}31m\u{202e}\u{2028}\u{feff}".as_bytes(),
                "\\u{9b}31m\\u{202e}\\u{2028}\\u{feff}",
            ),
            (b"a\xff\xc3(\\", "a\\xff\\xc3(\\"),
            ("Zoë \"x\" 'y' 🏁".as_bytes(), "Zoë \"x\" 'y' 🏁"),
        ] {
            assert_eq!(text(bytes), expected);
        }
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let mut out = Vec::new();
        let rows = [row(["ü", "10", "why"]), row(["abc", "9", ""])];
        table(&["ID", " COUNT", "REASON"], &rows, &mut out).unwrap();
        let expected = "ID   COUNT  REASON\nü       10  why\nabc      9\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_text_is_cut_and_a_time_is_rounded_down() {
        assert_eq!((cut("äöü", 3), cut("äöü", 2)), ("äöü".to_owned(), "ä…".to_owned()));
        for (ms, expected) in [
            (0, "0 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 d"),
            (u64::MAX, "213503982334 d"),
        ] {
            assert_eq!(age(ms), expected);
        }
    }
}
