//! The payload of a stream entry, byte for byte as the platform's `JSON.stringify` writes it.
//!
//! Two rules of JavaScript objects show in the bytes. Keys that look like integers come first and in
//! ascending order, whatever the order of assignment; so elements are sorted by id. And a key can be
//! there only once; so of elements with one id the last on the wire wins.

use crate::limits::TELTONIKA_ELEMENTS_MAX;

use super::record::{Record, Value};
use super::stream::Imei;
use super::timestamp::write_timestamp;

/// Writes payloads. Keeps only scratch memory, which stops growing after the first records.
#[derive(Debug, Default)]
pub struct PayloadWriter {
    /// The elements of one record as members of an object, in the order of the wire.
    text: Vec<u8>,
    /// Where in `text` each lies: at most [`TELTONIKA_ELEMENTS_MAX`].
    members: Vec<Member>,
}

/// One element's place in the text. Sorted by id, then by the order of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    id: u16,
    start: u32,
    end: u32,
}

impl PayloadWriter {
    /// A writer without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { text: Vec::new(), members: Vec::new() }
    }

    /// Appends the payload of `record` to `out`.
    ///
    /// A time that no JavaScript `Date` can hold becomes `null`, as there: whoever reads the entry
    /// refuses it, and it ends where refused entries end instead of vanishing here.
    pub fn write(&mut self, imei: &Imei, record: &Record<'_>, out: &mut Vec<u8>) {
        let fix = &record.fix;
        out.extend_from_slice(b"{\"device_id\":\"");
        out.extend_from_slice(imei.as_str().as_bytes());
        out.extend_from_slice(b"\",\"timestamp\":");
        append_timestamp(fix.timestamp_ms, out);
        out.extend_from_slice(b",\"latitude\":");
        append_degrees(fix.latitude_e7, out);
        out.extend_from_slice(b",\"longitude\":");
        append_degrees(fix.longitude_e7, out);
        out.extend_from_slice(b",\"altitude\":");
        if fix.altitude_m < 0 {
            out.push(b'-');
        }
        append_decimal(fix.altitude_m.unsigned_abs().into(), out);
        for (name, number) in [
            ("angle", fix.angle_deg),
            ("speed", fix.speed_kmh),
            ("satellites", fix.satellites.into()),
            ("priority", fix.priority.into()),
        ] {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            append_decimal(number.into(), out);
        }
        out.extend_from_slice(b",\"attributes\":{");
        self.collect_members(record);
        self.append_members(out);
        if let Some(generation_type) = fix.generation_type {
            if !self.members.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(b"\"__generation_type\":");
            append_decimal(generation_type.into(), out);
        }
        out.extend_from_slice(b"}}");
    }

    fn collect_members(&mut self, record: &Record<'_>) {
        self.text.clear();
        self.members.clear();
        for element in record.elements() {
            let start = offset(&self.text);
            self.text.push(b'"');
            append_decimal(element.id.into(), &mut self.text);
            self.text.extend_from_slice(b"\":");
            append_value(element.value, &mut self.text);
            self.members.push(Member { id: element.id, start, end: offset(&self.text) });
        }
        debug_assert!(self.members.len() <= TELTONIKA_ELEMENTS_MAX);
        self.members.sort_unstable();
    }

    fn append_members(&self, out: &mut Vec<u8>) {
        let mut separator: &[u8] = b"";
        for same_id in self.members.chunk_by(|one, next| one.id == next.id) {
            if let Some(last) = same_id.last() {
                out.extend_from_slice(separator);
                out.extend_from_slice(&self.text[last.start as usize..last.end as usize]);
                separator = b",";
            }
        }
    }
}

fn offset(text: &[u8]) -> u32 {
    u32::try_from(text.len()).expect("the text of one record is bounded by its packet")
}

fn append_timestamp(timestamp_ms: u64, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(b'"');
    if write_timestamp(timestamp_ms, out).is_some() {
        out.push(b'"');
    } else {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// A coordinate. The quotient is the number next to the decimal fraction, so its shortest form is
/// that fraction again; below 1e-6 JavaScript writes it with an exponent.
fn append_degrees(degrees_e7: i32, out: &mut Vec<u8>) {
    let degrees = f64::from(degrees_e7) / 1e7;
    out.extend_from_slice(ryu_js::Buffer::new().format_finite(degrees).as_bytes());
}

fn append_value(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::U8(number) => append_decimal(number.into(), out),
        Value::U16(number) => append_decimal(number.into(), out),
        Value::U32(number) => append_decimal(number.into(), out),
        Value::U64(number) => {
            out.extend_from_slice(b"{\"__bigint\":\"");
            append_decimal(number, out);
            out.extend_from_slice(b"\"}");
        }
        Value::Bytes(bytes) => {
            out.extend_from_slice(b"{\"__buffer_b64\":\"");
            append_base64(bytes, out);
            out.extend_from_slice(b"\"}");
        }
    }
}

/// Appends a number in decimal digits, without allocating.
pub fn append_decimal(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// The standard alphabet, padded: three bytes become four letters of six bits.
fn append_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for triple in bytes.chunks(3) {
        let byte = |index: usize| triple.get(index).copied().unwrap_or(0);
        let (a, b, c) = (byte(0), byte(1), byte(2));
        let sextets = [a >> 2, (a & 0x03) << 4 | b >> 4, (b & 0x0F) << 2 | c >> 6, c & 0x3F];
        for (place, sextet) in sextets.into_iter().enumerate() {
            let is_data = place <= triple.len();
            out.push(if is_data { ALPHABET[usize::from(sextet)] } else { b'=' });
        }
    }
}
