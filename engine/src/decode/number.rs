//! Numbers in JSON: where one ends, and the nearest double of what it says.
//!
//! The value is always the one `str::parse::<f64>` gives, which is correctly rounded. The short cut
//! for the numbers that devices send is exact as well: up to 2^53, divided by a power of ten that is
//! itself a double, gives the nearest double in one rounding.

use super::error::JsonFault;
use crate::limits::{NUMBER_BYTES_MAX, NUMBER_EXPONENT_MAX};

/// Most digits a `u64` holds whatever they are.
const DIGITS_MAX: usize = 19;

/// Largest whole number below which every whole number is a double.
const EXACT_MAX: u64 = 1 << 53;

/// Powers of ten as doubles, all of them exact.
const POWERS: [f64; DIGITS_MAX] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
];

/// The first [`POWERS`] as whole numbers.
const WHOLE_POWERS: [i64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// Reads the number at the start of `text`: its value, and what follows. `None` when there is no
/// number that the general reader would accept.
#[inline(always)]
pub(super) fn read(text: &[u8]) -> Option<(f64, &[u8])> {
    match read_short(text) {
        Some(read) => Some(read),
        None => read_long(text).or_else(|| read_any(text)),
    }
}

/// [`read`] for numbers with at most seven digits before and after the point, no exponent, and a
/// separator behind them. `None` says nothing about the others.
#[inline(always)]
fn read_short(text: &[u8]) -> Option<(f64, &[u8])> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let eight = unsigned.first_chunk()?;
    let (whole, count) = leading_number(eight)?;
    if count > 1 && eight[0] == b'0' {
        return None;
    }
    let (magnitude, rest) = match eight[count] {
        b',' | b'}' => (f64::from(whole), unsigned.get(count..)?),
        b'.' => {
            let fraction = unsigned.get(count + 1..)?;
            let eight = fraction.first_chunk()?;
            let (parts, places) = leading_number(eight)?;
            if !matches!(eight[places], b',' | b'}') {
                return None;
            }
            let mantissa = i64::from(whole) * WHOLE_POWERS[places] + i64::from(parts);
            (mantissa as f64 / POWERS[places], fraction.get(places..)?)
        }
        _ => return None,
    };
    // One byte less when there was a sign.
    Some((if unsigned.len() < text.len() { -magnitude } else { magnitude }, rest))
}

/// The number with which the eight bytes begin, and its digits: one to seven, `None` otherwise.
///
/// Byte by byte on purpose: the processor guesses the length and reads on, while a count of digits
/// found all at once would have to be waited for.
#[inline(always)]
pub(super) fn leading_number(eight: &[u8; 8]) -> Option<(u32, usize)> {
    let mut value = 0;
    for (at, byte) in eight.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (at > 0).then_some((value, at));
        }
        value = value * 10 + u32::from(digit);
    }
    None
}

/// [`read`] for numbers up to [`EXACT_MAX`] once the point is left out, without exponent. `None`
/// says nothing about the others.
#[inline(never)]
fn read_long(text: &[u8]) -> Option<(f64, &[u8])> {
    let negative = *text.first()? == b'-';
    let start = usize::from(negative);
    let (mut mantissa, point) = accumulate(text, start, 0);
    if point == start || point > start + 1 && text[start] == b'0' {
        return None;
    }
    let (end, divisor) = match *text.get(point)? {
        b'.' => {
            let end;
            (mantissa, end) = accumulate(text, point + 1, mantissa);
            (end, Some(*POWERS.get(end - point - 1).filter(|_| end > point + 1)?))
        }
        _ => (point, None),
    };
    let exact = mantissa <= EXACT_MAX && end - start <= DIGITS_MAX;
    if !exact || matches!(*text.get(end)?, b'e' | b'E') {
        return None;
    }
    // Through `i64`, for which processors have an instruction.
    let mut magnitude = mantissa.cast_signed() as f64;
    if let Some(divisor) = divisor {
        magnitude /= divisor;
    }
    Some((if negative { -magnitude } else { magnitude }, text.get(end..)?))
}

/// Appends the digits that start at `at` to `value`, and says where they end; byte by byte as in
/// [`leading_number`]. Beyond [`DIGITS_MAX`] digits the value means nothing.
#[inline]
fn accumulate(text: &[u8], mut at: usize, mut value: u64) -> (u64, usize) {
    while let Some(digit @ b'0'..=b'9') = text.get(at) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        at += 1;
    }
    (value, at)
}

/// [`read`] for every number.
#[cold]
fn read_any(text: &[u8]) -> Option<(f64, &[u8])> {
    let (number, rest) = text.split_at(end(text, 0).ok()?);
    Some((value(number)?, rest))
}

