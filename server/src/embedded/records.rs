//! From a packet of a device to positions for viewers and rows for the store: decoded once.
//!
//! A record goes through the payload that a stream entry would have, so that what is shown, stored or
//! refused here is the same as on a platform.

use engine::decode::{Decoder, write_for_database};
use engine::position::Position;
use engine::teltonika::{self, Imei, PayloadWriter};
use tokio::sync::oneshot;

use crate::ingest::packets::Packet;

/// What the store gets of one packet; its device is answered when all of it is committed.
#[derive(Debug)]
pub(super) struct Parcel {
    /// Who sent it.
    pub(super) imei: Imei,
    /// The rows, in the order of the wire.
    pub(super) rows: Vec<Row>,
    /// Records that are no position. They are kept, too: the device would send them for ever.
    pub(super) refused: Vec<RefusedRecord>,
    /// Told after the commit; dropped untold, the device sends again.
    pub(super) safe: oneshot::Sender<()>,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// The fix.
    pub(super) position: Position,
    /// The attributes as the column keeps them.
    pub(super) attributes: Box<str>,
}

/// A record that is neither shown nor a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefusedRecord {
    /// The codec, as the column has it.
    pub(super) codec: &'static str,
    /// Why, in one sentence.
    pub(super) reason: String,
    /// What a stream entry would have held.
    pub(super) payload: Box<str>,
}

/// Reads packets. Keeps scratch memory, which stops growing after the first records.
#[derive(Debug, Default)]
pub(super) struct Reader {
    payloads: PayloadWriter,
    decoder: Decoder,
    payload: Vec<u8>,
    attributes: Vec<u8>,
}

impl Reader {
    /// What becomes of a packet.
    pub(super) fn read(&mut self, packet: Packet) -> Parcel {
        let decoded = teltonika::Packet::decode(&packet.data, packet.checksum);
        let decoded = decoded.expect("only packets that were decoded once are handed on");
        let mut parcel = Parcel {
            imei: packet.imei,
            rows: Vec::with_capacity(usize::from(packet.records)),
            refused: Vec::new(),
            safe: packet.safe,
        };
        for record in decoded.records() {
            self.payload.clear();
            self.payloads.write(&packet.imei, &record, &mut self.payload);
            match self.decoder.decode_payload(&self.payload, packet.codec) {
                Ok(decoded) => {
                    self.attributes.clear();
                    write_for_database(decoded.attributes, &mut self.attributes);
                    let attributes = text(&self.attributes);
                    parcel.rows.push(Row { position: decoded.position, attributes });
                }
                Err(error) => parcel.refused.push(RefusedRecord {
                    codec: packet.codec.text(),
                    reason: error.to_string(),
                    payload: text(&self.payload),
                }),
            }
        }
        parcel
    }
}

/// Both texts are made by the engine, of digits and of JSON that it has read.
fn text(bytes: &[u8]) -> Box<str> {
    str::from_utf8(bytes).expect("the engine writes UTF-8").into()
}

impl Parcel {
    /// How many rows a commit with it has more.
    pub(super) fn record_count(&self) -> usize {
        self.rows.len() + self.refused.len()
    }

    /// What it takes while it waits.
    pub(super) fn bytes(&self) -> i64 {
        let texts = self.rows.iter().map(|row| row.attributes.len());
        let refused = self.refused.iter().map(|it| it.reason.len() + it.payload.len());
        let lists = self.rows.capacity() * size_of::<Row>()
            + self.refused.capacity() * size_of::<RefusedRecord>();
        let bytes = size_of::<Self>() + lists + texts.chain(refused).sum::<usize>();
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use engine::position::Codec;
    use engine::teltonika::{Element, Fix, Imei, OutgoingRecord, Value, encode_packet};
    use tokio::sync::oneshot;

    use super::Reader;
    use crate::ingest::packets::Packet;

    /// A packet of codec 8E with a record for each time, and what is told when it is safe.
    pub(in crate::embedded) fn packet(
        imei: &str,
        times_ms: &[u64],
    ) -> (Packet, oneshot::Receiver<()>) {
        let elements = [
            Element { id: 16, value: Value::U64(u64::MAX) },
            Element { id: 385, value: Value::Bytes(b"\xab\xcd\xef") },
        ];
        let records: Vec<OutgoingRecord<'_>> = times_ms
            .iter()
            .map(|&timestamp_ms| OutgoingRecord {
                fix: Fix {
                    timestamp_ms,
                    latitude_e7: 413_275_000,
                    longitude_e7: 198_187_000,
                    satellites: 11,
                    speed_kmh: 63,
                    ..Fix::default()
                },
                elements: &elements,
            })
            .collect();
        let mut bytes = Vec::new();
        encode_packet(Codec::Codec8Extended, &records, &mut bytes).unwrap();
        let (data, checksum) = bytes[8..].split_last_chunk::<4>().unwrap();
        let (safe, told) = oneshot::channel();
        let packet = Packet {
            imei: Imei::parse(imei.as_bytes()).unwrap(),
            codec: Codec::Codec8Extended,
            data: data.to_vec(),
            checksum: *checksum,
            records: u8::try_from(times_ms.len()).unwrap(),
            safe,
        };
        (packet, told)
    }

    #[test]
    fn a_record_becomes_a_row_with_attributes_as_the_column_keeps_them() {
        let (packet, _told) = packet("356307042441013", &[1_749_197_730_000, 0]);
        let parcel = Reader::default().read(packet);
        assert_eq!((parcel.rows.len(), parcel.refused.len()), (1, 1), "one time is before 2000");
        let row = &parcel.rows[0];
        assert_eq!(&*row.attributes, r#"{"16":"18446744073709551615","385":"q83v"}"#);
        let position = row.position;
        assert_eq!((position.timestamp_ms, position.latitude), (1_749_197_730_000, 41.3275));
        let refused = &parcel.refused[0];
        assert_eq!(refused.codec, "8E");
        assert!(refused.payload.contains("1970-01-01") && !refused.reason.is_empty());
    }
}
