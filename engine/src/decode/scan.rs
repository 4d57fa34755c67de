//! JSON as RFC 8259 has it, and only the part of it that PostgreSQL can keep.
//!
//! Validates without recursion, allocation or table: the depth is bounded, so the open containers
//! fit into the bits of one word. The text must be UTF-8 already. Refuses NUL and half surrogate
//! pairs, which are legal JSON and no legal `jsonb`.

use super::error::JsonFault;
use super::number;
use crate::limits::PAYLOAD_DEPTH_MAX;

const _: () = assert!(PAYLOAD_DEPTH_MAX <= 32, "one bit of a u32 per open container");

/// The members of a whole document, which must be an object. Whoever walks them with
/// [`Members::advance`] up to [`Members::finish`] has validated it.
pub(super) fn document(text: &[u8]) -> Result<Members<'_>, JsonFault> {
    match byte(text, skip_whitespace(text, 0))? {
        b'{' => Ok(members(text)),
        _ => Err(JsonFault::NotObject),
    }
}

/// Where the value that starts at `at`, inside one object, ends.
fn value_end(text: &[u8], mut at: usize) -> Result<usize, JsonFault> {
    let mut open = Open::NONE;
    loop {
        at = match byte(text, at)? {
            b'{' => {
                open.push(true)?;
                let inside = skip_whitespace(text, at + 1);
                if byte(text, inside)? != b'}' {
                    at = key_end(text, inside)?;
                    continue;
                }
                inside
            }
            b'[' => {
                open.push(false)?;
                let inside = skip_whitespace(text, at + 1);
                if byte(text, inside)? != b']' {
                    at = inside;
                    continue;
                }
                inside
            }
            b'"' => string_end(text, at)?,
            b'-' | b'0'..=b'9' => number::end(text, at)?,
            b't' => literal_end(text, at, b"true")?,
            b'f' => literal_end(text, at, b"false")?,
            b'n' => literal_end(text, at, b"null")?,
            _ => return Err(JsonFault::Syntax),
        };
        loop {
            let Some(in_object) = open.innermost() else { return Ok(at) };
            at = skip_whitespace(text, at);
            match (byte(text, at)?, in_object) {
                (b'}', true) | (b']', false) => {
                    open.pop();
                    at += 1;
                }
                (b',', true) => {
                    at = key_end(text, skip_whitespace(text, at + 1))?;
                    break;
                }
                (b',', false) => {
                    at = skip_whitespace(text, at + 1);
                    break;
                }
                _ => return Err(JsonFault::Syntax),
            }
        }
    }
}

/// The members of the object at the start of `text`, which must have passed the validator. In text
/// that has not, the iteration ends at the first fault.
pub(super) fn members(text: &[u8]) -> Members<'_> {
    Members { text, at: 0 }
}

/// See [`members`].
#[derive(Clone, Copy)]
pub(super) struct Members<'a> {
    text: &'a [u8],
    /// Just after the last value; 0 before the first.
    at: usize,
}

/// One member of an object.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    /// What stands between the quotes of the key, still escaped.
    pub(super) key: &'a [u8],
    /// The value.
    pub(super) value: &'a [u8],
    /// Where the value starts in the text of the object.
    pub(super) value_at: usize,
}

impl<'a> Members<'a> {
    /// The next member, or `None` after the last one.
    pub(super) fn advance(&mut self) -> Result<Option<Member<'a>>, JsonFault> {
        let text = self.text;
        let separator = skip_whitespace(text, self.at);
        let key_at = skip_whitespace(text, separator + 1);
        match (byte(text, separator)?, self.at) {
            (b'{', 0) if byte(text, key_at)? == b'}' => {
                self.at = key_at + 1;
                return Ok(None);
            }
            (b'{', 0) | (b',', 1..) => {}
            (b'}', 1..) => {
                self.at = separator + 1;
                return Ok(None);
            }
            _ => return Err(JsonFault::Syntax),
        }
        let key_end = string_end(text, key_at)?;
        let value_at = colon_end(text, key_end)?;
        self.at = value_end(text, value_at)?;
        let (key, value) = (&text[key_at + 1..key_end - 1], &text[value_at..self.at]);
        Ok(Some(Member { key, value, value_at }))
    }

    /// After the last member: checks that nothing follows the object.
    pub(super) fn finish(self) -> Result<(), JsonFault> {
        if skip_whitespace(self.text, self.at) == self.text.len() {
            Ok(())
        } else {
            Err(JsonFault::Trailing)
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().ok().flatten()
    }
}

/// The containers that are open inside an object, innermost in the lowest bit: 1 for an object, 0
/// for an array.
struct Open {
    kinds: u32,
    /// With the object around them.
    depth: usize,
}

impl Open {
    const NONE: Self = Self { kinds: 0, depth: 1 };

    fn push(&mut self, object: bool) -> Result<(), JsonFault> {
        if self.depth == PAYLOAD_DEPTH_MAX {
            return Err(JsonFault::TooDeep);
        }
        self.kinds = self.kinds << 1 | u32::from(object);
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.kinds >>= 1;
        self.depth -= 1;
    }

