//! The model: Teltonika read in the plainest way, a whole connection at once, everything owned.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "numbers are cut to the width they were read with"
)]

use engine::position::Codec;
use engine::teltonika::{Element, Fix, Malformed, RecordPart, Value};

/// A record that owns what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub fix: Fix,
    pub elements: Vec<(u16, OwnedValue)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnedValue {
    /// The width in bytes and the number.
    Number(u8, u64),
    Bytes(Vec<u8>),
}

impl OwnedValue {
    pub(crate) fn view(&self) -> Value<'_> {
        match self {
            Self::Number(1, number) => Value::U8((*number).try_into().unwrap()),
            Self::Number(2, number) => Value::U16((*number).try_into().unwrap()),
            Self::Number(4, number) => Value::U32((*number).try_into().unwrap()),
            Self::Number(8, number) => Value::U64(*number),
            Self::Number(width, _) => panic!("no number is {width} bytes wide"),
            Self::Bytes(bytes) => Value::Bytes(bytes),
        }
    }
}

impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::U8(number) => Self::Number(1, number.into()),
            Value::U16(number) => Self::Number(2, number.into()),
            Value::U32(number) => Self::Number(4, number.into()),
            Value::U64(number) => Self::Number(8, number),
            Value::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

impl Record {
    pub(crate) fn elements_view(&self) -> Vec<Element<'_>> {
        self.elements.iter().map(|(id, value)| Element { id: *id, value: value.view() }).collect()
    }
}

/// What a connection said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Hello(String),
    Packet(Codec, Vec<Record>),
    Malformed(Malformed),
}

/// Everything a connection says, up to the message whose end is missing.
pub(crate) fn read_connection(bytes: &[u8]) -> Vec<Said> {
    let mut said = Vec::new();
    let Some(length) = bytes.get(..2) else { return said };
    let length = u16::from_be_bytes([length[0], length[1]]);
    if length != 15 && length != 16 {
        return vec![Said::Malformed(Malformed::ImeiLength(length))];
    }
    let mut at = 2 + usize::from(length);
    let Some(imei) = bytes.get(2..at) else { return said };
    if imei.iter().any(|byte| !byte.is_ascii_digit()) {
        return vec![Said::Malformed(Malformed::ImeiDigits)];
    }
    said.push(Said::Hello(String::from_utf8(imei.to_vec()).unwrap()));
    while at < bytes.len() {
        if bytes[at] == 0xFF {
            at += 1;
            continue;
        }
        match read_packet(&bytes[at..]) {
            Ok(None) => break,
            Ok(Some((packet_bytes, packet))) => {
                at += packet_bytes;
                said.push(packet);
            }
            Err(malformed) => {
                said.push(Said::Malformed(malformed));
                break;
            }
        }
    }
    said
}

/// The packet at the start and its length, or the error that ends the connection.
fn read_packet(bytes: &[u8]) -> Result<Option<(usize, Said)>, Malformed> {
    if bytes.iter().take(4).any(|byte| *byte != 0) {
        return Err(Malformed::Preamble);
    }
    let Some(length) = bytes.get(4..8) else { return Ok(None) };
    let length = u32::from_be_bytes(length.try_into().unwrap());
    if length < 3 {
        return Err(Malformed::LengthTooShort);
    }
    if length > 9_216 {
        return Err(Malformed::LengthTooLong(length));
    }
    let data_end = 8 + length as usize;
    let Some(checksum) = bytes.get(data_end..data_end + 4) else { return Ok(None) };
    let data = &bytes[8..data_end];
    let said = if u32::from_be_bytes(checksum.try_into().unwrap()) != u32::from(crc_by_bits(data)) {
        Said::Malformed(Malformed::Checksum)
    } else {
        let codec = match data[0] {
            8 => Codec::Codec8,
            16 => Codec::Codec16,
            142 => Codec::Codec8Extended,
            other => return Err(Malformed::Codec(other)),
        };
        if data[1] != data[data.len() - 1] {
            Said::Malformed(Malformed::CountsUnequal)
        } else {
            Said::Packet(codec, read_records(codec, data[1], &data[2..data.len() - 1])?)
        }
    };
    Ok(Some((data_end + 4, said)))
}

fn read_records(codec: Codec, count: u8, bytes: &[u8]) -> Result<Vec<Record>, Malformed> {
    if count == 0 {
        return Err(Malformed::NoRecords);
    }
    let mut cursor = Cursor { bytes, at: 0 };
    let mut records = Vec::new();
    for number in 1..=count {
        let mut part = RecordPart::Fix;
        match read_record(codec, &mut cursor, &mut part) {
            Some(record) => records.push(record),
            None => return Err(Malformed::RecordCutShort { number, part }),
        }
    }
    if cursor.at < bytes.len() {
        return Err(Malformed::DataLeftOver);
    }
    Ok(records)
}

