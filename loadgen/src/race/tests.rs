//! The race is repeatable, plausible, and contains every irregularity it promises.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::wire::{EntryWriter, append_packet};
use engine::teltonika::{Incoming, Stream, encode_hello};

/// Long enough for every device to pass dead zones.
fn config() -> RaceConfig {
    RaceConfig {
        devices: 40,
        seconds: 1_800,
        wave_devices: 10,
        wave_interval_s: 30,
        irregular: Irregular { wrong_clock_share: 0.2, ..Irregular::default() },
        ..RaceConfig::default()
    }
}

fn arrivals(seed: u64, config: &RaceConfig) -> Vec<Arrival> {
    Race::new(seed, config).collect()
}

/// The records of each packet.
fn packets(arrivals: &[Arrival]) -> impl Iterator<Item = &[Arrival]> {
    arrivals.chunk_by(|one, next| one.packet == next.packet)
}

fn bytes_of(arrivals: &[Arrival]) -> Vec<u8> {
    let (mut writer, mut bytes) = (EntryWriter::new(), Vec::new());
    for packet in packets(arrivals) {
        append_packet(packet, &mut bytes);
        for arrival in packet {
            let entry = writer.entry(arrival);
            for field in [entry.ts, entry.device_id, entry.codec, entry.payload] {
                bytes.extend_from_slice(field.as_bytes());
            }
        }
    }
    bytes
}

#[test]
fn same_seed_gives_the_same_bytes_and_another_seed_others() {
    let config = RaceConfig { seconds: 300, ..config() };
    let first = bytes_of(&arrivals(7, &config));
    assert_eq!(first, bytes_of(&arrivals(7, &config)));
    assert_ne!(first, bytes_of(&arrivals(8, &config)));
}

/// FNV-1a over everything a race sends: it differs when a single bit does.
#[test]
fn bytes_are_those_of_every_machine() {
    let hash =
        bytes_of(&arrivals(1, &config())).iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
        });
    assert_eq!(hash, 1_587_510_740_920_005_285);
}

#[test]
fn arrivals_come_in_order_and_after_their_time() {
    let config = RaceConfig { irregular: Irregular::NONE, ..config() };
    let arrivals = arrivals(3, &config);
    assert!(arrivals.is_sorted_by_key(|it| (it.arrival_ms, it.packet)));
    for it in &arrivals {
        let latency_ms = it.arrival_ms - it.fix.timestamp_ms;
        assert!((LATENCY_MS_MIN..1_000).contains(&latency_ms), "{it:?}");
    }
}

#[test]
fn calm_race_has_every_second_of_every_device_once() {
    let config = RaceConfig { irregular: Irregular::NONE, ..config() };
    let arrivals = arrivals(3, &config);
    let mut seconds_of_device = BTreeMap::<u32, Vec<u64>>::new();
    for it in &arrivals {
        assert_eq!(it.way, Way::Direct);
        assert!(it.fix.satellites > 0 && it.fix.priority < 2);
        let second = (it.fix.timestamp_ms - config.start_ms) / 1_000;
        seconds_of_device.entry(it.device).or_default().push(second);
    }
    let all: Vec<u64> = (0..config.seconds.into()).collect();
    assert_eq!(seconds_of_device.len(), 40);
    assert!(seconds_of_device.values().all(|seconds| *seconds == all));
}

