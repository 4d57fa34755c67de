//! The attributes of a payload: which values they have, and how the database gets them.
//!
//! A value is a number or a sentinel: JavaScript has no 64-bit integers and JSON no bytes, so the
//! platform wraps both in an object with one key. A broken sentinel is refused, since what it meant
//! is lost. Other JSON values are kept as they are.

pub(super) mod compact;

use super::error::DecodeError;
use super::scan::{Member, members, unescaped};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Most digits of a bigint: those of the largest 64-bit integer.
pub(super) const BIGINT_DIGITS_MAX: usize = 20;

/// Appends the attributes as the `attributes` column keeps them: a bigint becomes a string of its
/// decimal, a buffer a string of its base64, everything else stays byte for byte.
///
/// `attributes` is what [`crate::decode::Decoded::attributes`] gave. From text that never passed the
/// decoder comes some text.
pub fn write_for_database(attributes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.reserve(attributes.len());
    if write_usual(attributes, out).is_none() {
        out.truncate(start);
        write_any(attributes, out);
    }
}

/// [`write_for_database`], from brace to brace; `None` when one of them does not begin a sentinel as
/// the platform writes it.
///
/// In valid JSON, `{"__bigint":` cannot stand inside a string: its quote would end the string, and
/// no string is followed by a name. Behind a colon it is a value of the outermost object, since any
/// object or list around it would show a brace that begins no sentinel, or no colon.
fn write_usual(attributes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = attributes;
    let mut brace = 1;
    while let Some(ahead) = rest.get(brace..).and_then(brace_in) {
        let (before, object) = rest.split_at(brace + ahead);
        if before.trim_ascii_end().last() != Some(&b':') {
            return None;
        }
        let (string, behind) = compact::sentinel(object)?;
        out.extend_from_slice(before);
        out.extend_from_slice(string);
        (rest, brace) = (behind, 0);
    }
    out.extend_from_slice(rest);
    Some(())
}

/// Where the next opening brace stands: sixteen bytes at a time, as there are few.
#[inline]
fn brace_in(text: &[u8]) -> Option<usize> {
    let (chunks, _) = text.as_chunks::<16>();
    let has_none = |chunk: &&[u8; 16]| !chunk.iter().fold(false, |any, &byte| any | (byte == b'{'));
    let from = 16 * chunks.iter().take_while(has_none).count();
    Some(from + text[from..].iter().position(|&byte| byte == b'{')?)
}

/// [`write_for_database`] for all attributes, member by member.
fn write_any(attributes: &[u8], out: &mut Vec<u8>) {
    let mut copied = 0;
    for Member { value, value_at, .. } in members(attributes) {
        let shape = shape(value);
        if let Ok(Shape::BigInt(_) | Shape::Base64(_) | Shape::ByteList(_)) = shape {
            out.extend_from_slice(&attributes[copied..value_at]);
            copied = value_at + value.len();
        }
        match shape {
            Ok(Shape::BigInt(text) | Shape::Base64(text)) => out.extend_from_slice(text),
            Ok(Shape::ByteList(list)) => write_base64(list, out),
            Ok(Shape::Number | Shape::Unusual) | Err(_) => {}
        }
    }
    out.extend_from_slice(&attributes[copied..]);
}

/// Checks the values of a validated object of attributes: how many are unusual.
pub(super) fn check(attributes: &[u8]) -> Result<u32, DecodeError> {
    if compact::after_attributes(attributes) == Some(b"") {
        return Ok(0);
    }
    let mut unusual = 0;
    for member in members(attributes) {
        unusual += u32::from(matches!(shape(member.value)?, Shape::Unusual));
    }
    Ok(unusual)
}

