//! Attributes as the platform writes them, passed in one go: ids, whole numbers, sentinels.
//!
//! Knows no errors. What it passes is valid and usual, but for whitespace written without surprise;
//! about everything else it says `None`, and the validator of [`crate::decode`] has the word.

use super::{BIGINT_DIGITS_MAX, IS_BASE64};
use crate::decode::number;
use crate::decode::plain::{self, after, trimmed};
use crate::limits::NUMBER_BYTES_MAX;

/// Passes an object whose values are numbers and sentinels: what follows it.
#[inline]
pub(in crate::decode) fn after_attributes(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"{")?;
    if let Some(rest) = after(rest, b'}') {
        return Some(rest);
    }
    loop {
        rest = after_value(after_key(rest)?)?;
        let (separator, next) = plain::separator(rest)?;
        if separator == b'}' {
            return Some(next);
        }
        rest = next;
    }
}

/// Passes a key and its colon. Ids of one to five digits are compared as a whole; since they come
/// in ascending order, the processor knows their length.
#[inline]
fn after_key(text: &[u8]) -> Option<&[u8]> {
    if let Some(eight) = text.first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        // Written out: a loop over them would be one.
        if word & ID_OF_3.mask == ID_OF_3.text {
            return text.get(6..);
        }
        if word & ID_OF_2.mask == ID_OF_2.text {
            return text.get(5..);
        }
        if word & ID_OF_1.mask == ID_OF_1.text {
            return text.get(4..);
        }
    }
    plain::after_key(text)
}

/// A short id with its quotes and its colon, as the low bytes of a word.
struct Id {
    /// The upper half of a digit, all of the others.
    mask: u64,
    text: u64,
}

const ID_OF_1: Id = Id::of(1);
const ID_OF_2: Id = Id::of(2);
const ID_OF_3: Id = Id::of(3);

impl Id {
    /// The upper half of a digit also is that of `:;<=>?`, which are as plain.
    const fn of(digits: usize) -> Self {
        let (mut mask, mut text) = ([0; 8], [0; 8]);
        let mut at = 1;
        while at <= digits {
            (mask[at], text[at]) = (0xf0, b'0');
            at += 1;
        }
        (mask[0], text[0]) = (0xff, b'"');
        (mask[at], text[at]) = (0xff, b'"');
        (mask[at + 1], text[at + 1]) = (0xff, b':');
        Self { mask: u64::from_le_bytes(mask), text: u64::from_le_bytes(text) }
    }
}

/// Passes a number or a sentinel.
#[inline]
fn after_value(text: &[u8]) -> Option<&[u8]> {
    let unsigned = match text.split_first()? {
        (b'{', _) => return Some(sentinel(text)?.1),
        (b'-', unsigned) => unsigned,
        _ => text,
    };
    if let Some(eight) = unsigned.first_chunk::<8>() {
        let end = match number::leading_number(eight) {
            Some((_, count)) => count,
            // Eight digits and perhaps more.
            None if eight[0].is_ascii_digit() => number::run_end(unsigned, eight.len()),
            None => 0,
        };
        let is_whole = end == 1 || end > 1 && eight[0] != b'0' && end < NUMBER_BYTES_MAX;
        if is_whole && matches!(unsigned.get(end)?, b',' | b'}') {
            return unsigned.get(end..);
        }
    }
    after_any_value(text)
}

/// [`after_value`] for very long numbers, those with a fraction or an exponent, and whitespace.
#[inline(never)]
fn after_any_value(text: &[u8]) -> Option<&[u8]> {
    let text = trimmed(text);
    match text.first()? {
        b'{' => Some(sentinel(text)?.1),
        _ => text.get(number::end(text, 0).ok()?..),
    }
}

/// Passes a sentinel: the string in it, with its quotes, and what follows.
#[inline]
pub(super) fn sentinel(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(string) = text.strip_prefix(b"{\"__bigint\":") {
        return bigint(trimmed(string));
    }
    if let Some(string) = text.strip_prefix(b"{\"__buffer_b64\":") {
        return buffer(trimmed(string));
    }
    spaced_sentinel(text)
}