    /// True for an object, `None` when everything is closed.
    fn innermost(&self) -> Option<bool> {
        (self.depth > Self::NONE.depth).then_some(self.kinds & 1 == 1)
    }
}

fn byte(text: &[u8], at: usize) -> Result<u8, JsonFault> {
    text.get(at).copied().ok_or(JsonFault::Truncated)
}

fn skip_whitespace(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

fn literal_end(text: &[u8], at: usize, literal: &[u8]) -> Result<usize, JsonFault> {
    let rest = &text[at..];
    if rest.starts_with(literal) {
        Ok(at + literal.len())
    } else if literal.starts_with(rest) {
        Err(JsonFault::Truncated)
    } else {
        Err(JsonFault::Syntax)
    }
}

/// Passes the key at `at` and its colon: where the value starts.
fn key_end(text: &[u8], at: usize) -> Result<usize, JsonFault> {
    colon_end(text, string_end(text, at)?)
}

/// Passes the colon before which only whitespace stands: where the value starts.
fn colon_end(text: &[u8], at: usize) -> Result<usize, JsonFault> {
    let colon = skip_whitespace(text, at);
    if byte(text, colon)? != b':' {
        return Err(JsonFault::Syntax);
    }
    Ok(skip_whitespace(text, colon + 1))
}

/// Where the string whose quote stands at `at` ends, just after its closing quote.
fn string_end(text: &[u8], mut at: usize) -> Result<usize, JsonFault> {
    if byte(text, at)? != b'"' {
        return Err(JsonFault::Syntax);
    }
    at += 1;
    loop {
        while let Some(&byte) = text.get(at)
            && MEANS_ITSELF[usize::from(byte)]
        {
            at += 1;
        }
        match byte(text, at)? {
            b'"' => return Ok(at + 1),
            b'\\' => at = escape_end(text, at + 1)?,
            0 => return Err(JsonFault::Nul),
            _ => return Err(JsonFault::ControlCharacter),
        }
    }
}

/// What stands in a string for itself: no control character, quote or backslash.
static MEANS_ITSELF: [bool; 256] = {
    let mut table = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = false;
        byte += 1;
    }
    table[b'"' as usize] = false;
    table[b'\\' as usize] = false;
    table
};

/// Where the escape ends whose letter, after the backslash, stands at `at`.
fn escape_end(text: &[u8], at: usize) -> Result<usize, JsonFault> {
    match byte(text, at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 1),
        b'u' => match hexadecimal(text, at + 1)? {
            0 => Err(JsonFault::Nul),
            0xd800..0xdc00 => {
                if byte(text, at + 5)? != b'\\' || byte(text, at + 6)? != b'u' {
                    return Err(JsonFault::LoneSurrogate);
                }
                match hexadecimal(text, at + 7)? {
                    0xdc00..0xe000 => Ok(at + 11),
                    _ => Err(JsonFault::LoneSurrogate),
                }
            }
            0xdc00..0xe000 => Err(JsonFault::LoneSurrogate),
            _ => Ok(at + 5),
        },
        _ => Err(JsonFault::Escape),
    }
}

fn hexadecimal(text: &[u8], at: usize) -> Result<u32, JsonFault> {
    let mut value = 0;
    for offset in 0..4 {
        let digit = char::from(byte(text, at + offset)?).to_digit(16).ok_or(JsonFault::Escape)?;
        value = value << 4 | digit;
    }
    Ok(value)
}

/// The bytes that the inside of a validated string means, its escapes resolved.
pub(super) fn unescaped(inside: &[u8]) -> Unescaped<'_> {
    Unescaped { inside, pending: [0; 4], pending_from: 4 }
}

/// See [`unescaped`].
pub(super) struct Unescaped<'a> {
    inside: &'a [u8],
    /// UTF-8 of the character last resolved, at the end of the array.
    pending: [u8; 4],
    pending_from: usize,
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let Some(&byte) = self.pending.get(self.pending_from) {
            self.pending_from += 1;
            return Some(byte);
        }
        let (&first, rest) = self.inside.split_first()?;
        if first != b'\\' {
            self.inside = rest;
            return Some(first);
        }
        let (&letter, rest) = rest.split_first()?;
        self.inside = rest;
        match letter {
            b'b' => Some(8),
            b'f' => Some(12),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'u' => {
                self.resolve()?;
                self.next()
            }
            itself => Some(itself),
        }
    }
}

impl Unescaped<'_> {
    /// Resolves `XXXX`, or `XXXX\uXXXX` for a pair, into the pending bytes.
    fn resolve(&mut self) -> Option<()> {
        let mut code = hexadecimal(self.inside, 0).ok()?;
        self.inside = self.inside.get(4..)?;
        if let 0xd800..0xdc00 = code {
            let low = hexadecimal(self.inside, 2).ok()?;
            self.inside = self.inside.get(6..)?;
            code = 0x1_0000 + ((code - 0xd800) << 10) + low.checked_sub(0xdc00)?;
        }
        let character = char::from_u32(code)?;
        self.pending_from = 4 - character.len_utf8();
        character.encode_utf8(&mut self.pending[self.pending_from..]);
        Some(())
    }
}
