//! ISO 8601 text to epoch milliseconds.
//!
//! Refuses whatever does not name exactly one millisecond between 2000 and 2100: no zone, days and
//! times that do not exist, leap seconds, anything finer than a millisecond.

use super::error::TimestampFault;
use crate::limits::{TIMESTAMP_MS_MAX, TIMESTAMP_MS_MIN};

/// Longest text that can be a timestamp: `2026-06-06T08:15:30.123000000+00:00`.
pub(super) const TIMESTAMP_BYTES_MAX: usize = 35;

/// Length of the form the platform writes: `2026-06-06T08:15:30.000Z`.
pub(super) const USUAL_BYTES: usize = 24;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;
const SECOND_MS: i64 = 1_000;

/// Reads `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)`.
pub(super) fn read(text: &[u8]) -> Result<i64, TimestampFault> {
    let (moment, rest) = text.split_first_chunk::<19>().ok_or(TimestampFault::Form)?;
    let separators = [moment[4], moment[7], moment[10], moment[13], moment[16]];
    if separators != *b"--T::" {
        return Err(TimestampFault::Form);
    }
    let (date, time) = (read_date(moment)?, read_time(moment)?);
    let (fraction_ms, zone) = read_fraction(rest)?;
    in_range(date * DAY_MS + time + fraction_ms - read_zone(zone)?)
}

/// [`read`] for the form the platform writes, 8 bytes at a time. `None` says nothing about other
/// forms.
#[inline]
pub(super) fn read_usual(text: &[u8; USUAL_BYTES]) -> Option<i64> {
    let ([date, day_and_minute, second], []) = text.as_chunks::<8>() else { return None };
    let date = Fields::read(*date, *b"0000-00-")?;
    let day_and_minute = Fields::read(*day_and_minute, *b"00T00:00")?;
    let second = Fields::read(*second, *b":00.000Z")?;
    let days =
        days(date.pair(0) * 100 + date.pair(2), date.pair(5), day_and_minute.pair(0)).ok()?;
    let time = time_ms(day_and_minute.pair(3), day_and_minute.pair(6), second.pair(1)).ok()?;
    let fraction_ms = second.pair(4) * 10 + second.digit(6);
    in_range(days * DAY_MS + time + i64::from(fraction_ms)).ok()
}

/// Eight bytes of which some are digits and the others are what they should be.
struct Fields {
    digits: [u8; 8],
    /// Each digit times ten plus the next one.
    pairs: [u8; 8],
}

impl Fields {
    /// `form` has `0` where a digit belongs and otherwise the byte that belongs there.
    #[inline]
    fn read(text: [u8; 8], form: [u8; 8]) -> Option<Self> {
        // Added to a byte, it sets the highest bit: above 9 for a digit, above 0 for the others.
        let above = u64::from_le_bytes(form.map(|byte| if byte == b'0' { 0x76 } else { 0x7f }));
        let word = u64::from_le_bytes(text) ^ u64::from_le_bytes(form);
        if (word.wrapping_add(above) | word) & 0x8080_8080_8080_8080 != 0 {
            return None;
        }
        let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
        Some(Self { digits: word.to_le_bytes(), pairs: pairs.to_le_bytes() })
    }

    #[inline]
    fn digit(&self, at: usize) -> u32 {
        u32::from(self.digits[at])
    }

    #[inline]
    fn pair(&self, at: usize) -> u32 {
        u32::from(self.pairs[at])
    }
}

fn read_date(moment: &[u8; 19]) -> Result<i64, TimestampFault> {
    let year = pair(moment[0], moment[1])? * 100 + pair(moment[2], moment[3])?;
    days(year, pair(moment[5], moment[6])?, pair(moment[8], moment[9])?)
}

fn read_time(moment: &[u8; 19]) -> Result<i64, TimestampFault> {
    time_ms(
        pair(moment[11], moment[12])?,
        pair(moment[14], moment[15])?,
        pair(moment[17], moment[18])?,
    )
}

