//! Text as the inside of a JSON string, escaped exactly as `JSON.stringify` does.

/// Appends `text` without the quotes around it. A byte becomes at most six.
pub(crate) fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !matches!(byte, 0..=0x1F | b'"' | b'\\') {
            continue;
        }
        out.extend_from_slice(&bytes[written..at]);
        written = at + 1;
        let short = match byte {
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0C => b'f',
            b'\r' => b'r',
            b'"' | b'\\' => byte,
            _ => {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4)]);
                out.push(digit(byte & 15));
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(&bytes[written..]);
}

#[cfg(test)]
mod tests {
    use super::write_escaped;

    fn check(text: &str, expected: &str) {
        let mut out = Vec::new();
        write_escaped(&mut out, text);
        assert_eq!(std::str::from_utf8(&out), Ok(expected));
    }

    #[test]
    fn text_is_escaped_as_a_browser_does_it() {
        check("", "");
        check("356307042441013", "356307042441013");
        check("a\"b\\c/d", "a\\\"b\\\\c/d");
        check("\0\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f}", r"\u0000\u0001\b\t\n\u000b\f\r\u001f");
        check("<é\u{7f}\u{2028}🏁>", "<é\u{7f}\u{2028}🏁>");
    }

    #[test]
    fn every_character_below_0x100_is_read_back_as_it_was() {
        let text: String = (0..=0xFF_u8).map(char::from).collect();
        let mut out = b"\"".to_vec();
        write_escaped(&mut out, &text);
        out.push(b'"');
        let read: String = sonic_rs::from_slice(&out).expect("a JSON string");
        assert_eq!(read, text);
    }
}