/// The nearest double of a number that [`end`] has passed; infinite beyond the largest double.
/// `None` for anything else than a number.
pub(super) fn value(number: &[u8]) -> Option<f64> {
    if !matches!(number.first()?, b'-' | b'0'..=b'9') {
        return None;
    }
    let mut followed = [b','; 24];
    if let Some(place) = followed.get_mut(..number.len()) {
        place.copy_from_slice(number);
        if let Some((value, _)) = read_short(&followed) {
            return Some(value);
        }
    }
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Where the number that starts at `at` ends, if PostgreSQL could keep it in `jsonb`.
pub(super) fn end(text: &[u8], at: usize) -> Result<usize, JsonFault> {
    let mut end = at + usize::from(text.get(at) == Some(&b'-'));
    end = match text.get(end) {
        Some(b'0') => end + 1,
        Some(b'1'..=b'9') => digits_end(text, end)?,
        Some(_) => return Err(JsonFault::Number),
        None => return Err(JsonFault::Truncated),
    };
    if text.get(end) == Some(&b'.') {
        end = digits_end(text, end + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        end += 1;
        end += usize::from(matches!(text.get(end), Some(b'+' | b'-')));
        let start = end;
        end = digits_end(text, start)?;
        let exponent = text[start..end].iter().fold(0_u32, |value, digit| {
            value.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
        });
        if exponent > NUMBER_EXPONENT_MAX {
            return Err(JsonFault::NumberExponent);
        }
    }
    match text.get(end) {
        Some(b'0'..=b'9' | b'.' | b'+' | b'-' | b'a'..=b'z' | b'A'..=b'Z') => {
            Err(JsonFault::Number)
        }
        _ if end - at > NUMBER_BYTES_MAX => Err(JsonFault::NumberTooLong),
        _ => Ok(end),
    }
}

/// Where the digits that start at `at` end; at least one is needed.
fn digits_end(text: &[u8], at: usize) -> Result<usize, JsonFault> {
    let end = run_end(text, at);
    match text.get(at) {
        _ if end > at => Ok(end),
        Some(_) => Err(JsonFault::Number),
        None => Err(JsonFault::Truncated),
    }
}

/// Where the digits that start at `at` end, for runs that are usually long: eight at a time as long
/// as all eight are digits.
#[inline]
pub(super) fn long_run_end(text: &[u8], mut at: usize) -> usize {
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk)
        && are_digits(*eight)
    {
        at += eight.len();
    }
    run_end(text, at)
}

/// Where the digits that start at `at` end, for runs that are usually short.
#[inline]
pub(super) fn run_end(text: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9') = text.get(at) {
        at += 1;
    }
    at
}

/// True when all eight are digits. A byte from 10 on reaches the highest bit when 0x76 is added, or
/// has it already; a carry into its neighbour can only come from such a byte.
#[inline]
fn are_digits(eight: [u8; 8]) -> bool {
    let word = u64::from_le_bytes(eight) ^ 0x3030_3030_3030_3030;
    (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080 == 0
}

#[cfg(test)]
mod tests {
    use super::{
        are_digits, end, long_run_end, read, read_any, read_long, read_short, run_end, value,
    };
    use crate::decode::JsonFault;

    fn check_end(text: &str, expected: Result<usize, JsonFault>) {
        assert_eq!(end(text.as_bytes(), 0), expected, "{text}");
    }

    #[test]
    fn only_the_numbers_of_json_are_numbers() {
        check_end("0", Ok(1));
        check_end("-0.0,", Ok(4));
        check_end("1e3}", Ok(3));
        check_end("1.50E-07]", Ok(8));
        check_end("1e400", Ok(5));
        check_end("1e0000000000400", Ok(15));
        check_end("1e401", Err(JsonFault::NumberExponent));
        check_end("1e-401", Err(JsonFault::NumberExponent));
        check_end("1e99999999999999999999", Err(JsonFault::NumberExponent));
        for text in ["+1", ".5", "01", "1.", "1.e3", "1e", "1e+", "-", "0x10", "1.2.3", "1-", "1f"]
        {
            let fault = end(text.as_bytes(), 0).unwrap_err();
            assert!(matches!(fault, JsonFault::Number | JsonFault::Truncated), "{text} {fault:?}");
        }
        check_end(&"9".repeat(64), Ok(64));
        check_end(&"9".repeat(65), Err(JsonFault::NumberTooLong));
    }

    /// Reads in every way there is; all must give what the standard library gives.
    fn check_value(text: &str) {
        let expected: f64 = text.parse().unwrap();
        assert_eq!(value(text.as_bytes()).unwrap().to_bits(), expected.to_bits(), "{text}");
        let mut followed = text.as_bytes().to_vec();
        followed.extend_from_slice(b",\"longitude\":");
        for (way, read) in [
            read(&followed).or_else(|| panic!("{text}")),
            read_short(&followed),
            read_long(&followed),
            read_any(&followed),
        ]
        .into_iter()
        .enumerate()
        {
            if let Some((read, rest)) = read {
                assert_eq!(read.to_bits(), expected.to_bits(), "{text} in way {way}");
                assert_eq!(rest, b",\"longitude\":", "{text} in way {way}");
            }
        }
    }

    #[test]
    fn every_number_is_the_nearest_double() {
        for text in [
            "0",
            "-0",
            "-0.0",
            "41.3275",
            "19.8187",
            "99999999",
            "123456789",
            "0.1",
            "12345678.12345678",
            "1.12345678",
            "1.123456789012345",
            "9007199254740993",
            "90071992.54740993",
            "90071992.54740992",
            "19.818700000000003",
            "1e22",
            "1e23",
            "0.000000000000000000000001",
            "1e400",
            "5e-324",
            "12345678.123456789012345",
            "179.99999999999999",
            "0.12345678901",
            "100000000.5",
            "99999999.99999999999",
        ] {
            check_value(text);
        }
    }

    #[test]
    fn numbers_of_devices_take_the_short_cut() {
        for text in ["41.3275,123456789", "-180.1234567,12345678", "0,12345678", "120,1234567"] {
            assert!(read_short(text.as_bytes()).is_some(), "{text}");
        }
    }

    #[test]
    fn eight_digits_are_told_from_everything_else() {
        for at in 0..8 {
            for byte in 0..=255_u8 {
                let mut eight = *b"09182736";
                eight[at] = byte;
                assert_eq!(are_digits(eight), byte.is_ascii_digit(), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn a_run_of_digits_ends_where_it_ends() {
        for length in 0..40 {
            let text = "7".repeat(length);
            for tail in ["", "\"", ",123456789"] {
                let followed = format!("{text}{tail}");
                assert_eq!(long_run_end(followed.as_bytes(), 0), length, "{followed}");
                assert_eq!(run_end(followed.as_bytes(), 0), length, "{followed}");
            }
        }
    }
}
