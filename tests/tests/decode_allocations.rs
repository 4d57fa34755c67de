//! Decoding what the platform writes asks nothing of the allocator.

use engine::decode::{Decoder, EntryFields, write_for_database};
use engine::position::Codec;
use tests::counting::{CountingAllocator, allocations_during};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const USUAL: &str = include_str!("../data/decode/usual.json");
const LARGE: &str = include_str!("../data/decode/large.json");

#[test]
fn the_count_sees_an_allocation() {
    let (list, allocations) = allocations_during(|| vec![0_u8; 100]);
    assert_eq!((list.len(), allocations.count, allocations.bytes), (100, 1, 100));
}

#[test]
fn entries_of_the_platform_are_decoded_without_allocation() {
    let mut decoder = Decoder::new();
    for payload in [USUAL, LARGE] {
        let (_, allocations) = allocations_during(|| {
            for _ in 0..100 {
                let pairs: [(&[u8], &[u8]); 4] = [
                    (b"ts", b"2026-06-06T08:15:30.000Z"),
                    (b"device_id", b"356307042441013"),
                    (b"codec", b"8E"),
                    (b"payload", payload.trim_end().as_bytes()),
                ];
                let entry = EntryFields::from_pairs(pairs).unwrap();
                decoder.decode(&entry).unwrap();
            }
        });
        assert_eq!(allocations.count, 0);
    }
    assert_eq!((decoder.tally().fast, decoder.tally().general), (200, 0));
}

#[test]
fn other_orders_and_whitespace_are_decoded_without_allocation() {
    let (head, attributes) = USUAL.trim_end().split_once(",\"attributes\":").unwrap();
    let attributes = attributes.strip_suffix('}').unwrap();
    let reordered = format!("{{\"attributes\":{attributes},\"x\":1,{}}}", &head[1..]);
    let spaced = reordered.replace("\":", "\" : ").replace(",\"", " ,\n\"");
    let mut decoder = Decoder::new();
    let (_, allocations) = allocations_during(|| {
        for payload in [&reordered, &spaced] {
            decoder.decode_payload(payload.as_bytes(), Codec::Codec8).unwrap();
        }
    });
    assert_eq!((allocations.count, decoder.tally().fast), (0, 2));
}

#[test]
fn the_general_reader_allocates_nothing_without_an_escape() {
    let spaced = LARGE.trim_end().replace(",\"", " ,\n\"");
    let unusual = USUAL.trim_end().replace("\"239\":1", "\"239\":[\"\u{e9}\",null]");
    let mut decoder = Decoder::new();
    let (_, allocations) = allocations_during(|| {
        for payload in [USUAL, LARGE, &spaced, &unusual] {
            let payload = payload.trim_end().as_bytes();
            decoder.decode_payload_general(payload, Codec::Codec8).unwrap();
        }
    });
    assert_eq!((allocations.count, decoder.tally().general), (0, 4));
}

#[test]
fn an_escape_costs_a_key_buffer_and_one_allocation_for_each_key() {
    let escaped = USUAL.trim_end().replace("\"3563", "\"\\u0033563");
    let mut decoder = Decoder::new();
    let (_, allocations) = allocations_during(|| {
        decoder.decode_payload(escaped.as_bytes(), Codec::Codec8).unwrap();
    });
    let keys = 10;
    assert!(allocations.count <= 1 + keys, "{allocations:?}");
    assert_eq!(decoder.tally().general, 1);
}

#[test]
fn long_numbers_are_decoded_without_allocation() {
    let payload = USUAL.trim_end().replace("19.8187", "19.818700000000003141592653589793");
    let mut decoder = Decoder::new();
    let (_, allocations) = allocations_during(|| {
        decoder.decode_payload(payload.as_bytes(), Codec::Codec8).unwrap();
    });
    assert_eq!((allocations.count, decoder.tally().fast), (0, 1));
}

#[test]
fn attributes_are_written_for_the_database_without_allocation() {
    let mut decoder = Decoder::new();
    let decoded = decoder.decode_payload(LARGE.trim_end().as_bytes(), Codec::Codec8).unwrap();
    let mut out = Vec::with_capacity(decoded.attributes.len());
    let ((), allocations) = allocations_during(|| write_for_database(decoded.attributes, &mut out));
    assert_eq!(allocations.count, 0);
    assert!(!out.is_empty());
}
