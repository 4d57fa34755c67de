//! The other way: from a fix and its IO elements to the bytes a device would send.
//!
//! For everything that plays a device. What the codec cannot say is refused, never shortened.

use std::fmt;

use crate::limits::{IMEI_DIGITS_MAX, TELTONIKA_DATA_BYTES_MAX};
use crate::position::Codec;

use super::codec_byte;
use super::crc::crc16;
use super::record::{Element, Fix, GROUP_VALUE_BYTES, Layout, Value};
use super::stream::Imei;

/// A record to be sent.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingRecord<'a> {
    /// Where and when.
    pub fix: Fix,
    /// In any order; the wire groups them by size and keeps their order within a group.
    pub elements: &'a [Element<'a>],
}

/// Why a packet cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// A packet carries 1 to 255 records.
    RecordCount(usize),
    /// Codec 16 must give the reason of a record, the others cannot.
    GenerationType,
    /// The codec has one byte for an id, of an element or of the event.
    ElementId(u16),
    /// More elements than the codec can count.
    ElementCount(usize),
    /// Only codec 8E carries values of variable length.
    VariableElement(u16),
    /// The data would be longer than [`TELTONIKA_DATA_BYTES_MAX`].
    DataTooLong(usize),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::RecordCount(count) => write!(out, "a packet cannot carry {count} records"),
            Self::GenerationType => out.write_str("a generation type belongs to codec 16 alone"),
            Self::ElementId(id) => write!(out, "the id {id} does not fit into one byte"),
            Self::ElementCount(count) => write!(out, "the codec cannot count {count} elements"),
            Self::VariableElement(id) => {
                write!(out, "element {id} has a variable length, which needs codec 8E")
            }
            Self::DataTooLong(bytes) => write!(out, "data of {bytes} bytes are over the bound"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// Appends the handshake of a device.
pub fn encode_hello(imei: &Imei, out: &mut Vec<u8>) {
    const _: () = assert!(IMEI_DIGITS_MAX <= 0xFF);
    let digits = imei.as_str().as_bytes();
    out.push(0);
    out.extend(u8::try_from(digits.len()));
    out.extend_from_slice(digits);
}

/// Appends one packet, or leaves `out` as it was.
pub fn encode_packet(
    codec: Codec,
    records: &[OutgoingRecord<'_>],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let packet_start = out.len();
    let result = append_packet(codec, records, out);
    if result.is_err() {
        out.truncate(packet_start);
    }
    result
}

fn append_packet(
    codec: Codec,
    records: &[OutgoingRecord<'_>],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let wrong_count = EncodeError::RecordCount(records.len());
    let count = u8::try_from(records.len()).map_err(|_| wrong_count)?;
    if count == 0 {
        return Err(wrong_count);
    }
    out.extend_from_slice(&[0; 8]);
    let data_start = out.len();
    out.extend_from_slice(&[codec_byte(codec), count]);
    for record in records {
        append_record(Layout::of(codec), record, out)?;
    }
    out.push(count);

    let data_bytes = out.len() - data_start;
    let too_long = EncodeError::DataTooLong(data_bytes);
    if data_bytes > TELTONIKA_DATA_BYTES_MAX {
        return Err(too_long);
    }
    let length = u32::try_from(data_bytes).map_err(|_| too_long)?;
    out[data_start - 4..data_start].copy_from_slice(&length.to_be_bytes());
    let checksum = u32::from(crc16(&out[data_start..]));
    out.extend_from_slice(&checksum.to_be_bytes());
    Ok(())
}

fn append_record(
    layout: Layout,
    record: &OutgoingRecord<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let fix = &record.fix;
    if fix.generation_type.is_some() != layout.has_generation_type {
        return Err(EncodeError::GenerationType);
    }
    out.extend_from_slice(&fix.timestamp_ms.to_be_bytes());
    out.push(fix.priority);
    out.extend_from_slice(&fix.longitude_e7.to_be_bytes());
    out.extend_from_slice(&fix.latitude_e7.to_be_bytes());
    out.extend_from_slice(&fix.altitude_m.to_be_bytes());
    out.extend_from_slice(&fix.angle_deg.to_be_bytes());
    out.push(fix.satellites);
    out.extend_from_slice(&fix.speed_kmh.to_be_bytes());
    append_id(layout, fix.event_io_id, out)?;
    out.extend(fix.generation_type);
    append_count(layout, record.elements.len(), out)?;
    for value_bytes in GROUP_VALUE_BYTES {
        append_group(layout, value_bytes, record.elements, out)?;
    }
    append_variable_group(layout, record.elements, out)
}

/// The elements whose values have `value_bytes` bytes.
fn append_group(
    layout: Layout,
    value_bytes: usize,
    elements: &[Element<'_>],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let of_group =
        || elements.iter().filter(|element| fixed_bytes(element.value) == Some(value_bytes));
    append_count(layout, of_group().count(), out)?;
    for element in of_group() {
        append_id(layout, element.id, out)?;
        match element.value {
            Value::U8(value) => out.push(value),
            Value::U16(value) => out.extend_from_slice(&value.to_be_bytes()),
            Value::U32(value) => out.extend_from_slice(&value.to_be_bytes()),
            Value::U64(value) => out.extend_from_slice(&value.to_be_bytes()),
            Value::Bytes(_) => unreachable!("variable elements are in no group of fixed size"),
        }
    }
    Ok(())
}

fn append_variable_group(
    layout: Layout,
    elements: &[Element<'_>],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let variable = || {
        elements.iter().filter_map(|element| match element.value {
            Value::Bytes(bytes) => Some((element.id, bytes)),
            Value::U8(_) | Value::U16(_) | Value::U32(_) | Value::U64(_) => None,
        })
    };
    if !layout.has_variable_group {
        return match variable().next() {
            Some((id, _)) => Err(EncodeError::VariableElement(id)),
            None => Ok(()),
        };
    }
    append_count(layout, variable().count(), out)?;
    for (id, bytes) in variable() {
        let length =
            u16::try_from(bytes.len()).map_err(|_| EncodeError::DataTooLong(bytes.len()))?;
        append_id(layout, id, out)?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(bytes);
    }
    Ok(())
}

const fn fixed_bytes(value: Value<'_>) -> Option<usize> {
    match value {
        Value::U8(_) => Some(1),
        Value::U16(_) => Some(2),
        Value::U32(_) => Some(4),
        Value::U64(_) => Some(8),
        Value::Bytes(_) => None,
    }
}

fn append_id(layout: Layout, id: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    append_number(layout.id_bytes, id, out).ok_or(EncodeError::ElementId(id))
}

fn append_count(layout: Layout, count: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    u16::try_from(count)
        .ok()
        .and_then(|number| append_number(layout.count_bytes, number, out))
        .ok_or(EncodeError::ElementCount(count))
}

/// Appends a number that is one or two bytes wide, if it fits.
fn append_number(width_bytes: usize, number: u16, out: &mut Vec<u8>) -> Option<()> {
    if width_bytes == 1 {
        out.push(u8::try_from(number).ok()?);
    } else {
        out.extend_from_slice(&number.to_be_bytes());
    }
    Some(())
}
