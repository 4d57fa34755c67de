//! A packet's data, checked once as a whole, then read record by record where it lies.

use crate::limits::TELTONIKA_DATA_BYTES_MAX;
use crate::position::Codec;

use super::codec_of_byte;
use super::crc::crc16;
use super::malformed::{Malformed, Reaction, RecordPart};
use super::record::{Fix, GROUP_VALUE_BYTES, Layout, Record, read_number, take};

/// A packet whose checksum, counts and every record are known to be whole.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    codec: Codec,
    record_count: u8,
    records: &'a [u8],
    data: &'a [u8],
    checksum: [u8; 4],
}

impl<'a> Packet<'a> {
    /// Checks `data` (codec to second count) against the four bytes behind it.
    ///
    /// The order of the checks matters: while the checksum is wrong no other byte means anything.
    pub fn decode(data: &'a [u8], checksum: [u8; 4]) -> Result<Self, Malformed> {
        let &[codec_byte, count, ref records @ .., count_again] = data else {
            return Err(Malformed::LengthTooShort);
        };
        if data.len() > TELTONIKA_DATA_BYTES_MAX {
            return Err(Malformed::LengthTooLong(u32::try_from(data.len()).unwrap_or(u32::MAX)));
        }
        if u32::from_be_bytes(checksum) != u32::from(crc16(data)) {
            return Err(Malformed::Checksum);
        }
        let codec = codec_of_byte(codec_byte).ok_or(Malformed::Codec(codec_byte))?;
        if count != count_again {
            return Err(Malformed::CountsUnequal);
        }
        if count == 0 {
            return Err(Malformed::NoRecords);
        }
        let mut rest = records;
        for number in 1..=count {
            decode_record(codec, &mut rest)
                .map_err(|part| Malformed::RecordCutShort { number, part })?;
        }
        if !rest.is_empty() {
            return Err(Malformed::DataLeftOver);
        }
        Ok(Self { codec, record_count: count, records, data, checksum })
    }

    /// The codec of all its records.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// How many records there are: 1 to 255. What a device expects as the answer.
    #[must_use]
    pub const fn record_count(&self) -> u8 {
        self.record_count
    }

    /// What it was decoded from: codec byte to second count.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The four bytes behind the data.
    #[must_use]
    pub const fn checksum(&self) -> [u8; 4] {
        self.checksum
    }

    /// How to answer it, once its records are safe.
    #[must_use]
    pub fn reaction(&self) -> Reaction {
        Reaction::Answer(u32::from(self.record_count))
    }

    /// The records in the order of the wire, which is not always that of time.
    #[must_use]
    pub const fn records(&self) -> Records<'a> {
        Records { codec: self.codec, rest: self.records, left: self.record_count }
    }
}

/// Iterates over the records of a packet.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    codec: Codec,
    rest: &'a [u8],
    left: u8,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        self.left = self.left.checked_sub(1)?;
        decode_record(self.codec, &mut self.rest).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Records<'_> {}

/// Takes one record off `rest`, or says which part of it the bytes do not suffice for.
fn decode_record<'a>(codec: Codec, rest: &mut &'a [u8]) -> Result<Record<'a>, RecordPart> {
    let layout = Layout::of(codec);
    let fix = decode_fix(layout, rest).ok_or(RecordPart::Fix)?;
    let groups_start = *rest;
    for (value_bytes, part) in GROUP_VALUE_BYTES.into_iter().zip(RecordPart::GROUPS) {
        let count = read_number(rest, layout.count_bytes).ok_or(part)?;
        let group_bytes = usize::from(count) * (layout.id_bytes + value_bytes);
        rest.split_off(..group_bytes).ok_or(part)?;
    }
    if layout.has_variable_group {
        skip_variable_group(layout, rest).ok_or(RecordPart::VariableElements)?;
    }
    let groups = &groups_start[..groups_start.len() - rest.len()];
    Ok(Record::new(fix, codec, groups))
}

/// The record up to its element groups, with the total of elements read over.
fn decode_fix(layout: Layout, rest: &mut &[u8]) -> Option<Fix> {
    let fix = Fix {
        timestamp_ms: u64::from_be_bytes(take(rest)?),
        priority: u8::from_be_bytes(take(rest)?),
        longitude_e7: i32::from_be_bytes(take(rest)?),
        latitude_e7: i32::from_be_bytes(take(rest)?),
        altitude_m: i16::from_be_bytes(take(rest)?),
        angle_deg: u16::from_be_bytes(take(rest)?),
        satellites: u8::from_be_bytes(take(rest)?),
        speed_kmh: u16::from_be_bytes(take(rest)?),
        event_io_id: read_number(rest, layout.id_bytes)?,
        generation_type: if layout.has_generation_type {
            Some(u8::from_be_bytes(take(rest)?))
        } else {
            None
        },
    };
    read_number(rest, layout.count_bytes)?;
    Some(fix)
}

fn skip_variable_group(layout: Layout, rest: &mut &[u8]) -> Option<()> {
    let count = read_number(rest, layout.count_bytes)?;
    for _ in 0..count {
        read_number(rest, layout.id_bytes)?;
        let length = u16::from_be_bytes(take(rest)?);
        rest.split_off(..usize::from(length))?;
    }
    Some(())
}
