//! How long an entry takes from the bytes of a reply to a position: read in place, against the tree of
//! owned values that the redis crate makes of the same bytes.
//!
//! Both end at the same place, a decoded position; the share of the decoder stands beside them. The
//! reply is what Redis sends to a read of a race's stream.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::decode::{Decoder, EntryFields};
use loadgen::race::{Irregular, Race, RaceConfig};
use loadgen::wire::EntryWriter;
use pitwall::stream::{Entries, ReplyReader};
use redis::Value;

/// Entries of one reply: what a busy stream gives to one read, and a full one.
const REPLIES: [usize; 3] = [1, 32, 1024];

/// The reply to a read that found the first entries of a race.
fn reply(count: usize) -> Vec<u8> {
    let config = RaceConfig {
        devices: 200,
        seconds: 600,
        irregular: Irregular::NONE,
        ..RaceConfig::default()
    };
    let mut writer = EntryWriter::new();
    let mut reply = Vec::new();
    array(&mut reply, 1);
    array(&mut reply, 2);
    bulk(&mut reply, "telemetry:teltonika");
    array(&mut reply, count);
    let mut written = 0;
    for (number, arrival) in Race::new(1, &config).take(count).enumerate() {
        let entry = writer.entry(&arrival);
        array(&mut reply, 2);
        bulk(&mut reply, &format!("{}-0", 1_780_733_730_000 + number));
        array(&mut reply, 8);
        for text in ["ts", entry.ts, "device_id", entry.device_id] {
            bulk(&mut reply, text);
        }
        for text in ["codec", entry.codec, "payload", entry.payload] {
            bulk(&mut reply, text);
        }
        written += 1;
    }
    assert_eq!(written, count, "the race is long enough");
    reply
}

fn array(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(format!("*{count}\r\n").as_bytes());
}

fn bulk(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(format!("${}\r\n{text}\r\n", text.len()).as_bytes());
}

/// Reads the reply in place and gives every entry's fields to `take`. How many there were.
fn in_place(
    reader: &mut ReplyReader,
    reply: &[u8],
    mut take: impl FnMut(EntryFields<'_>),
) -> usize {
    reader.consume();
    reader.room().extend_from_slice(reply);
    assert_eq!(reader.measure(), Ok(true));
    let mut count = 0;
    for entry in Entries::of_read(reader.reply()).expect("entries") {
        let pairs = entry.expect("an entry").fields.expect("fields");
        take(EntryFields::from_pairs(pairs).expect("all four"));
        count += 1;
    }
    count
}

/// The same with the redis crate's tree.
fn by_tree(reply: &[u8], mut take: impl FnMut(EntryFields<'_>)) -> usize {
    let tree = redis::parse_redis_value(reply).expect("a reply");
    let Value::Array(streams) = &tree else { panic!("streams") };
    let Value::Array(stream) = &streams[0] else { panic!("a stream") };
    let Value::Array(entries) = &stream[1] else { panic!("entries") };
    for entry in entries {
        let Value::Array(entry) = entry else { panic!("an entry") };
        let Value::Array(texts) = &entry[1] else { panic!("fields") };
        let pairs = texts.chunks_exact(2).map(|pair| match pair {
            [Value::BulkString(name), Value::BulkString(value)] => (&name[..], &value[..]),
            _ => panic!("texts"),
        });
        take(EntryFields::from_pairs(pairs).expect("all four"));
    }
    entries.len()
}

/// Makes the compiler believe that the fields are used.
fn keep(fields: EntryFields<'_>) {
    black_box(fields);
}

fn entries(criterion: &mut Criterion) {
    for count in REPLIES {
        let reply = reply(count);
        let mut group = criterion.benchmark_group(format!("entries/{count}"));
        group.throughput(Throughput::Elements(count as u64));
        let mut reader = ReplyReader::new();
        group.bench_function("in_place", |bencher| {
            bencher.iter(|| in_place(&mut reader, black_box(&reply), keep));
        });
        group.bench_function("tree", |bencher| {
            bencher.iter(|| by_tree(black_box(&reply), keep));
        });
        let mut decoder = Decoder::new();
        group.bench_function("in_place_decoded", |bencher| {
            bencher.iter(|| {
                in_place(&mut reader, black_box(&reply), |fields| {
                    black_box(decoder.decode(&fields).expect("good"));
                })
            });
        });
        group.bench_function("tree_decoded", |bencher| {
            bencher.iter(|| {
                by_tree(black_box(&reply), |fields| {
                    black_box(decoder.decode(&fields).expect("good"));
                })
            });
        });
        group.finish();
    }
}

criterion_group!(benches, entries);
criterion_main!(benches);
