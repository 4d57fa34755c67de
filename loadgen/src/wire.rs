//! What arrives in a race, as bytes: Teltonika packets, or the fields of a Redis entry.

use engine::position::Codec;
use engine::teltonika::{
    Element, OutgoingRecord, Packet, PayloadWriter, Value, encode_packet, write_timestamp,
};

use crate::race::{Arrival, imei_of_device};

/// IO elements of one record.
const ELEMENTS_MAX: usize = 9;

/// Appends the packet that carries `arrivals`: records of one packet, as [`crate::race::Race`]
/// gives them one after the other.
///
/// # Panics
/// When they are none, or more than one packet can carry.
pub fn append_packet(arrivals: &[Arrival], out: &mut Vec<u8>) {
    let lists: Vec<ElementList<'_>> = arrivals.iter().map(ElementList::of).collect();
    let records: Vec<OutgoingRecord<'_>> = arrivals
        .iter()
        .zip(&lists)
        .map(|(arrival, list)| OutgoingRecord { fix: arrival.fix, elements: list.as_slice() })
        .collect();
    let codec = arrivals.first().map_or(Codec::Codec8, |first| first.codec);
    encode_packet(codec, &records, out).expect("a race says only what its codecs can");
}

/// The fields of a stream entry, as the ingestion service adds it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Device time, ISO 8601; empty when no text can say it.
    pub ts: &'a str,
    /// The IMEI.
    pub device_id: &'a str,
    /// `8`, `8E` or `16`.
    pub codec: &'static str,
    /// JSON, the source of truth.
    pub payload: &'a str,
}

/// Writes entries, one after the other into the same memory.
///
/// Each record goes through a real packet, so an entry is what reading a device would give.
#[derive(Debug, Default)]
pub struct EntryWriter {
    packet: Vec<u8>,
    payload_writer: PayloadWriter,
    /// Timestamp, device and payload, without gaps.
    text: Vec<u8>,
}

impl EntryWriter {
    /// A writer without memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The entry of one record.
    pub fn entry(&mut self, arrival: &Arrival) -> Entry<'_> {
        self.packet.clear();
        self.text.clear();
        let list = ElementList::of(arrival);
        let outgoing = OutgoingRecord { fix: arrival.fix, elements: list.as_slice() };
        encode_packet(arrival.codec, &[outgoing], &mut self.packet)
            .expect("a race says only what its codecs can");
        let (framed, &checksum) = self.packet.split_last_chunk().expect("a whole packet");
        let packet = Packet::decode(&framed[8..], checksum).expect("just encoded");
        let record = packet.records().next().expect("one record");

        let imei = imei_of_device(arrival.device);
        // A time without text leaves the field empty.
        let has_time = write_timestamp(arrival.fix.timestamp_ms, &mut self.text).is_some();
        debug_assert!(has_time || self.text.is_empty());
        let ts_end = self.text.len();
        self.text.extend_from_slice(imei.as_str().as_bytes());
        let device_end = self.text.len();
        self.payload_writer.write(&imei, &record, &mut self.text);

        let text = str::from_utf8(&self.text).expect("all of it is ASCII");
        Entry {
            ts: &text[..ts_end],
            device_id: &text[ts_end..device_end],
            codec: arrival.codec.text(),
            payload: &text[device_end..],
        }
    }
}

/// The IO elements of one record, without allocation.
struct ElementList<'a> {
    elements: [Element<'a>; ELEMENTS_MAX],
    count: usize,
}

impl<'a> ElementList<'a> {
    fn of(arrival: &'a Arrival) -> Self {
        let readings = &arrival.readings;
        let element = |id, value| Element { id, value };
        let elements = [
            element(239, Value::U8(1)),
            element(240, Value::U8(readings.is_moving.into())),
            element(21, Value::U8(readings.signal)),
            element(69, Value::U8(if arrival.fix.satellites == 0 { 3 } else { 1 })),
            element(66, Value::U16(readings.voltage_mv)),
            element(16, Value::U32(readings.odometer_m)),
            element(78, Value::U64(readings.driver)),
            element(449, Value::U32(readings.odometer_m / 20)), // an id of two bytes
            element(385, Value::Bytes(&readings.telegram)),
        ];
        let count = match arrival.codec {
            Codec::Codec8 => ELEMENTS_MAX - 2,
            Codec::Codec16 => ELEMENTS_MAX - 1,
            Codec::Codec8Extended => ELEMENTS_MAX,
        };
        Self { elements, count }
    }

    fn as_slice(&self) -> &[Element<'a>] {
        &self.elements[..self.count]
    }
}
