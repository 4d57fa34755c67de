//! Device time as text, as JavaScript's `toISOString` writes it.

/// The last millisecond a JavaScript `Date` can hold: 100,000,000 days after 1970.
const DATE_MS_MAX: u64 = 8_640_000_000_000_000;

const DAY_MS: u64 = 86_400_000;

/// Appends `2026-06-06T08:15:30.000Z`, without quotes. `None`, and nothing appended, for a time
/// that no `Date` can hold.
///
/// Years after 9999 get a sign and six digits, as ISO 8601 has it.
pub fn write_timestamp(timestamp_ms: u64, out: &mut Vec<u8>) -> Option<()> {
    if timestamp_ms > DATE_MS_MAX {
        return None;
    }
    let (year, month, day) = civil_date(timestamp_ms / DAY_MS);
    let of_day_ms = timestamp_ms % DAY_MS;
    if year > 9999 {
        out.push(b'+');
    }
    append_digits(year, if year > 9999 { 6 } else { 4 }, out);
    for (separator, number, width) in [
        (b'-', month, 2),
        (b'-', day, 2),
        (b'T', of_day_ms / 3_600_000, 2),
        (b':', of_day_ms / 60_000 % 60, 2),
        (b':', of_day_ms / 1_000 % 60, 2),
        (b'.', of_day_ms % 1_000, 3),
    ] {
        out.push(separator);
        append_digits(number, width, out);
    }
    out.push(b'Z');
    Some(())
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Years are taken to begin in March: then the leap day is the last of its year, and the length of
/// the months before it follows one straight line of 153 days per 5 months.
const fn civil_date(day_since_1970: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097; // 400 years
    let day = day_since_1970 + 719_468; // from the first of March of the year 0
    let (era, day_of_era) = (day / ERA_DAYS, day % ERA_DAYS);
    let leap_days = day_of_era / 1_460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, is_next_year) =
        if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (era * 400 + year_of_era + is_next_year, month, day_of_month)
}

/// The lowest `width` decimal digits of `number`.
fn append_digits(number: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut rest = number;
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(timestamp_ms: u64, expected: &str) {
        let mut out = Vec::new();
        assert_eq!(write_timestamp(timestamp_ms, &mut out), Some(()));
        assert_eq!(str::from_utf8(&out).unwrap(), expected, "{timestamp_ms}");
    }

    #[test]
    fn time_is_written_as_javascript_writes_it() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(951_868_800_000, "2000-03-01T00:00:00.000Z");
        check(1_780_733_730_000, "2026-06-06T08:15:30.000Z");
        check(1_798_761_599_999, "2026-12-31T23:59:59.999Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
        check(253_402_300_799_999, "9999-12-31T23:59:59.999Z");
        check(253_402_300_800_000, "+010000-01-01T00:00:00.000Z");
        check(DATE_MS_MAX, "+275760-09-13T00:00:00.000Z");
    }

    #[test]
    fn time_beyond_every_date_is_not_written() {
        for timestamp_ms in [DATE_MS_MAX + 1, u64::MAX] {
            let mut out = b"kept".to_vec();
            assert_eq!(write_timestamp(timestamp_ms, &mut out), None);
            assert_eq!(out, b"kept");
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for number in 0..146_097 {
            assert_eq!(civil_date(number), (year, month, day));
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let month_days = match month {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > month_days {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
