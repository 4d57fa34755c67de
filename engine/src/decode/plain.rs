//! Tokens of JSON that mean themselves: ASCII strings without escapes, and what stands between.
//!
//! Knows no errors: `None` means that the validator has the word.

/// The text behind the whitespace with which it begins, if any.
#[inline]
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    match text.first() {
        Some(0..=b' ') => without_whitespace(text),
        _ => text,
    }
}

/// Kept apart: the platform writes none.
#[inline(never)]
fn without_whitespace(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = text {
        text = rest;
    }
    text
}

/// What follows the token `token`, which may stand behind whitespace.
#[inline]
pub(super) fn after(text: &[u8], token: u8) -> Option<&[u8]> {
    match text.split_first()? {
        (&first, rest) if first == token => Some(rest),
        _ => trimmed(text).strip_prefix(&[token]),
    }
}

/// Passes what follows a member of an object: a comma or the closing brace, and what is behind it.
#[inline]
pub(super) fn separator(text: &[u8]) -> Option<(u8, &[u8])> {
    match text.split_first()? {
        (&separator @ (b',' | b'}'), rest) => Some((separator, rest)),
        _ => match trimmed(text).split_first()? {
            (&separator @ (b',' | b'}'), rest) => Some((separator, rest)),
            _ => None,
        },
    }
}

/// Passes a key, its colon and the whitespace around them.
pub(super) fn after_key(text: &[u8]) -> Option<&[u8]> {
    Some(key(text)?.1)
}

/// A key, and what follows its colon.
pub(super) fn key(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = after(text, b'"')?;
    let (key, rest) = string(text)?;
    Some((key, trimmed(after(rest, b':')?)))
}

/// A string whose opening quote has been passed: its text, and what follows its closing quote.
#[inline]
pub(super) fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = end(text, 0);
    match text.get(end)? {
        b'"' => Some((&text[..end], &text[end + 1..])),
        _ => None,
    }
}

/// Where the bytes that start at `at` and mean themselves in a string end.
#[inline]
pub(super) fn end(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at)
        && IS_PLAIN[usize::from(byte)]
    {
        at += 1;
    }
    at
}

/// ASCII without control characters, quote and backslash.
static IS_PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        table[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    table
};
