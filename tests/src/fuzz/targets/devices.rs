//! Targets: what Teltonika devices say.

use std::mem::discriminant;

use engine::decode::{DecodeError, Decoder};
use engine::limits::TELTONIKA_PACKET_BYTES_MAX;
use engine::position::Codec;
use engine::teltonika::{
    Element, Fix, Imei, Incoming, Malformed, OutgoingRecord, Packet, PayloadWriter, Stream, Value,
    crc16, encode_hello, encode_packet,
};

use crate::fuzz::feature::feature;

const IMEI: &[u8] = b"356307042441013";
const CODECS: [Codec; 3] = [Codec::Codec8, Codec::Codec8Extended, Codec::Codec16];

/// What stands around the data of a packet: four zeros and the length, and the checksum behind.
const PREFIX_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;

pub(super) const DICTIONARY: &[&[u8]] = &[
    b"\x00\x0F356307042441013",
    b"\0\0\0\0",
    b"\x08\x01",
    b"\x8E\x01",
    b"\x10\x01",
    b"\xFF\xFF",
    b"\x00\x01\x00\x01",
];

/// The first byte says into how large pieces the rest is cut.
pub(super) fn stream_seeds() -> Vec<Vec<u8>> {
    let mut hello = vec![3];
    encode_hello(&imei(), &mut hello);
    CODECS.map(|codec| [hello.clone(), packet(codec), packet(codec)].concat()).to_vec()
}

/// Only the data of a packet: whatever becomes of them, the checksum is right.
pub(super) fn data_seeds() -> Vec<Vec<u8>> {
    let data = |codec| {
        let packet = packet(codec);
        packet[PREFIX_BYTES..packet.len() - CHECKSUM_BYTES].to_vec()
    };
    CODECS.map(data).to_vec()
}

/// What a device says does not depend on where the network cuts it, and stays within its bound.
pub(super) fn stream(input: &[u8]) -> u64 {
    let Some((&first, bytes)) = input.split_first() else { return 0 };
    let whole = said(bytes, bytes.len().max(1));
    let in_pieces = said(bytes, usize::from(first) + 1);
    assert_eq!(whole, in_pieces, "the split makes a difference");
    let tail = &whole[whole.len().saturating_sub(3)..];
    feature(tail.iter().map(|said| (discriminant(said), said.kind())).collect::<Vec<_>>())
}

/// Every record of a whole packet becomes a payload that the decoder reads, unless the device is not
/// on earth or in our century.
pub(super) fn data(input: &[u8]) -> u64 {
    let checksum = u32::from(crc16(input)).to_be_bytes();
    let packet = match Packet::decode(input, checksum) {
        Ok(packet) => packet,
        Err(malformed) => return kind_of(&malformed),
    };
    let mut writer = PayloadWriter::new();
    let mut decoder = Decoder::new();
    let mut payload = Vec::new();
    let mut verdicts = [false; 3];
    for record in packet.records() {
        payload.clear();
        writer.write(&imei(), &record, &mut payload);
        match decoder.decode_payload(&payload, packet.codec()) {
            Ok(decoded) => {
                assert_eq!(decoded.device_id.as_bytes(), IMEI);
                verdicts[0] = true;
            }
            Err(DecodeError::OutOfRange(_)) => verdicts[1] = true,
            Err(DecodeError::Timestamp(_) | DecodeError::NotText(_) | DecodeError::Missing(_)) => {
                verdicts[2] = true;
            }
            Err(error) => panic!("{error}\n{}", String::from_utf8_lossy(&payload)),
        }
    }
    feature((packet.codec(), packet.record_count().min(3), verdicts))
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Hello(Imei),
    /// The number of records, and every one as text.
    Packet(u8, String),
    Malformed(Malformed),
}

impl Said {
    fn kind(&self) -> u64 {
        match self {
            Self::Hello(_) => 0,
            Self::Packet(count, _) => u64::from((*count).min(3)),
            Self::Malformed(malformed) => kind_of(malformed),
        }
    }
}

fn said(bytes: &[u8], piece_bytes: usize) -> Vec<Said> {
    let mut stream = Stream::new();
    let mut said = Vec::new();
    for mut piece in bytes.chunks(piece_bytes) {
        while let Some(incoming) = stream.handle_input(&mut piece) {
            said.push(match incoming {
                Incoming::Hello(imei) => Said::Hello(imei),
                Incoming::Packet(packet) => {
                    let records: Vec<_> = packet.records().collect();
                    Said::Packet(packet.record_count(), format!("{records:?}"))
                }
                Incoming::Malformed(malformed) => Said::Malformed(malformed),
            });
        }
        assert!(stream.buffer_bytes() <= TELTONIKA_PACKET_BYTES_MAX);
    }
    said
}

/// Malformed in which way; the record's number would only multiply the ways.
fn kind_of(malformed: &Malformed) -> u64 {
    let part = match malformed {
        Malformed::RecordCutShort { part, .. } => Some(discriminant(part)),
        _ => None,
    };
    feature((discriminant(malformed), part))
}

fn imei() -> Imei {
    Imei::parse(IMEI).expect("fifteen digits")
}

/// One packet of one record with an element of every size.
fn packet(codec: Codec) -> Vec<u8> {
    let fix = Fix {
        timestamp_ms: 1_780_733_730_000,
        priority: 1,
        longitude_e7: 198_187_000,
        latitude_e7: -413_275_000,
        altitude_m: -5,
        angle_deg: 214,
        satellites: 11,
        speed_kmh: 63,
        event_io_id: 239,
        generation_type: (codec == Codec::Codec16).then_some(5),
    };
    let variable = Value::Bytes(&[0xAB, 0xCD]);
    let values = [Value::U8(1), Value::U16(2), Value::U32(3), Value::U64(u64::MAX), variable];
    let mut elements = Vec::new();
    for (id, value) in (1..).zip(values) {
        if codec == Codec::Codec8Extended || value != variable {
            elements.push(Element { id, value });
        }
    }
    let mut out = Vec::new();
    encode_packet(codec, &[OutgoingRecord { fix, elements: &elements }], &mut out)
        .expect("a legal packet");
    out
}
