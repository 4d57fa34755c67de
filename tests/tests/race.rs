//! A whole race through every part of the engine: devices' bytes in, viewers' bytes and rows out.
//!
//! What a device meant must be what the decoder reads, what a viewer is shown and what the database
//! gets, for every record of a race in which everything goes wrong that does on a race day.
#![expect(clippy::unwrap_used, reason = "a failed case is reported by its panic")]

use std::collections::HashMap;
use std::sync::Arc;

use engine::decode::{Decoder, EntryFields};
use engine::fanout::Sent;
use engine::id::{EventId, ShardIndex, ViewerId};
use engine::limits::BATCH_ROWS_MAX;
use engine::position::Position;
use engine::roster::{Registration, Roster};
use engine::route::Router;
use engine::rows::{EntryId, Row, RowBatch};
use engine::shard::{Shard, ShardConfig};
use engine::teltonika::{Imei, Incoming, PayloadWriter, Stream, encode_hello};
use engine::time::Now;
use engine::viewer::Decision;
use loadgen::race::{Arrival, Race, RaceConfig, imei_of_device};
use loadgen::wire::{EntryWriter, append_packet};

const DEVICES: u32 = 60;
const EVENT: EventId = EventId(0x6f1b_1e8a_3c52_4e0e_9a41_0d7f_5c1b_2a3d);

fn arrivals() -> Vec<Arrival> {
    let config = RaceConfig { devices: DEVICES, seconds: 900, ..RaceConfig::default() };
    Race::new(7, &config).collect()
}

/// What the fix of an arrival must be once it is decoded.
fn check_position(position: &Position, arrival: &Arrival) {
    let fix = &arrival.fix;
    let expected = Position {
        timestamp_ms: i64::try_from(fix.timestamp_ms).unwrap(),
        latitude: f64::from(fix.latitude_e7) / 1e7,
        longitude: f64::from(fix.longitude_e7) / 1e7,
        altitude: f32::from(fix.altitude_m),
        angle: f32::from(fix.angle_deg),
        speed: f32::from(fix.speed_kmh),
        device: position.device,
        satellites: fix.satellites,
        priority: fix.priority,
        codec: arrival.codec,
    };
    assert_eq!(*position, expected);
}

#[test]
fn every_record_of_a_race_is_read_as_the_device_meant_it() {
    let mut decoder = Decoder::new();
    let mut writer = EntryWriter::new();
    let arrivals = arrivals();
    for arrival in &arrivals {
        let entry = writer.entry(arrival);
        let fields = [
            ("ts", entry.ts),
            ("device_id", entry.device_id),
            ("codec", entry.codec),
            ("payload", entry.payload),
        ];
        let pairs = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let fields = EntryFields::from_pairs(pairs).unwrap();
        let decoded = decoder.decode(&fields).unwrap();
        assert_eq!(decoded.device_id, imei_of_device(arrival.device).as_str());
        check_position(&decoded.position, arrival);
    }
    let tally = decoder.tally();
    assert_eq!(tally.fast, arrivals.len() as u64, "what the platform writes is read fast");
    assert_eq!((tally.unknown_fields, tally.clamped, tally.defaulted), (0, 0, 0));
    assert_eq!((tally.entry_mismatch, tally.attributes_unusual), (0, 0));
}