fn read_record(codec: Codec, cursor: &mut Cursor<'_>, part: &mut RecordPart) -> Option<Record> {
    let (id_width, count_width) = match codec {
        Codec::Codec8 => (1, 1),
        Codec::Codec8Extended => (2, 2),
        Codec::Codec16 => (2, 1),
    };
    let mut fix = Fix {
        timestamp_ms: cursor.number(8)?,
        priority: cursor.number(1)? as u8,
        longitude_e7: cursor.number(4)? as u32 as i32,
        latitude_e7: cursor.number(4)? as u32 as i32,
        altitude_m: cursor.number(2)? as u16 as i16,
        angle_deg: cursor.number(2)? as u16,
        satellites: cursor.number(1)? as u8,
        speed_kmh: cursor.number(2)? as u16,
        event_io_id: cursor.number(id_width)? as u16,
        generation_type: None,
    };
    if codec == Codec::Codec16 {
        fix.generation_type = Some(cursor.number(1)? as u8);
    }
    cursor.number(count_width)?;
    let mut elements = Vec::new();
    for (width, group) in [
        (1, RecordPart::Elements1),
        (2, RecordPart::Elements2),
        (4, RecordPart::Elements4),
        (8, RecordPart::Elements8),
    ] {
        *part = group;
        for _ in 0..cursor.number(count_width)? {
            let id = cursor.number(id_width)? as u16;
            elements.push((id, OwnedValue::Number(width, cursor.number(width.into())?)));
        }
    }
    if codec == Codec::Codec8Extended {
        *part = RecordPart::VariableElements;
        for _ in 0..cursor.number(2)? {
            let id = cursor.number(2)? as u16;
            let length = cursor.number(2)? as usize;
            elements.push((id, OwnedValue::Bytes(cursor.bytes(length)?.to_vec())));
        }
    }
    Some(Record { fix, elements })
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(self.at..self.at + count)?;
        self.at += count;
        Some(bytes)
    }

    fn number(&mut self, width: usize) -> Option<u64> {
        Some(self.bytes(width)?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }
}

/// The checksum by its definition, bit by bit.
pub(crate) fn crc_by_bits(bytes: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc % 2 == 1 { (crc / 2) ^ 0xA001 } else { crc / 2 };
        }
    }
    crc
}

/// The payload by string formatting, from the members in order of their ids.
pub(crate) fn payload(imei: &str, timestamp: &str, record: &Record) -> String {
    let fix = &record.fix;
    let mut members = std::collections::BTreeMap::new();
    for (id, value) in &record.elements {
        let text = match value {
            OwnedValue::Number(8, number) => format!(r#"{{"__bigint":"{number}"}}"#),
            OwnedValue::Number(_, number) => number.to_string(),
            OwnedValue::Bytes(bytes) => format!(r#"{{"__buffer_b64":"{}"}}"#, base64(bytes)),
        };
        members.insert(*id, format!("\"{id}\":{text}"));
    }
    let mut members: Vec<String> = members.into_values().collect();
    members.extend(fix.generation_type.map(|number| format!("\"__generation_type\":{number}")));
    format!(
        r#"{{"device_id":"{imei}","timestamp":"{timestamp}","latitude":{},"longitude":{},"altitude":{},"angle":{},"speed":{},"satellites":{},"priority":{},"attributes":{{{}}}}}"#,
        degrees(fix.latitude_e7),
        degrees(fix.longitude_e7),
        fix.altitude_m,
        fix.angle_deg,
        fix.speed_kmh,
        fix.satellites,
        fix.priority,
        members.join(",")
    )
}

/// Seven decimals as text, without trailing zeros; an exponent below 1e-6 as in JavaScript.
fn degrees(degrees_e7: i32) -> String {
    let sign = if degrees_e7 < 0 { "-" } else { "" };
    let size = degrees_e7.unsigned_abs();
    if (1..10).contains(&size) {
        return format!("{sign}{size}e-7");
    }
    let text = format!("{sign}{}.{:07}", size / 10_000_000, size % 10_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Base64 by way of a string of bits.
fn base64(bytes: &[u8]) -> String {
    let mut bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    while !bits.len().is_multiple_of(6) {
        bits.push('0');
    }
    let alphabet: Vec<char> =
        ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let mut text = String::new();
    for start in (0..bits.len()).step_by(6) {
        text.push(alphabet[usize::from_str_radix(&bits[start..start + 6], 2).unwrap()]);
    }
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}
