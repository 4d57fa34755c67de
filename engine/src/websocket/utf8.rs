//! UTF-8 in pieces: says at the first impossible byte that a text can no longer become valid.

/// How many bytes at the start of `bytes` are whole characters; the up to three behind them are the
/// beginning of one. `None` when nothing that may follow can make the text valid.
pub(super) fn whole_characters_bytes(bytes: &[u8]) -> Option<usize> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.len()),
        Err(error) if error.error_len().is_none() => Some(error.valid_up_to()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::whole_characters_bytes;

    fn check(bytes: &[u8], expected: Option<usize>) {
        assert_eq!(whole_characters_bytes(bytes), expected, "{bytes:x?}");
    }

    #[test]
    fn beginning_of_a_character_is_left_for_later() {
        check(b"", Some(0));
        check(b"abc", Some(3));
        check(b"a\xE2", Some(1));
        check(b"a\xE2\x82", Some(1));
        check(b"a\xE2\x82\xAC", Some(4));
        check(b"\xF0\x9F\x8F", Some(0));
        check(b"\xF4\x8F\xBF", Some(0));
    }

    #[test]
    fn first_impossible_byte_is_enough() {
        check(b"\x80", None);
        check(b"\xC0", None);
        check(b"\xC1", None);
        check(b"\xE0\x9F", None);
        check(b"\xED\xA0", None);
        check(b"\xF0\x8F", None);
        check(b"\xF4\x90", None);
        check(b"\xF5", None);
        check(b"a\xE2\x82a", None);
    }
}