#[test]
fn packets_over_a_connection_become_the_same_payloads() {
    let mut writer = EntryWriter::new();
    let mut payloads = PayloadWriter::new();
    let mut devices: HashMap<u32, (Stream, Option<Imei>)> = HashMap::new();
    let arrivals = arrivals();
    let mut count = 0;
    for packet in arrivals.chunk_by(|a, b| a.packet == b.packet) {
        let device = packet[0].device;
        let mut bytes = Vec::new();
        let (stream, imei) = devices.entry(device).or_insert_with(|| (Stream::new(), None));
        if imei.is_none() {
            encode_hello(&imei_of_device(device), &mut bytes);
        }
        append_packet(packet, &mut bytes);
        // Cut anywhere: the pieces of a connection know nothing of packets.
        for piece in bytes.chunks(1 + count % 700) {
            let mut input = piece;
            while let Some(incoming) = stream.handle_input(&mut input) {
                match incoming {
                    Incoming::Hello(hello) => *imei = Some(hello),
                    Incoming::Malformed(malformed) => panic!("{malformed}"),
                    Incoming::Packet(received) => {
                        for (record, arrival) in received.records().zip(packet) {
                            let mut payload = Vec::new();
                            payloads.write(imei.as_ref().unwrap(), &record, &mut payload);
                            let text = std::str::from_utf8(&payload).unwrap();
                            assert_eq!(text, writer.entry(arrival).payload);
                            count += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(count, arrivals.len());
}

/// Router, shards and one viewer who reads everything at once.
struct World {
    router: Router,
    shards: Vec<Shard>,
    viewer: ViewerId,
    received: Vec<u8>,
}

impl World {
    /// The viewer is on a shard that does not own the event.
    fn new(now: Now) -> Self {
        let imeis: Vec<Imei> = (0..DEVICES).map(imei_of_device).collect();
        let rows: Vec<_> = imeis
            .iter()
            .map(|imei| Registration { device_id: imei.as_str(), event: EVENT })
            .collect();
        let roster = Arc::new(Roster::default().next(&rows).unwrap());
        let mut router = Router::new(2);
        router.handle_roster(roster.clone());
        // This viewer answers no pings, so it gets none.
        let config =
            |at| ShardConfig { ping_interval_ms: 0, ..ShardConfig::new(ShardIndex(at), 2) };
        let mut shards: Vec<Shard> = (0..2).map(|at| Shard::new(config(at), now)).collect();
        shards.iter_mut().for_each(|shard| shard.handle_roster(roster.clone()));
        let serving = 1 - usize::from(engine::route::owner(EVENT, 2).0);
        let viewer = shards[serving].handle_open().unwrap();
        let mut subscribe = masked(&format!(r#"{{"type":"subscribe","topic":"event:{EVENT}"}}"#));
        shards[serving].handle_bytes(viewer, &mut subscribe);
        let question = shards[serving].poll_question().unwrap();
        shards[serving].handle_decision(viewer, question.ticket, Decision::Allowed);
        shards.rotate_left(serving);
        let mut world = Self { router, shards, viewer, received: Vec::new() };
        world.turn(now);
        world
    }

    fn turn(&mut self, now: Now) {
        for _ in 0..3 {
            let mut messages = Vec::new();
            for shard in &mut self.shards {
                shard.handle_time(now);
                shard.handle_flush();
                while let Some(send) = shard.poll_send() {
                    self.received.extend_from_slice(send.bytes);
                    shard.handle_sent(Sent::All);
                }
                while let Some((_, message)) = shard.poll_peer() {
                    messages.push(message);
                }
            }
            // Two shards: what one says is for the other.
            for message in messages {
                let is_for_owner = matches!(
                    message,
                    engine::shard::PeerMessage::Join(..) | engine::shard::PeerMessage::Leave(..)
                );
                self.shards[usize::from(is_for_owner)].handle_peer(message);
            }
        }
    }

    /// The texts received, in order.
    fn texts(&self) -> Vec<serde_json::Value> {
        let mut rest = &self.received[..];
        let mut texts = Vec::new();
        while !rest.is_empty() {
            assert_eq!(rest[0], 0x81);
            let (length, header_bytes) = match rest[1] {
                126 => (usize::from(u16::from_be_bytes([rest[2], rest[3]])), 4),
                127 => (
                    usize::try_from(u64::from_be_bytes(rest[2..10].try_into().unwrap())).unwrap(),
                    10,
                ),
                short => (usize::from(short), 2),
            };
            texts.push(serde_json::from_slice(&rest[header_bytes..][..length]).unwrap());
            rest = &rest[header_bytes + length..];
        }
        texts
    }
}

fn masked(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[test]
fn a_viewer_sees_and_the_table_gets_what_a_race_brings() {
    let arrivals = arrivals();
    let at = |arrival_ms: u64| Now {
        monotonic_us: (arrival_ms - arrivals[0].arrival_ms) * 1000,
        wall_ms: i64::try_from(arrival_ms).unwrap(),
    };
    let mut world = World::new(at(arrivals[0].arrival_ms));
    let mut decoder = Decoder::new();
    let mut writer = EntryWriter::new();
    let mut batch = RowBatch::new(BATCH_ROWS_MAX);
    let mut expected: Vec<(u32, u64)> = Vec::new();
    let mut newest: HashMap<u32, u64> = HashMap::new();
    let mut rows = 0;
    for arrival in &arrivals {
        let entry = writer.entry(arrival);
        let decoded = decoder.decode_payload(entry.payload.as_bytes(), arrival.codec).unwrap();
        let mut position = decoded.position;
        position.device = world.router.roster().device(decoded.device_id);
        if batch.len() == BATCH_ROWS_MAX {
            batch.clear();
        }
        let row = Row {
            entry: EntryId { ms: arrival.arrival_ms, sequence: rows },
            device_id: decoded.device_id,
            position,
            attributes: decoded.attributes,
            redelivered: false,
        };
        batch.push(&row).unwrap();
        rows += 1;
        world.router.handle_positions(&[position]);
        let mut routed = Vec::new();
        let owner = engine::route::owner(EVENT, 2);
        world.router.take_batch(owner, &mut routed);
        world.shards[1].handle_time(at(arrival.arrival_ms));
        world.shards[1].handle_positions(&routed);
        world.turn(at(arrival.arrival_ms));
        let time_ms = arrival.fix.timestamp_ms;
        let is_newer = newest.get(&arrival.device).is_none_or(|&newest_ms| newest_ms < time_ms);
        let is_future = time_ms > arrival.arrival_ms + 60_000;
        if is_newer && !is_future && !position.is_without_fix() {
            newest.insert(arrival.device, time_ms);
            expected.push((arrival.device, time_ms));
        }
    }
    assert_eq!(rows, arrivals.len() as u64, "every record is a row");
    world.turn(at(arrivals.last().unwrap().arrival_ms + 1_000));
    let texts = world.texts();
    assert_eq!(texts[0]["type"], "subscribed");
    let devices: HashMap<String, u32> =
        (0..DEVICES).map(|device| (imei_of_device(device).as_str().to_owned(), device)).collect();
    let shown: Vec<(u32, u64)> = texts[1..]
        .iter()
        .map(|text| (devices[text["deviceId"].as_str().unwrap()], text["ts"].as_u64().unwrap()))
        .collect();
    assert!(expected.len() > 30_000, "{} frames", expected.len());
    assert_eq!(shown.len(), expected.len());
    assert!(shown == expected, "every accepted position, once, in order");
    assert_eq!(world.shards.iter().map(Shard::residual).collect::<Vec<_>>(), [0, 0]);
    assert!(world.shards[0].viewer_count() == 1 && world.viewer.index == 0);
}
