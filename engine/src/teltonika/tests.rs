//! One case per way to be malformed, and the promises of [`Stream`] about copies and memory.

use super::*;
use crate::limits::{
    PAYLOAD_BYTES_MAX, TELTONIKA_DATA_BYTES_MAX, TELTONIKA_ELEMENTS_MAX, TELTONIKA_PACKET_BYTES_MAX,
};

const IMEI: &[u8] = b"356307042441013";

/// Wraps `data` into a packet whose length and checksum are right.
fn packet(data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(&u32::from(crc16(data)).to_be_bytes());
    bytes
}

/// A packet's data with one record: a fix of zeros, then `rest`.
fn data_with(codec: Codec, rest: &[u8]) -> Vec<u8> {
    [&[codec_byte(codec), 1][..], &[0; 24], rest, &[1]].concat()
}

fn stream_after_hello() -> Stream {
    let mut stream = Stream::new();
    let hello = [&[0, 15], IMEI].concat();
    assert!(matches!(stream.handle_input(&mut &hello[..]), Some(Incoming::Hello(_))));
    stream
}

/// What comes out, in words: easier to compare than views.
fn outcomes(stream: &mut Stream, pieces: &[&[u8]]) -> Vec<String> {
    let mut outcomes = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        while let Some(incoming) = stream.handle_input(&mut input) {
            outcomes.push(match incoming {
                Incoming::Hello(imei) => format!("hello {}", imei.as_str()),
                Incoming::Packet(packet) => format!("{} records", packet.records().count()),
                Incoming::Malformed(malformed) => format!("{malformed:?}"),
            });
        }
        assert!(input.is_empty(), "what is not given out is kept");
    }
    outcomes
}

/// Feeds `bytes` whole and byte by byte: both must end in `expected` and its reaction.
fn check(mut stream: impl FnMut() -> Stream, bytes: &[u8], expected: Malformed) {
    let expected_text = format!("{expected:?}");
    let singles: Vec<&[u8]> = bytes.chunks(1).collect();
    for pieces in [&[bytes][..], &singles] {
        let mut stream = stream();
        assert_eq!(outcomes(&mut stream, pieces), [expected_text.as_str()]);
        let good = packet(&data_with(Codec::Codec8, &[0; 6]));
        let is_read_on = outcomes(&mut stream, &[&good]) == ["1 records"];
        assert_eq!(is_read_on, expected.reaction() == Reaction::Silent, "{expected}");
    }
}

#[test]
fn every_malformed_handshake_is_named() {
    for length in [0_u16, 1, 14, 17, 0x1000, 0xFFFF] {
        check(Stream::new, &length.to_be_bytes(), Malformed::ImeiLength(length));
    }
    for wrong in
        [&b"35630704244101x"[..], b"-35630704244101", b"356307042441\0\x0013", b" 35630704244101"]
    {
        check(Stream::new, &[&[0, 15], wrong].concat(), Malformed::ImeiDigits);
    }
}

#[test]
fn every_malformed_packet_is_named() {
    let good = packet(&data_with(Codec::Codec8, &[0; 6]));
    let with = |index: usize, byte: u8| {
        let mut changed = good.clone();
        changed[index] = byte;
        changed
    };
    for index in 0..4 {
        check(stream_after_hello, &with(index, 1)[..=index], Malformed::Preamble);
    }
    for length in 0..3_u8 {
        check(stream_after_hello, &with(7, length)[..8], Malformed::LengthTooShort);
    }
    let over = u32::try_from(TELTONIKA_DATA_BYTES_MAX + 1).unwrap();
    for length in [over, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
        let head = [&[0; 4], length.to_be_bytes().as_slice()].concat();
        check(stream_after_hello, &head, Malformed::LengthTooLong(length));
    }
    for (index, byte) in good.iter().enumerate().skip(8) {
        check(stream_after_hello, &with(index, byte ^ 0x40), Malformed::Checksum);
    }
    for codec in [0x00, 0x07, 0x0C, 0x0D, 0x0E, 0x0F, 0x11, 0xFF] {
        check(stream_after_hello, &packet(&[codec, 1, 1]), Malformed::Codec(codec));
    }
    check(stream_after_hello, &packet(&[8, 0, 0]), Malformed::NoRecords);
    check(stream_after_hello, &packet(&[8, 1, 2]), Malformed::CountsUnequal);
    let mut two = data_with(Codec::Codec8, &[0; 6]);
    two[1] = 2;
    check(stream_after_hello, &packet(&two), Malformed::CountsUnequal);
    *two.last_mut().unwrap() = 2;
    let second_missing = Malformed::RecordCutShort { number: 2, part: RecordPart::Fix };
    check(stream_after_hello, &packet(&two), second_missing);
    let trailing = packet(&data_with(Codec::Codec8, &[0; 7]));
    check(stream_after_hello, &trailing, Malformed::DataLeftOver);
}

