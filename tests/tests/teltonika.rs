//! Teltonika against recorded packets and against a naive model, on 10,000 connections per property.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "teltonika/naive.rs"]
mod naive;

use std::path::Path;

use engine::position::Codec;
use engine::teltonika::{
    Fix, Imei, Incoming, OutgoingRecord, PayloadWriter, Stream, codec_byte, crc16, encode_hello,
    encode_packet, write_timestamp,
};
use naive::{OwnedValue, Record, Said, crc_by_bits, read_connection};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

const IMEI: &[u8] = b"356307042441013";

/// Deterministic: the same 10,000 cases everywhere.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 10_000,
        rng_seed: RngSeed::Fixed(0x0817_0E16),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

// ---- Recorded packets ----

/// The packet of a `.hex` file and the payloads its records must become.
fn recorded(path: &Path) -> (Vec<u8>, String) {
    let hex: String = std::fs::read_to_string(path).unwrap().split_whitespace().collect();
    let bytes = (0..hex.len())
        .step_by(2)
        .map(|start| u8::from_str_radix(&hex[start..start + 2], 16).unwrap())
        .collect();
    (bytes, std::fs::read_to_string(path.with_extension("jsonl")).unwrap())
}

#[test]
fn recorded_packets_become_the_recorded_payloads_and_the_same_bytes_again() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/teltonika");
    let mut packet_count = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "hex") {
            continue;
        }
        packet_count += 1;
        let (bytes, expected) = recorded(&path);
        let connection = [&hello(), &bytes[..]].concat();
        let said = read_in_pieces(&connection, &[]);
        assert_eq!(said, read_connection(&connection), "{}", path.display());
        let [Said::Hello(_), Said::Packet(codec, records)] = &said[..] else {
            panic!("{}: {said:?}", path.display())
        };
        assert_eq!(encoded(*codec, records), bytes, "{}", path.display());
        assert_eq!(payloads_of(&connection), expected, "{}", path.display());
        for line in expected.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
    assert_eq!(packet_count, 10);
}

// ---- Properties ----

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_encoded_decodes_to_the_same(
        (codec, records) in packet(),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let connection = [hello(), encoded(codec, &records)].concat();
        let mut said = read_in_pieces(&connection, &cuts);
        prop_assert_eq!(&said, &read_connection(&connection));
        let records = records.into_iter().map(grouped_by_width).collect();
        prop_assert_eq!(said.pop(), Some(Said::Packet(codec, records)));
        prop_assert_eq!(said, [Said::Hello("356307042441013".to_owned())]);
    }

    #[test]
    fn payload_is_what_the_model_writes((codec, records) in packet()) {
        let connection = [hello(), encoded(codec, &records)].concat();
        let mut expected = String::new();
        for record in records.into_iter().map(grouped_by_width) {
            let mut timestamp = Vec::new();
            write_timestamp(record.fix.timestamp_ms, &mut timestamp).unwrap();
            let timestamp = String::from_utf8(timestamp).unwrap();
            expected += &naive::payload("356307042441013", &timestamp, &record);
            expected.push('\n');
        }
        let payloads = payloads_of(&connection);
        for line in payloads.lines() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(line).is_ok());
        }
        prop_assert_eq!(payloads, expected);
    }

    #[test]
    fn damaged_connections_say_the_same_however_they_are_cut(
        messages in vec(message(), 0..5),
        start in start(),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let connection = [start, messages.concat()].concat();
        let expected = read_connection(&connection);
        prop_assert_eq!(read_in_pieces(&connection, &cuts), &expected[..]);
        prop_assert_eq!(read_in_pieces(&connection, &[]), &expected[..]);
    }

    #[test]
    fn checksum_is_that_of_the_definition(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(crc16(&bytes), crc_by_bits(&bytes));
    }
}