/// What an attribute value is.
enum Shape<'a> {
    Number,
    /// The JSON string of the decimal, with its quotes.
    BigInt(&'a [u8]),
    /// The JSON string of the base64, with its quotes.
    Base64(&'a [u8]),
    /// The JSON array of bytes, with its brackets.
    ByteList(&'a [u8]),
    /// Any other JSON.
    Unusual,
}

fn shape(value: &[u8]) -> Result<Shape<'_>, DecodeError> {
    match value.first() {
        Some(b'-' | b'0'..=b'9') => Ok(Shape::Number),
        Some(b'{') => object_shape(value),
        _ => Ok(Shape::Unusual),
    }
}

fn object_shape(value: &[u8]) -> Result<Shape<'_>, DecodeError> {
    let mut members = members(value);
    Ok(match (members.next(), members.next(), members.next()) {
        (Some(only), None, _) if means(only.key, b"__bigint") => {
            let text = inside(only.value).ok_or(DecodeError::BigIntInvalid)?;
            if !is_decimal(text) {
                return Err(DecodeError::BigIntInvalid);
            }
            Shape::BigInt(only.value)
        }
        (Some(only), None, _) if means(only.key, b"__buffer_b64") => {
            let text = inside(only.value).ok_or(DecodeError::BufferInvalid)?;
            if !is_base64(unescaped(text)) {
                return Err(DecodeError::BufferInvalid);
            }
            Shape::Base64(only.value)
        }
        (Some(one), Some(other), None) => {
            let (kind, data) = if means(one.key, b"type") { (one, other) } else { (other, one) };
            let is_buffer = means(kind.key, b"type")
                && inside(kind.value).is_some_and(|text| means(text, b"Buffer"))
                && means(data.key, b"data")
                && byte_list(data.value).is_some_and(|mut list| list.all(|byte| byte.is_some()));
            if is_buffer { Shape::ByteList(data.value) } else { Shape::Unusual }
        }
        _ => Shape::Unusual,
    })
}

/// True when the inside of a string, its escapes resolved, is `expected`.
fn means(text: &[u8], expected: &[u8]) -> bool {
    unescaped(text).eq(expected.iter().copied())
}

/// What stands between the quotes of a string; `None` for other values.
fn inside(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

fn is_decimal(text: &[u8]) -> bool {
    let mut bytes = unescaped(text).peekable();
    bytes.next_if_eq(&b'-');
    let mut count = 0;
    for byte in bytes {
        count += 1;
        if !byte.is_ascii_digit() || count > BIGINT_DIGITS_MAX {
            return false;
        }
    }
    count > 0
}

/// True for whole groups of four of the standard alphabet, the last one padded if need be.
fn is_base64(bytes: impl Iterator<Item = u8>) -> bool {
    let (mut count, mut padding, mut valid) = (0_usize, 0_usize, true);
    for byte in bytes {
        count += 1;
        if byte == b'=' {
            padding += 1;
        } else {
            valid &= padding == 0 && IS_BASE64[usize::from(byte)];
        }
    }
    valid && padding <= 2 && count % 4 == 0
}

/// The standard alphabet, by byte.
pub(super) static IS_BASE64: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < BASE64.len() {
        table[BASE64[at] as usize] = true;
        at += 1;
    }
    table
};

/// The elements of a validated array, each `None` unless it is a whole number from 0 to 255;
/// `None` for other values.
fn byte_list(array: &[u8]) -> Option<impl Iterator<Item = Option<u8>>> {
    let elements = array.strip_prefix(b"[")?.strip_suffix(b"]")?.trim_ascii();
    let mut elements = elements.split(|&byte| byte == b',');
    if elements.clone().count() == 1 && elements.clone().all(<[u8]>::is_empty) {
        elements.next();
    }
    Some(elements.map(|element| {
        let digits = element.trim_ascii();
        // It would take a plus sign and leading zeros too, but JSON has none.
        std::str::from_utf8(digits).ok()?.parse().ok()
    }))
}

/// Appends the JSON string of the base64 of an array of bytes.
fn write_base64(list: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let (mut group, mut count) = ([0; 3], 0);
    for byte in byte_list(list).into_iter().flatten().flatten() {
        group[count] = byte;
        count += 1;
        if count == group.len() {
            out.extend_from_slice(&base64_group(group));
            (group, count) = ([0; 3], 0);
        }
    }
    if count > 0 {
        let mut last = base64_group(group);
        last[count + 1..].fill(b'=');
        out.extend_from_slice(&last);
    }
    out.push(b'"');
}

fn base64_group([first, second, third]: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_be_bytes([0, first, second, third]);
    [18, 12, 6, 0].map(|shift| BASE64[(bits >> shift & 63) as usize])
}

#[cfg(test)]
mod tests;
