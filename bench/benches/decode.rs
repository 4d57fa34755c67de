//! How long one payload takes: our two readers against the JSON libraries of the field.
//!
//! The rivals read into the same typed fields, borrowed where they can, with the attributes left
//! raw where they can (`serde_json` and `sonic-rs`), and still have to read the timestamp, which is
//! left out in their favour. `simd-json` needs bytes it may change: the copy is part of its price,
//! and it has no raw values, so it reads the attributes into `IgnoredAny`.
//!
//! One payload read over and over is learnt by heart by the processor; those of a race are not.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::decode::{Decoder, EntryFields, write_for_database};
use engine::position::Codec;
use loadgen::race::{Irregular, Race, RaceConfig};
use loadgen::wire::EntryWriter;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The payload of the contract, and one of a device that reports all it has.
const PAYLOADS: [(&str, &str); 2] = [
    ("usual", include_str!("../../tests/data/decode/usual.json")),
    ("large", include_str!("../../tests/data/decode/large.json")),
];

/// Payloads of a race that are read in turn. A power of two.
const RACE_PAYLOADS: usize = 1024;

/// What is measured: one payload or several that take turns.
fn sets() -> Vec<(&'static str, Vec<String>)> {
    let mut sets: Vec<_> =
        PAYLOADS.iter().map(|(name, text)| (*name, vec![text.trim_end().to_owned()])).collect();
    sets.push(("reordered", vec![reordered()]));
    let spaced = PAYLOADS[0].1.trim_end().replace("\":", "\": ").replace(",\"", ",\n  \"");
    sets.push(("spaced", vec![spaced]));
    sets.push(("race", race()));
    sets
}

/// The usual payload, its attributes first.
fn reordered() -> String {
    let usual = PAYLOADS[0].1.trim_end();
    let (head, attributes) = usual.split_once(",\"attributes\":").expect("there are some");
    let attributes = attributes.strip_suffix('}').expect("they come last");
    format!("{{\"attributes\":{attributes},{}", head.replacen('{', "", 1)) + "}"
}

fn race() -> Vec<String> {
    let config = RaceConfig {
        devices: 200,
        seconds: 600,
        irregular: Irregular::NONE,
        ..RaceConfig::default()
    };
    let mut writer = EntryWriter::new();
    let payloads = Race::new(1, &config).map(|arrival| writer.entry(&arrival).payload.to_owned());
    let payloads: Vec<String> = payloads.take(RACE_PAYLOADS).collect();
    assert_eq!(payloads.len(), RACE_PAYLOADS);
    payloads
}

/// The next payload of a set, in turn.
fn next<'a>(set: &'a [String], turn: &mut usize) -> &'a [u8] {
    *turn = (*turn + 1) & (set.len() - 1);
    black_box(set[*turn].as_bytes())
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "it only has to be filled")]
struct Payload<'a, Attributes> {
    device_id: &'a str,
    timestamp: &'a str,
    latitude: f64,
    longitude: f64,
    altitude: f32,
    angle: f32,
    speed: f32,
    satellites: u8,
    priority: u8,
    attributes: Attributes,
}

type SerdePayload<'a> = Payload<'a, &'a serde_json::value::RawValue>;
type SonicPayload<'a> = Payload<'a, sonic_rs::LazyValue<'a>>;
type SimdPayload<'a> = Payload<'a, IgnoredAny>;

fn payloads(criterion: &mut Criterion) {
    for (name, set) in sets() {
        let bytes: usize = set.iter().map(String::len).sum();
        let mut turn = 0;
        let mut group = criterion.benchmark_group(format!("decode/{name}"));
        group.throughput(Throughput::Bytes((bytes / set.len()) as u64));
        let mut decoder = Decoder::new();
        group.bench_function("fast", |bencher| {
            bencher.iter(|| {
                let payload = next(&set, &mut turn);
                let decoded = decoder.decode_payload(payload, Codec::Codec8Extended);
                black_box(decoded.expect("valid"));
            });
        });
        assert_eq!(decoder.tally().general, 0, "the fast reader has to be the one measured");
        group.bench_function("general", |bencher| {
            bencher.iter(|| {
                let payload = next(&set, &mut turn);
                let decoded = decoder.decode_payload_general(payload, Codec::Codec8);
                black_box(decoded.expect("valid"));
            });
        });
        group.bench_function("serde_json", |bencher| {
            bencher.iter(|| {
                let payload = next(&set, &mut turn);
                let read = serde_json::from_slice::<SerdePayload<'_>>(payload);
                black_box(read.expect("valid"));
            });
        });
        group.bench_function("sonic_rs", |bencher| {
            bencher.iter(|| {
                let payload = next(&set, &mut turn);
                let read = sonic_rs::from_slice::<SonicPayload<'_>>(payload);
                black_box(read.expect("valid"));
            });
        });
        let mut copy = Vec::with_capacity(bytes);
        let mut buffers = simd_json::Buffers::default();
        group.bench_function("simd_json", |bencher| {
            bencher.iter(|| {
                copy.clear();
                copy.extend_from_slice(next(&set, &mut turn));
                let read = simd_json::serde::from_slice_with_buffers::<SimdPayload<'_>>(
                    &mut copy,
                    &mut buffers,
                );
                black_box(read.expect("valid"));
            });
        });
        group.finish();
    }
}

fn entries(criterion: &mut Criterion) {
    let payload = PAYLOADS[0].1.trim_end().as_bytes();
    let pairs: [(&[u8], &[u8]); 4] = [
        (b"ts", b"2026-06-06T08:15:30.000Z"),
        (b"device_id", b"356307042441013"),
        (b"codec", b"8E"),
        (b"payload", payload),
    ];
    let mut decoder = Decoder::new();
    criterion.bench_function("decode/entry", |bencher| {
        bencher.iter(|| {
            let entry = EntryFields::from_pairs(black_box(pairs)).expect("valid");
            black_box(decoder.decode(&entry).expect("valid"));
        });
    });
    assert_eq!(decoder.tally().entry_mismatch, 0, "the fields repeat the payload");
}

fn attributes(criterion: &mut Criterion) {
    for (name, text) in PAYLOADS {
        let mut decoder = Decoder::new();
        let decoded = decoder.decode_payload(text.trim_end().as_bytes(), Codec::Codec8);
        let attributes = decoded.expect("valid").attributes;
        let mut out = Vec::with_capacity(attributes.len());
        criterion.bench_function(&format!("decode/write_for_database/{name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                write_for_database(black_box(attributes), &mut out);
            });
        });
    }
}

criterion_group!(benches, payloads, entries, attributes);
criterion_main!(benches);