#[test]
fn every_truncation_and_every_split_gives_the_same_as_the_whole() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/teltonika");
    let (first, _) = recorded(&directory.join("documented_codec8e.hex"));
    let (second, _) = recorded(&directory.join("documented_codec16.hex"));
    let connection = [hello(), first, vec![0xFF], second].concat();
    for end in 0..=connection.len() {
        let expected = read_connection(&connection[..end]);
        for cut in 0..=end {
            let mut stream = Stream::new();
            let mut said = Vec::new();
            listen(&mut stream, &connection[..cut], &mut said);
            listen(&mut stream, &connection[cut..end], &mut said);
            assert_eq!(said, expected, "cut at {cut} of {end}");
        }
    }
}

// ---- The engine, asked like the model ----

/// What the engine hears when `connection` arrives in pieces that end at `cuts`.
fn read_in_pieces(connection: &[u8], cuts: &[Index]) -> Vec<Said> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(connection.len() + 1)).collect();
    ends.push(connection.len());
    ends.sort_unstable();
    let (mut stream, mut said, mut start) = (Stream::new(), Vec::new(), 0);
    for end in ends {
        listen(&mut stream, &connection[start..end], &mut said);
        start = end;
    }
    said
}

fn listen(stream: &mut Stream, piece: &[u8], said: &mut Vec<Said>) {
    let mut input = piece;
    while let Some(incoming) = stream.handle_input(&mut input) {
        said.push(match incoming {
            Incoming::Hello(imei) => Said::Hello(imei.as_str().to_owned()),
            Incoming::Malformed(malformed) => Said::Malformed(malformed),
            Incoming::Packet(packet) => Said::Packet(
                packet.codec(),
                packet
                    .records()
                    .map(|record| Record {
                        fix: record.fix,
                        elements: record.elements().map(|it| (it.id, it.value.into())).collect(),
                    })
                    .collect(),
            ),
        });
    }
}

/// The payloads of all records, one line each.
fn payloads_of(connection: &[u8]) -> String {
    let (mut stream, mut input) = (Stream::new(), connection);
    let (mut writer, mut out) = (PayloadWriter::new(), Vec::new());
    let imei = Imei::parse(IMEI).unwrap();
    while let Some(incoming) = stream.handle_input(&mut input) {
        if let Incoming::Packet(packet) = incoming {
            for record in packet.records() {
                writer.write(&imei, &record, &mut out);
                out.push(b'\n');
            }
        }
    }
    String::from_utf8(out).unwrap()
}

fn hello() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_hello(&Imei::parse(IMEI).unwrap(), &mut bytes);
    bytes
}

fn encoded(codec: Codec, records: &[Record]) -> Vec<u8> {
    let elements: Vec<_> = records.iter().map(Record::elements_view).collect();
    let outgoing: Vec<_> = records
        .iter()
        .zip(&elements)
        .map(|(record, elements)| OutgoingRecord { fix: record.fix, elements })
        .collect();
    let mut bytes = Vec::new();
    encode_packet(codec, &outgoing, &mut bytes).unwrap();
    bytes
}

/// The order the wire puts elements in.
fn grouped_by_width(mut record: Record) -> Record {
    record.elements.sort_by_key(|(_, value)| match value {
        OwnedValue::Number(width, _) => *width,
        OwnedValue::Bytes(_) => u8::MAX,
    });
    record
}

// ---- Strategies ----

/// A codec and records it can carry.
fn packet() -> impl Strategy<Value = (Codec, Vec<Record>)> {
    prop_oneof![Just(Codec::Codec8), Just(Codec::Codec8Extended), Just(Codec::Codec16)]
        .prop_flat_map(|codec| (Just(codec), vec(record(codec), 1..5)))
}

fn record(codec: Codec) -> impl Strategy<Value = Record> {
    (fix(), vec((any::<u16>(), value()), 0..9)).prop_map(move |(mut fix, mut elements)| {
        if codec == Codec::Codec8 {
            fix.event_io_id %= 256;
            elements.iter_mut().for_each(|(id, _)| *id %= 256);
        }
        if codec == Codec::Codec16 {
            fix.generation_type = Some(fix.priority);
        }
        if codec != Codec::Codec8Extended {
            elements.retain(|(_, value)| matches!(value, OwnedValue::Number(..)));
        }
        // Few ids, so that some come twice.
        elements.iter_mut().filter(|(id, _)| id % 3 == 0).for_each(|(id, _)| *id %= 16);
        Record { fix, elements }
    })
}