#[test]
fn devices_start_in_waves_and_move_as_fast_as_they_say() {
    let config = RaceConfig { irregular: Irregular::NONE, ..config() };
    let mut before = BTreeMap::<u32, Arrival>::new();
    let mut started = BTreeMap::<u32, u64>::new();
    let mut fastest_kmh = 0;
    for it in arrivals(3, &config) {
        if it.fix.speed_kmh > 0 {
            started.entry(it.device).or_insert((it.fix.timestamp_ms - config.start_ms) / 1_000);
        }
        if let Some(last) = before.insert(it.device, it) {
            let north_m = f64::from(it.fix.latitude_e7 - last.fix.latitude_e7) * 0.011_132;
            let east_m = f64::from(it.fix.longitude_e7 - last.fix.longitude_e7) * 0.008_359;
            let driven_kmh = (north_m * north_m + east_m * east_m).sqrt() * 3.6;
            // Cutting a bend is shorter than driving it.
            assert!(driven_kmh < f64::from(it.fix.speed_kmh) + 2.0, "{last:?} {it:?}");
            assert!(driven_kmh > f64::from(it.fix.speed_kmh) * 0.9 - 2.0 || it.fix.speed_kmh == 0);
        }
        fastest_kmh = fastest_kmh.max(it.fix.speed_kmh);
    }
    for (device, second) in started {
        assert_eq!(second, u64::from(10 + 30 * (device / 10)), "device {device}");
    }
    assert!((90..200).contains(&fastest_kmh), "{fastest_kmh}");
}

#[test]
fn late_fixes_come_in_both_orders_and_none_is_lost_but_those_still_held() {
    let config = RaceConfig {
        irregular: Irregular { wrong_clock_share: 0.0, ..Irregular::default() },
        ..config()
    };
    let arrivals = arrivals(5, &config);
    let (mut newest_first, mut oldest_first) = (0, 0);
    for packet in packets(&arrivals).filter(|packet| packet[0].way == Way::Late) {
        assert!(packet.len() <= 10);
        newest_first += u32::from(
            packet.is_sorted_by(|a, b| a.fix.timestamp_ms > b.fix.timestamp_ms) && packet.len() > 1,
        );
        oldest_first += u32::from(
            packet.is_sorted_by(|a, b| a.fix.timestamp_ms < b.fix.timestamp_ms) && packet.len() > 1,
        );
    }
    assert!(newest_first > 20 && oldest_first > 20, "{newest_first} {oldest_first}");

    let mut seconds_of_device = BTreeMap::<u32, BTreeSet<u64>>::new();
    for it in arrivals.iter().filter(|it| it.way != Way::Repeated) {
        let is_new = seconds_of_device.entry(it.device).or_default().insert(it.fix.timestamp_ms);
        assert!(is_new, "only repetitions come twice");
    }
    for seconds in seconds_of_device.values() {
        let last_ms = seconds.last().unwrap();
        let expected = (last_ms - config.start_ms) / 1_000 + 1;
        assert_eq!(seconds.len() as u64, expected, "no second is missing before the last");
    }
}

#[test]
fn repetitions_are_the_same_records_later() {
    let arrivals = arrivals(5, &config());
    let mut first = BTreeMap::new();
    let mut repeated = 0;
    for it in &arrivals {
        let key = (it.device, it.fix.timestamp_ms);
        if it.way == Way::Repeated {
            let (fix, readings, arrival_ms) = first[&key];
            assert_eq!((fix, readings), (it.fix, it.readings));
            assert!(it.arrival_ms > arrival_ms);
            repeated += 1;
        } else {
            first.insert(key, (it.fix, it.readings, it.arrival_ms));
        }
    }
    assert!(repeated > 50, "{repeated}");
}

#[test]
fn clocks_are_wrong_ahead_and_behind() {
    let direct = arrivals(5, &config()).into_iter().filter(|it| it.way == Way::Direct);
    let (mut ahead, mut behind, mut right) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for it in direct {
        if it.fix.timestamp_ms > it.arrival_ms + 60_000 {
            ahead.insert(it.device);
        } else if it.fix.timestamp_ms + 3_600_000 < it.arrival_ms {
            behind.insert(it.device);
        } else {
            right.insert(it.device);
        }
    }
    assert!(!ahead.is_empty() && !behind.is_empty() && right.len() > 20);
    assert_eq!(ahead.len() + behind.len() + right.len(), 40);
}