#[test]
fn element_counts_beyond_the_data_name_their_group() {
    use RecordPart::{Elements1, Elements2, Elements4, Elements8, Fix, VariableElements};
    let cases: [(Codec, &[u8], RecordPart); 14] = [
        (Codec::Codec8, &[], Fix),
        (Codec::Codec8, &[0], Fix),
        (Codec::Codec16, &[0, 0, 0], Fix),
        (Codec::Codec8, &[0, 0], Elements1),
        (Codec::Codec8, &[0, 0, 1, 7], Elements1),
        (Codec::Codec8, &[0, 0, 255, 0, 0, 0], Elements1),
        (Codec::Codec8, &[0, 0, 0, 1, 7, 0], Elements2),
        (Codec::Codec8, &[0, 0, 0, 0, 1, 7, 0, 0, 0], Elements4),
        (Codec::Codec8, &[0, 0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0], Elements8),
        (Codec::Codec8Extended, &[0, 0, 0, 0, 0xFF, 0xFF, 0, 0], Elements1),
        (Codec::Codec8Extended, &[0; 12], VariableElements),
        (
            Codec::Codec8Extended,
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 2, 9],
            VariableElements,
        ),
        (
            Codec::Codec8Extended,
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 1, 1, 0, 0],
            VariableElements,
        ),
        (Codec::Codec16, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 7, 0], Elements8),
    ];
    for (codec, rest, part) in cases {
        let bytes = packet(&data_with(codec, rest));
        check(stream_after_hello, &bytes, Malformed::RecordCutShort { number: 1, part });
    }
}

#[test]
fn cut_anywhere_nothing_comes_out_and_nothing_is_lost() {
    let good = packet(&data_with(Codec::Codec8, &[0; 6]));
    for cut in 0..good.len() {
        let mut stream = stream_after_hello();
        let (start, end) = good.split_at(cut);
        assert!(outcomes(&mut stream, &[start]).is_empty(), "cut at {cut}");
        assert_eq!(outcomes(&mut stream, &[end, &good]), ["1 records", "1 records"]);
    }
}

#[test]
fn pings_between_packets_are_passed_over() {
    let good = packet(&data_with(Codec::Codec8, &[0; 6]));
    let mut stream = stream_after_hello();
    let bytes = [&[0xFF], &good[..], &[0xFF, 0xFF], &good].concat();
    assert_eq!(outcomes(&mut stream, &[&bytes, &[0xFF], &good]), ["1 records"; 3]);
    assert_eq!(outcomes(&mut stream, &[&[0], &[0xFF]]), ["Preamble"]);
}

#[test]
fn whole_packet_is_read_where_it_lies() {
    let variable = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0x81, 0, 3, 0xAB, 0xCD, 0xEF];
    let good = packet(&data_with(Codec::Codec8Extended, &variable));
    let mut stream = Stream::new();
    let bytes = [&[0, 15], IMEI, &good].concat();
    let mut input = &bytes[..];
    assert!(matches!(stream.handle_input(&mut input), Some(Incoming::Hello(_))));
    let Some(Incoming::Packet(packet)) = stream.handle_input(&mut input) else { panic!("whole") };
    assert_eq!(packet.reaction(), Reaction::Answer(1));
    let element = packet.records().next().unwrap().elements().next().unwrap();
    let Value::Bytes(value) = element.value else { panic!("variable") };
    assert_eq!((element.id, value), (385, &[0xAB, 0xCD, 0xEF][..]));
    assert!(bytes.as_ptr_range().contains(&value.as_ptr()));
    assert_eq!(stream.buffer_bytes(), 0);
}

#[test]
fn buffer_is_bounded_by_the_longest_packet_and_given_back_behind_it() {
    let filling = vec![0; TELTONIKA_DATA_BYTES_MAX - 3 - 38 - 4];
    let elements = [Element { id: 1, value: Value::Bytes(&filling) }];
    let records = [OutgoingRecord { fix: Fix::default(), elements: &elements }];
    let mut longest = Vec::new();
    encode_packet(Codec::Codec8Extended, &records, &mut longest).unwrap();
    assert_eq!(longest.len(), TELTONIKA_PACKET_BYTES_MAX);
    let mut stream = stream_after_hello();
    for _ in 0..3 {
        let (start, end) = longest.split_at(longest.len() - 1);
        let pieces: Vec<&[u8]> = start.chunks(1_000).collect();
        assert!(outcomes(&mut stream, &pieces).is_empty());
        assert_eq!(stream.buffer_bytes(), TELTONIKA_PACKET_BYTES_MAX);
        assert_eq!(outcomes(&mut stream, &[end]), ["1 records"]);
        assert_eq!(stream.buffer_bytes(), 0, "a silent device holds no buffer");
    }
}