/// The milliseconds after the second, and the zone behind them.
fn read_fraction(rest: &[u8]) -> Result<(i64, &[u8]), TimestampFault> {
    let Some(fraction) = rest.strip_prefix(b".") else { return Ok((0, rest)) };
    let count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return Err(TimestampFault::Form);
    }
    let (digits, zone) = fraction.split_at(count);
    let (kept, finer) = digits.split_at(count.min(3));
    if finer.iter().any(|&digit| digit != b'0') {
        return Err(TimestampFault::TooFine);
    }
    let mut ms = 0;
    for place in 0..3 {
        ms = ms * 10 + kept.get(place).map_or(0, |digit| i64::from(digit - b'0'));
    }
    Ok((ms, zone))
}

/// How far the clock on the wall is ahead of UTC, in milliseconds.
fn read_zone(zone: &[u8]) -> Result<i64, TimestampFault> {
    match *zone {
        [b'Z'] => Ok(0),
        [] => Err(TimestampFault::ZoneMissing),
        [sign @ (b'+' | b'-'), hour_tens, hour_ones, b':', minute_tens, minute_ones] => {
            let (hours, minutes) = (pair(hour_tens, hour_ones)?, pair(minute_tens, minute_ones)?);
            let ahead_ms = time_ms(hours, minutes, 0).map_err(|_| TimestampFault::Zone)?;
            Ok(if sign == b'+' { ahead_ms } else { -ahead_ms })
        }
        _ => Err(TimestampFault::Form),
    }
}

