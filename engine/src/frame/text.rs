//! The numbers of a frame, written as JavaScript writes them into a text of bounded length.
//!
//! Parts of known length and digits go straight to their place; only numbers that devices do not
//! send take the general way. The text is appended to the block in one piece.

/// The longest number that JavaScript writes: `-1.7976931348623157e+308`.
pub(super) const NUMBER_TEXT_BYTES: usize = 25;

/// The longest text of a 64-bit integer.
pub(super) const INTEGER_TEXT_BYTES: usize = 20;

/// Room for five numbers and their names; asserted where the names are.
pub(super) const TEXT_BYTES_MAX: usize = 176;

/// A text in the making.
#[derive(Debug)]
pub(super) struct Text {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; TEXT_BYTES_MAX], length: 0 }
    }
}

impl Text {
    /// What has been written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Appends a part whose length is known to the compiler.
    #[inline]
    pub(super) fn put<const BYTES: usize>(&mut self, part: &[u8; BYTES]) {
        self.bytes[self.length..self.length + BYTES].copy_from_slice(part);
        self.length += BYTES;
    }

    /// Appends a coordinate.
    ///
    /// Devices send multiples of 1e-7. If `value` is the double nearest to such a multiple, the
    /// trimmed decimal of it is the shortest text that reads back equal, because two decimals of at
    /// most 15 digits never share a double. The rest, and what JavaScript writes with an exponent,
    /// goes the general way.
    pub(super) fn put_degrees(&mut self, value: f64) {
        const SCALE: f64 = 1e7;
        const UNITS_MAX: u64 = 100_000_000_000_000;
        let scaled = value * SCALE;
        #[expect(clippy::cast_possible_truncation, reason = "compared with the original below")]
        let units = (scaled + 0.5_f64.copysign(scaled)) as i64;
        #[expect(clippy::cast_precision_loss, reason = "compared with the original")]
        #[expect(clippy::float_cmp, reason = "exact equality is the point")]
        let is_multiple = units as f64 / SCALE == value;
        let magnitude = units.unsigned_abs();
        if !is_multiple || !(10..=UNITS_MAX).contains(&magnitude) {
            self.put_slice(ryu_js::Buffer::new().format(value).as_bytes());
            return;
        }
        if units < 0 {
            self.put(b"-");
        }
        self.put_unsigned(magnitude / 10_000_000);
        let fraction = magnitude % 10_000_000;
        if fraction == 0 {
            return;
        }
        let digits = eight(fraction);
        let zero_count = (digits & DIGIT_BITS).leading_zeros() / 8;
        // Seven digits are all there are: the first of the eight is the point.
        self.put(&(digits - u64::from(b'0') + u64::from(b'.')).to_le_bytes());
        self.length -= zero_count as usize;
    }

    /// Appends a `real`: mostly a whole number.
    pub(super) fn put_small(&mut self, value: f32) {
        #[expect(clippy::cast_possible_truncation, reason = "compared with the original below")]
        let whole = value as i32;
        #[expect(clippy::cast_precision_loss, reason = "compared with the original")]
        #[expect(clippy::float_cmp, reason = "exact equality is the point")]
        if whole as f32 == value {
            self.put_integer(i64::from(whole));
            return;
        }
        self.put_slice(ryu_js::Buffer::new().format(value).as_bytes());
    }

    /// Appends a whole number.
    pub(super) fn put_integer(&mut self, value: i64) {
        if value < 0 {
            self.put(b"-");
        }
        self.put_unsigned(value.unsigned_abs());
    }

    fn put_unsigned(&mut self, value: u64) {
        const EIGHT: u64 = 100_000_000;
        if value < EIGHT {
            self.put_first(value);
        } else if value < EIGHT * EIGHT {
            self.put_first(value / EIGHT);
            self.put(&eight(value % EIGHT).to_le_bytes());
        } else {
            self.put_first(value / EIGHT / EIGHT);
            self.put(&eight(value / EIGHT % EIGHT).to_le_bytes());
            self.put(&eight(value % EIGHT).to_le_bytes());
        }
    }

    /// Appends a number of at most eight digits without zeros in front.
    fn put_first(&mut self, value: u64) {
        let digits = eight(value);
        // The first digit lies in the lowest byte. A lone 0 is all there is.
        let zero_count = ((digits & DIGIT_BITS).trailing_zeros() / 8).min(7);
        self.put(&(digits >> (8 * zero_count)).to_le_bytes());
        self.length -= zero_count as usize;
    }

    fn put_slice(&mut self, part: &[u8]) {
        self.bytes[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len();
    }
}

/// What distinguishes the digits from 0, in eight of them.
const DIGIT_BITS: u64 = 0x0f0f_0f0f_0f0f_0f0f;

/// The eight digits of a number that has no more, the first in the lowest byte.
fn eight(value: u64) -> u64 {
    let value = u32::try_from(value).expect("eight digits are below 2^32");
    let (high, low) = (value / 10_000, value % 10_000);
    let first = pair(high / 100) | pair(high % 100) << 16;
    let last = pair(low / 100) | pair(low % 100) << 16;
    first | last << 32
}

/// Two digits.
fn pair(value: u32) -> u64 {
    u64::from(PAIRS[value as usize])
}

/// `00` to `99`, the tens in the lower byte.
static PAIRS: [u16; 100] = {
    let mut pairs = [0; 100];
    let mut at = 0;
    let mut tens = b'0';
    while at < pairs.len() {
        let mut ones = b'0';
        while ones <= b'9' {
            pairs[at] = u16::from_le_bytes([tens, ones]);
            at += 1;
            ones += 1;
        }
        tens += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::Text;

    fn written(write: impl FnOnce(&mut Text)) -> String {
        let mut text = Text::default();
        write(&mut text);
        String::from_utf8(text.bytes().to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        fn degrees(value: f64, expected: &str) {
            assert_eq!(written(|text| text.put_degrees(value)), expected);
        }
        fn small(value: f32, expected: &str) {
            assert_eq!(written(|text| text.put_small(value)), expected);
        }
        degrees(0.0, "0");
        degrees(-0.0, "0");
        degrees(-90.0, "-90");
        degrees(1e-7, "1e-7");
        degrees(9e-7, "9e-7");
        degrees(0.000_001, "0.000001");
        degrees(-0.000_001_5, "-0.0000015");
        degrees(41.327_512_3, "41.3275123");
        degrees(179.999_999_9, "179.9999999");
        degrees(41.327_512_34, "41.32751234");
        degrees(0.1 + 0.2, "0.30000000000000004");
        degrees(1.5e-300, "1.5e-300");
        small(255.5, "255.5");
        small(0.1, "0.1");
        small(65_535.0, "65535");
        small(1e-7, "1e-7");
    }

    #[test]
    fn degrees_read_the_same_on_both_ways() {
        let mut state = 7_u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Of all magnitudes, so that short texts and long ones come.
            let units = (state >> 20) >> (state % 44);
            #[expect(clippy::cast_precision_loss, reason = "below 2^44")]
            let value = units as f64 / if state & 64 == 0 { 1e7 } else { -1e7 };
            let general = ryu_js::Buffer::new().format(value).to_owned();
            assert_eq!(written(|text| text.put_degrees(value)), general);
        }
    }

    #[test]
    fn integers_have_no_zeros_in_front() {
        fn check(value: i64) {
            assert_eq!(written(|text| text.put_integer(value)), value.to_string());
        }
        check(i64::MIN);
        check(i64::MAX);
        for digits in 0..19 {
            let power = 10_i64.pow(digits);
            for value in [power - 1, power, power + 1, power / 3, -power] {
                check(value);
            }
        }
    }
}