#[test]
fn element_total_is_not_compared_with_the_groups() {
    let wrong_total = packet(&data_with(Codec::Codec8, &[0, 99, 0, 0, 0, 0]));
    assert_eq!(outcomes(&mut stream_after_hello(), &[&wrong_total]), ["1 records"]);
}

/// A record as full as a packet can be still becomes a payload that every reader accepts.
#[test]
fn fullest_records_become_whole_payloads_within_the_bound() {
    let (room_bytes, highest_id) = (TELTONIKA_DATA_BYTES_MAX - 3 - 38, u16::MAX);
    let cases = [(Value::Bytes(b""), room_bytes / 4), (Value::U8(255), TELTONIKA_ELEMENTS_MAX)];
    for (value, count) in cases {
        let elements: Vec<Element<'_>> =
            (0..=highest_id).rev().take(count).map(|id| Element { id, value }).collect();
        let fix = Fix {
            timestamp_ms: 8_640_000_000_000_000,
            longitude_e7: i32::MIN + 1,
            latitude_e7: i32::MIN + 1,
            altitude_m: i16::MIN,
            angle_deg: u16::MAX,
            speed_kmh: u16::MAX,
            ..Fix::default()
        };
        let (mut bytes, mut payload) = (Vec::new(), Vec::new());
        let records = [OutgoingRecord { fix, elements: &elements }];
        encode_packet(Codec::Codec8Extended, &records, &mut bytes).unwrap();
        let incoming = outcomes(&mut stream_after_hello(), &[&bytes]);
        assert_eq!(incoming, ["1 records"]);
        let (framed, checksum) = bytes.split_last_chunk().unwrap();
        let packet = Packet::decode(&framed[8..], *checksum).unwrap();
        let record = packet.records().next().unwrap();
        PayloadWriter::new().write(&Imei::parse(IMEI).unwrap(), &record, &mut payload);
        assert!(payload.len() <= PAYLOAD_BYTES_MAX, "{}", payload.len());
        let text = str::from_utf8(&payload).unwrap();
        let (_, attributes) = text.split_once("\"attributes\":{").unwrap();
        assert_eq!(
            attributes.matches("\":").count(),
            elements.len() + attributes.matches("\"__").count()
        );
    }
    let data = vec![0; TELTONIKA_DATA_BYTES_MAX + 1];
    let length = u32::try_from(data.len()).unwrap();
    assert_eq!(Packet::decode(&data, [0; 4]).unwrap_err(), Malformed::LengthTooLong(length));
}

#[test]
fn encoder_refuses_what_the_codec_cannot_say() {
    let plain = Fix::default();
    let with_reason = Fix { generation_type: Some(5), ..plain };
    let element = |id, value| Element { id, value };
    let one = [element(1, Value::U8(1))];
    let wide_id = [element(256, Value::U8(1))];
    let variable = [element(1, Value::Bytes(b"x"))];
    let many = [one[0]; 256];
    let long = vec![0; TELTONIKA_DATA_BYTES_MAX];
    let too_long = [element(1, Value::Bytes(&long))];
    let beyond_event = Fix { event_io_id: 256, ..plain };
    let data_bytes = 3 + 38 + 4 + TELTONIKA_DATA_BYTES_MAX;
    let cases: [(Codec, Fix, &[Element<'_>], EncodeError); 7] = [
        (Codec::Codec8, with_reason, &one, EncodeError::GenerationType),
        (Codec::Codec16, plain, &one, EncodeError::GenerationType),
        (Codec::Codec8, plain, &wide_id, EncodeError::ElementId(256)),
        (Codec::Codec8, beyond_event, &one, EncodeError::ElementId(256)),
        (Codec::Codec16, with_reason, &many, EncodeError::ElementCount(256)),
        (Codec::Codec8, plain, &variable, EncodeError::VariableElement(1)),
        (Codec::Codec8Extended, plain, &too_long, EncodeError::DataTooLong(data_bytes)),
    ];
    for (codec, fix, elements, expected) in cases {
        let mut out = b"kept".to_vec();
        let records = [OutgoingRecord { fix, elements }];
        assert_eq!(encode_packet(codec, &records, &mut out), Err(expected));
        assert_eq!(out, b"kept");
    }
    let record = OutgoingRecord { fix: plain, elements: &[] };
    for count in [0, 256] {
        let result = encode_packet(Codec::Codec8, &vec![record; count], &mut Vec::new());
        assert_eq!(result, Err(EncodeError::RecordCount(count)));
    }
}