fn pair(tens: u8, ones: u8) -> Result<u32, TimestampFault> {
    if tens.is_ascii_digit() && ones.is_ascii_digit() {
        Ok(u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
    } else {
        Err(TimestampFault::Form)
    }
}

#[inline]
fn time_ms(hour: u32, minute: u32, second: u32) -> Result<i64, TimestampFault> {
    if hour > 23 || minute > 59 || second > 59 {
        return Err(TimestampFault::TimeOfDay);
    }
    let (hour, minute, second) = (i64::from(hour), i64::from(minute), i64::from(second));
    Ok(hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
#[inline]
fn days(year: u32, month: u32, day: u32) -> Result<i64, TimestampFault> {
    /// Days before 1970-01-01 in a calendar whose year 0 begins on 1 March.
    const DAYS_TO_1970: i64 = 719_468;
    const LENGTHS: [u32; 16] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0, 0, 0];
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = LENGTHS[(month & 15) as usize] + u32::from(leap && month == 2);
    if month > 12 || day == 0 || day > length {
        return Err(TimestampFault::Date);
    }
    // Counted from March the leap day is the last of its year, and the months before it have
    // lengths that one division yields.
    let year = i64::from(year) - i64::from(month < 3);
    let month = if month < 3 { month + 9 } else { month - 3 };
    let before_year = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Ok(before_year + i64::from((153 * month + 2) / 5 + day - 1) - DAYS_TO_1970)
}

#[inline]
fn in_range(timestamp_ms: i64) -> Result<i64, TimestampFault> {
    if timestamp_ms < TIMESTAMP_MS_MIN {
        Err(TimestampFault::TooOld)
    } else if timestamp_ms > TIMESTAMP_MS_MAX {
        Err(TimestampFault::TooFar)
    } else {
        Ok(timestamp_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::{TIMESTAMP_BYTES_MAX, days, read, read_usual};
    use crate::decode::TimestampFault::{self, Date, Form, TimeOfDay, TooFar, TooFine, TooOld};
    use crate::decode::TimestampFault::{Zone, ZoneMissing};

    fn check(text: &str, expected: Result<i64, TimestampFault>) {
        assert_eq!(read(text.as_bytes()), expected, "{text}");
        if let Ok(usual) = text.as_bytes().try_into()
            && let Some(timestamp_ms) = read_usual(usual)
        {
            assert_eq!(Ok(timestamp_ms), expected, "{text}");
        }
    }

    #[test]
    fn a_timestamp_names_one_millisecond() {
        check("2026-06-06T08:15:30.000Z", Ok(1_780_733_730_000));
        check("2026-06-06T08:15:30Z", Ok(1_780_733_730_000));
        check("2026-06-06T08:15:30.1Z", Ok(1_780_733_730_100));
        check("2026-06-06T08:15:30.123000000Z", Ok(1_780_733_730_123));
        check("2026-06-06T10:15:30.123000000+02:00", Ok(1_780_733_730_123));
        check("2026-06-05T18:45:30-13:30", Ok(1_780_733_730_000));
        check("2026-06-06T08:15:30-00:00", Ok(1_780_733_730_000));
        check("2028-02-29T00:00:00Z", Ok(1_835_395_200_000));
        check("2000-01-01T00:00:00.000Z", Ok(946_684_800_000));
        check("2100-01-01T00:00:00.000Z", Ok(4_102_444_800_000));
        check("2038-01-19T03:14:08.000Z", Ok(2_147_483_648_000));
    }

    #[test]
    fn what_names_no_millisecond_is_refused() {
        check("2026-06-06T08:15:30.123456Z", Err(TooFine));
        check("2026-06-06T08:15:30.000000001Z", Err(TooFine));
        check("2026-06-06T08:15:30", Err(ZoneMissing));
        check("2026-06-06T08:15:30.000", Err(ZoneMissing));
        check("2026-06-06T08:15:30+24:00", Err(Zone));
        check("2026-06-06T08:15:30+02:60", Err(Zone));
        check("2026-06-06T08:15:60Z", Err(TimeOfDay));
        check("2026-06-06T24:00:00Z", Err(TimeOfDay));
        check("2026-06-06T08:60:00.000Z", Err(TimeOfDay));
        for day in ["2026-02-29", "2100-02-29", "2026-04-31", "2026-13-01", "2026-00-10"] {
            check(&format!("{day}T08:15:30.000Z"), Err(Date));
        }
        for text in [
            "",
            "now",
            "infinity",
            "2026-06-06",
            "1780733730000",
            "2026-06-06 08:15:30Z",
            "2026-06-06t08:15:30Z",
            "2026-06-06T08:15:30z",
            "2026-06-06T08:15:30.Z",
            "2026-06-06T08:15:30,5Z",
            "2026-06-06T08:15:30.0000000000Z",
            "2026-06-06T08:15:30+0200",
            "2026-06-06T08:15:30+02",
            "2026-06-06T08:15Z",
            "294277-01-01T00:00:00Z",
            "+002026-06-06T08:15:30Z",
            "2026-06-06T08:15:30.000Z ",
            "2026-W23-6T08:15:30.000Z",
        ] {
            check(text, Err(Form));
        }
    }

    #[test]
    fn clocks_that_were_never_set_or_are_broken_are_refused() {
        check("1999-12-31T23:59:59.999Z", Err(TooOld));
        check("1980-01-06T00:00:00.000Z", Err(TooOld));
        check("1970-01-01T00:00:00.000Z", Err(TooOld));
        check("0000-01-01T00:00:00.000Z", Err(TooOld));
        check("2000-01-01T00:00:00.000+00:01", Err(TooOld));
        check("2100-01-01T00:00:00.001Z", Err(TooFar));
        check("2106-02-07T06:28:16.000Z", Err(TooFar));
        check("9999-12-31T23:59:59.999Z", Err(TooFar));
    }

    #[test]
    fn days_follow_each_other_without_gap() {
        let mut expected = days(1999, 12, 31).unwrap();
        let mut count = 0;
        for year in 2000..2101 {
            for month in 1..13 {
                for day in 1..32 {
                    if let Ok(number) = days(year, month, day) {
                        expected += 1;
                        count += 1;
                        assert_eq!(number, expected, "{year}-{month}-{day}");
                    }
                }
            }
        }
        assert_eq!(count, 101 * 365 + 25);
    }

    #[test]
    fn the_usual_form_is_read_as_the_general_reader_reads_it() {
        let usual = b"2026-06-06T08:15:30.789Z";
        assert_eq!(read_usual(usual), read(usual).ok());
        assert!(read_usual(usual).is_some());
        for at in 0..usual.len() {
            for byte in 0..=255 {
                let mut text = *usual;
                text[at] = byte;
                assert_eq!(read_usual(&text), read(&text).ok(), "byte {byte} at {at}");
            }
        }
    }

    #[test]
    fn the_longest_form_has_the_length_we_say() {
        let longest = "2026-06-06T10:15:30.123000000+02:00";
        assert_eq!(longest.len(), TIMESTAMP_BYTES_MAX);
        check(longest, Ok(1_780_733_730_123));
    }
}