#[test]
fn lost_fixes_panic_and_all_codecs_occur() {
    let arrivals = arrivals(5, &config());
    let lost = arrivals.iter().filter(|it| it.fix.satellites == 0);
    let (zeros, repeats): (Vec<&Arrival>, Vec<&Arrival>) =
        lost.partition(|it| (it.fix.latitude_e7, it.fix.longitude_e7) == (0, 0));
    assert!(zeros.len() > 50 && repeats.len() > 50, "{} {}", zeros.len(), repeats.len());
    assert!(arrivals.iter().any(|it| it.fix.priority == 2));
    assert!(arrivals.iter().any(|it| it.fix.priority == 1));
    let codecs: BTreeSet<Codec> = arrivals.iter().map(|it| it.codec).collect();
    assert_eq!(codecs.len(), 3);
}

#[test]
fn packets_are_as_short_as_real_ones_and_decode_to_what_was_sent() {
    let arrivals = arrivals(5, &config());
    for packet in packets(&arrivals) {
        let mut bytes = Vec::new();
        encode_hello(&imei_of_device(packet[0].device), &mut bytes);
        let hello_bytes = bytes.len();
        append_packet(packet, &mut bytes);
        assert!(bytes.len() - hello_bytes <= 1_280, "{}", bytes.len());
        let (mut stream, mut input) = (Stream::new(), &bytes[..]);
        assert!(matches!(stream.handle_input(&mut input), Some(Incoming::Hello(_))));
        let Some(Incoming::Packet(decoded)) = stream.handle_input(&mut input) else {
            panic!("{packet:?}")
        };
        assert_eq!(decoded.codec(), packet[0].codec);
        assert!(decoded.records().map(|record| record.fix).eq(packet.iter().map(|it| it.fix)));
    }
}

#[test]
fn entry_names_device_codec_and_time() {
    let config = RaceConfig { irregular: Irregular::NONE, ..config() };
    let first = arrivals(5, &config)[0];
    let mut writer = EntryWriter::new();
    let entry = writer.entry(&first);
    assert_eq!(entry.device_id, imei_of_device(first.device).as_str());
    assert_eq!(entry.codec, first.codec.text());
    assert_eq!(entry.ts, "2026-06-06T08:00:00.000Z");
    let start = format!("{{\"device_id\":\"{}\",\"timestamp\":\"{}\",", entry.device_id, entry.ts);
    assert!(entry.payload.starts_with(&start), "{}", entry.payload);
}

#[test]
fn imei_has_its_check_digit_and_is_unique() {
    assert_eq!(imei_of_device(0).as_str(), "356307040000001");
    let imeis: BTreeSet<Imei> = (0..2_000).map(imei_of_device).collect();
    assert_eq!(imeis.len(), 2_000);
    for imei in imeis {
        let digits = imei.as_str().bytes().rev().map(|digit| u32::from(digit - b'0'));
        let sum: u32 = digits
            .enumerate()
            .map(
                |(place, digit)| {
                    if place % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
                },
            )
            .sum();
        assert_eq!(sum % 10, 0, "{}", imei.as_str());
    }
}

#[test]
fn a_race_that_begins_with_another_device_has_others() {
    let config = RaceConfig { devices: 30, first_device: 40, seconds: 60, ..config() };
    let devices: BTreeSet<u32> = arrivals(3, &config).iter().map(|it| it.device).collect();
    assert!(devices.into_iter().eq(40..70));
}

#[test]
fn a_race_that_has_passed_in_part_goes_on_where_it_would_be() {
    let config = RaceConfig { devices: 5, seconds: 600, ..RaceConfig::default() };
    let from_ms = config.start_ms + 300_000;
    let late = |race: Race| {
        let arrivals = race.filter(|arrival| arrival.arrival_ms >= from_ms);
        arrivals
            .map(|arrival| (arrival.arrival_ms, arrival.device, arrival.fix))
            .collect::<Vec<_>>()
    };
    let whole = late(Race::new(7, &config));
    let mut passed = Race::new(7, &config);
    passed.pass(300);
    assert!(!whole.is_empty());
    assert_eq!(late(passed), whole);
}
