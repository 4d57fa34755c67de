//! Killed at any moment: what a device was answered is in the stream and in the table.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use engine::position::Codec;
use loadgen::random::Random;
use pitwall::config::{Config, Roles};
use tests::child::Pitwall;
use tests::entries::iso;
use tests::scene::Scene;
use tests::tracker::{Tracker, hello, packet};

/// What a failure is repeated with.
const SEED: u64 = 0x7117_0005;

const DEVICES: u64 = 8;

const KILLS: u64 = 6;

/// Where the process listens now, and what devices were told.
struct Race {
    address: Mutex<SocketAddr>,
    is_over: AtomicBool,
    answered: AtomicUsize,
}

impl Race {
    fn address(&self) -> SocketAddr {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record: the device and the time, as entries have it.
type Record = (String, String);

/// Drives a device that keeps what was not answered, and gives what was.
fn drive(race: &Race, device: u64, first_ms: i64) -> BTreeSet<Record> {
    let imei = format!("35{device:013}");
    let mut random = Random::of_part(SEED, device);
    let mut answered = BTreeSet::new();
    let (mut kept, mut next_ms) = (VecDeque::new(), first_ms);
    while !race.is_over.load(Ordering::Relaxed) {
        // A connection that breaks says nothing of what was on its way: all of it is sent again.
        let Ok(stream) = std::net::TcpStream::connect(race.address()) else {
            thread::yield_now();
            continue;
        };
        let mut tracker = Tracker::over(stream);
        if !tracker.try_send(&hello(&imei)) || tracker.byte().is_err() {
            continue;
        }
        while !race.is_over.load(Ordering::Relaxed) {
            if kept.is_empty() {
                let records = 1 + random.below(20);
                kept.extend((0..i64::from(records)).map(|second| next_ms + second * 1_000));
                next_ms += i64::from(records) * 1_000;
            }
            let records = u8::try_from(kept.len()).unwrap();
            let bytes = packet(Codec::Codec8, *kept.front().unwrap(), records);
            if !tracker.try_send(&bytes) {
                break;
            }
            match tracker.try_answer() {
                Ok(count) => assert_eq!(count, u32::from(records)),
                Err(_) => break,
            }
            answered.extend(kept.drain(..).map(|ts_ms| (imei.clone(), iso(ts_ms))));
            race.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    answered
}

/// What the stream holds.
fn published(scene: &Scene) -> BTreeSet<Record> {
    let mut connection = scene.redis.connect();
    let said: Vec<(String, Vec<String>)> = redis::cmd("XRANGE")
        .arg(tests::entries::STREAM)
        .arg("-")
        .arg("+")
        .query(&mut connection)
        .unwrap();
    said.into_iter().map(|(_, fields)| (fields[3].clone(), fields[1].clone())).collect()
}

/// What the table holds.
fn stored(scene: &Scene) -> BTreeSet<Record> {
    let mut records = BTreeSet::new();
    scene.sql(async |client| {
        let statement = "SELECT device_id, (extract(epoch FROM ts) * 1000)::bigint FROM positions";
        let rows = client.query(statement, &[]).await.unwrap();
        records = rows.iter().map(|row| (row.get(0), iso(row.get(1)))).collect();
    });
    records
}

#[test]
fn nothing_that_was_answered_is_lost_when_the_process_is_killed() {
    println!("seed {SEED:#x}");
    let scene = Scene::new();
    let start = || Pitwall::start(&scene, &[("ROLES", "ingest")]);
    let mut process = start();
    let race = Race {
        address: Mutex::new(process.devices),
        is_over: AtomicBool::new(false),
        answered: AtomicUsize::new(0),
    };
    let first_ms = scene.now_ms() - 86_400_000;
    let mut random = Random::new(SEED);
    let answered: BTreeSet<Record> = thread::scope(|threads| {
        let race = &race;
        let drivers: Vec<_> = (0..DEVICES)
            .map(|device| threads.spawn(move || drive(race, device, first_ms)))
            .collect();
        for _ in 0..KILLS {
            // In the middle of whatever it does when so many more packets are answered.
            let due = race.answered.load(Ordering::Relaxed) + 50 + random.below(300) as usize;
            scene.until("packets are answered", || race.answered.load(Ordering::Relaxed) >= due);
            process.kill();
            process = start();
            *race.address.lock().unwrap_or_else(PoisonError::into_inner) = process.devices;
        }
        let due = race.answered.load(Ordering::Relaxed) + 100;
        scene.until("packets are answered", || race.answered.load(Ordering::Relaxed) >= due);
        race.is_over.store(true, Ordering::Relaxed);
        drivers.into_iter().flat_map(|driver| driver.join().unwrap()).collect()
    });
    assert!(answered.len() > 1_000, "{} records", answered.len());
    let published = published(&scene);
    let lost: Vec<_> = answered.difference(&published).take(10).collect();
    assert!(lost.is_empty(), "answered and not in the stream: {lost:?}");
    let _writer = scene.start_with(Config { roles: Roles::DURABLE, ..scene.config() });
    scene.until_within(Duration::from_secs(60), "all is stored", || {
        stored(&scene).is_superset(&answered)
    });
    assert_eq!(stored(&scene), published, "and what is there twice is stored once");
}