fn fix() -> impl Strategy<Value = Fix> {
    let whole = (0..=8_640_000_000_000_000_u64, any::<[u8; 2]>(), any::<[i32; 2]>());
    let near_zero = [-12..12_i32, -12..12];
    (whole, any::<i16>(), any::<[u16; 3]>(), proptest::option::of(near_zero)).prop_map(
        |((timestamp_ms, [priority, satellites], far), altitude_m, words, near)| {
            let [longitude_e7, latitude_e7] = near.unwrap_or(far);
            let [angle_deg, speed_kmh, event_io_id] = words;
            Fix {
                timestamp_ms,
                priority,
                longitude_e7,
                latitude_e7,
                altitude_m,
                angle_deg,
                satellites,
                speed_kmh,
                event_io_id,
                generation_type: None,
            }
        },
    )
}

fn value() -> impl Strategy<Value = OwnedValue> {
    prop_oneof![
        any::<u8>().prop_map(|number| OwnedValue::Number(1, number.into())),
        any::<u16>().prop_map(|number| OwnedValue::Number(2, number.into())),
        any::<u32>().prop_map(|number| OwnedValue::Number(4, number.into())),
        any::<u64>().prop_map(|number| OwnedValue::Number(8, number)),
        vec(any::<u8>(), 0..20).prop_map(OwnedValue::Bytes),
    ]
}

/// Mostly a correct handshake.
fn start() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => Just(hello()),
        1 => (13..18_u16, vec(b'.'..b';', 18)).prop_map(|(length, digits)| {
            [&length.to_be_bytes()[..], &digits[..usize::from(length)]].concat()
        }),
        1 => vec(any::<u8>(), 0..20),
    ]
}

/// A packet, whole or damaged in one of many ways, or something between packets.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let whole = || packet().prop_map(|(codec, records)| encoded(codec, &records)).boxed();
    let changed = (whole(), any::<Index>(), any::<u8>());
    prop_oneof![
        6 => whole(),
        1 => vec(Just(0xFF), 0..3),
        1 => vec(any::<u8>(), 0..3),
        2 => changed.clone().prop_map(|(mut bytes, place, byte)| {
            let place = place.index(bytes.len());
            bytes[place] = byte;
            bytes
        }),
        6 => changed.prop_map(|(mut bytes, place, byte)| {
            let place = 8 + place.index(bytes.len() - 12);
            bytes[place] = byte;
            sealed(&bytes[8..bytes.len() - 4])
        }),
        2 => (whole(), any::<Index>()).prop_map(|(bytes, place)| {
            let data = &bytes[8..bytes.len() - 4];
            let end = 2 + place.index(data.len() - 2);
            sealed(&[&data[..end], &data[1..2]].concat())
        }),
        1 => (whole(), vec(any::<u8>(), 1..40)).prop_map(|(bytes, more)| {
            let data = &bytes[8..bytes.len() - 4];
            sealed(&[&data[..data.len() - 1], &more, &data[1..2]].concat())
        }),
        1 => (whole(), any::<u8>()).prop_map(|(bytes, count)| {
            let data = &bytes[8..bytes.len() - 4];
            let count = count % 6;
            sealed(&[&data[..1], &[count], &data[2..data.len() - 1], &[count]].concat())
        }),
        1 => (any_codec_byte(), vec(any::<u8>(), 0..80)).prop_map(|(codec, bytes)| {
            sealed(&[&[codec, 1][..], &bytes, &[1]].concat())
        }),
    ]
}

/// A codec byte, now and then an unknown one.
fn any_codec_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        Just(codec_byte(Codec::Codec8)),
        Just(codec_byte(Codec::Codec8Extended)),
        Just(codec_byte(Codec::Codec16)),
        any::<u8>(),
    ]
}

/// Packs `data` with its right length and checksum.
fn sealed(data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    let checksum = u32::from(crc_by_bits(data)).to_be_bytes();
    [&[0; 4], &length[..], data, &checksum].concat()
}