/// [`sentinel`] with whitespace before its colon.
#[inline(never)]
fn spaced_sentinel(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, string) = plain::key(text.strip_prefix(b"{")?)?;
    match name {
        b"__bigint" => bigint(string),
        b"__buffer_b64" => buffer(string),
        _ => None,
    }
}

#[inline]
fn bigint(string: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = string.strip_prefix(b"\"")?;
    let start = usize::from(*digits.first()? == b'-');
    let end = number::long_run_end(digits, start);
    if !(1..=BIGINT_DIGITS_MAX).contains(&(end - start)) {
        return None;
    }
    closed(string, end + 1)
}

#[inline]
fn buffer(string: &[u8]) -> Option<(&[u8], &[u8])> {
    let base64 = string.strip_prefix(b"\"")?;
    let end = base64_end(base64);
    let padded = match end % 4 {
        0 => end,
        2 if base64.get(end..)?.starts_with(b"==") => end + 2,
        3 if base64.get(end..)?.starts_with(b"=") => end + 1,
        _ => return None,
    };
    closed(string, padded + 1)
}

/// The string of a sentinel whose closing quote is expected at `quote`, and what follows the object.
#[inline]
fn closed(string: &[u8], quote: usize) -> Option<(&[u8], &[u8])> {
    let (string, rest) = string.split_at_checked(quote + 1)?;
    if string[quote] != b'"' {
        return None;
    }
    Some((string, after(rest, b'}')?))
}

/// Where the base64 digits end with which the text begins.
#[inline]
fn base64_end(text: &[u8]) -> usize {
    let mut end = 0;
    while let Some(chunk) = text.get(end..).and_then(<[u8]>::first_chunk::<16>)
        && are_base64(chunk)
    {
        end += chunk.len();
    }
    while let Some(&byte) = text.get(end)
        && IS_BASE64[usize::from(byte)]
    {
        end += 1;
    }
    end
}

/// Without a branch, so that the compiler looks at all sixteen at once.
#[inline]
fn are_base64(chunk: &[u8; 16]) -> bool {
    chunk.iter().fold(true, |all, &byte| {
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let is_digit_or_slash = byte.wrapping_sub(b'/') < 11;
        all & (is_letter | is_digit_or_slash | (byte == b'+'))
    })
}

#[cfg(test)]
mod tests {
    use super::{after_attributes, after_key, are_base64};
    use crate::decode::attributes::IS_BASE64;

    #[test]
    fn sixteen_base64_digits_are_told_from_everything_else() {
        for at in 0..16 {
            for byte in 0..=255_u8 {
                let mut chunk = *b"AZaz09+/QRSTuvw5";
                chunk[at] = byte;
                assert_eq!(are_base64(&chunk), IS_BASE64[usize::from(byte)], "{byte} at {at}");
            }
        }
    }

    #[test]
    fn a_key_is_plain_whatever_its_length() {
        for digits in 0..6 {
            for at in 0..digits {
                for byte in 0..=255_u8 {
                    let mut text = b"\"".to_vec();
                    text.resize(1 + digits, b'7');
                    text[1 + at] = byte;
                    text.extend_from_slice(b"\":12345678");
                    let is_plain = (0x20..0x80).contains(&byte) && !b"\"\\".contains(&byte);
                    let expected = is_plain.then_some(&b"12345678"[..]);
                    assert_eq!(after_key(&text), expected, "{byte} at {at} of {digits}");
                }
            }
        }
    }

    #[test]
    fn the_end_of_the_attributes_is_found() {
        for text in [
            "{}",
            "{ }",
            "{\"1\":2}",
            "{\"1\" : -2 , \"3\":4.5e6}",
            "{\"66\":12840,\"16\":{ \"__bigint\" : \"-1\" } }",
            "{\"66\": 12840, \"16\": {\"__bigint\": \"-1\"}, \"385\": {\"__buffer_b64\": \"q83v\"}}",
        ] {
            for tail in ["", "}", ",\"speed\":63}"] {
                let followed = format!("{text}{tail}");
                assert_eq!(after_attributes(followed.as_bytes()), Some(tail.as_bytes()), "{text}");
            }
            for end in 0..text.len() {
                assert_eq!(after_attributes(&text.as_bytes()[..end]), None, "{text} to {end}");
            }
        }
    }
}
