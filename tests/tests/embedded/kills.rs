//! Killed or told to end at random moments: what was answered is there, and nothing is there twice.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use loadgen::random::Random;
use tests::embedded::{Embedded, until};

use crate::device::{Device, imei, time_ms};
use crate::path::{row_count, store};

const DEVICES: usize = 4;
const LIVES: u64 = 6;
const SEEDS: [u64; 2] = [7, 20_260_606];

/// Records that a device has made, and what it knows of them.
#[derive(Default)]
struct Memory {
    made: u64,
    /// Not answered: sent again after every restart, the oldest first.
    unanswered: Vec<u64>,
    answered: BTreeSet<u64>,
}

/// Sends until it is told to stop or the connection breaks, then again.
fn drive(
    (address, imei): (SocketAddr, String),
    mut memory: Memory,
    (stop, answered): (Arc<AtomicBool>, Arc<AtomicU64>),
) -> JoinHandle<Memory> {
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            // Who cannot connect any more has seen the kill.
            let Ok(mut device) = Device::connect(address, &imei) else { break };
            while !stop.load(Ordering::Relaxed) {
                while memory.unanswered.len() < 5 {
                    memory.unanswered.push(time_ms(memory.made));
                    memory.made += 1;
                }
                let sent = memory.unanswered.clone();
                match device.deliver(&sent) {
                    Ok(count) => assert_eq!(count as usize, sent.len()),
                    Err(_) => break,
                }
                memory.unanswered.clear();
                answered.fetch_add(sent.len() as u64, Ordering::Relaxed);
                memory.answered.extend(sent);
            }
        }
        memory
    })
}

fn live_and_die(seed: u64) {
    let mut random = Random::new(seed);
    let mut embedded = Embedded::new(&[]);
    let mut memories: Vec<Memory> = (0..DEVICES).map(|_| Memory::default()).collect();
    for life in 0..LIVES {
        embedded.launch();
        embedded.is_ready();
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let drivers: Vec<_> = memories
            .drain(..)
            .enumerate()
            .map(|(number, memory)| {
                drive((embedded.devices, imei(number)), memory, (stop.clone(), answered.clone()))
            })
            .collect();
        let enough = u64::from(1 + random.below(400));
        until("so many are answered", || answered.load(Ordering::Relaxed) >= enough);
        if life % 3 == 2 {
            assert!(
                embedded.end().success(),
                "an orderly end in the middle of it: {}",
                embedded.log()
            );
        } else {
            embedded.kill();
        }
        stop.store(true, Ordering::Relaxed);
        memories.extend(drivers.into_iter().map(|driver| driver.join().unwrap()));
        let connection = store(&embedded);
        for (number, memory) in memories.iter().enumerate() {
            let mut statement =
                connection.prepare("SELECT ts FROM positions WHERE device_id = ?1").unwrap();
            let times = statement.query_map([imei(number)], |row| row.get::<_, i64>(0)).unwrap();
            let stored: BTreeSet<u64> =
                times.map(|time| u64::try_from(time.unwrap()).unwrap()).collect();
            let lost: Vec<&u64> = memory.answered.difference(&stored).collect();
            assert!(lost.is_empty(), "seed {seed}, life {life}: answered and lost: {lost:?}");
            let made: BTreeSet<u64> = (0..memory.made).map(time_ms).collect();
            assert!(stored.is_subset(&made), "seed {seed}, life {life}");
        }
    }
    // What was never answered is still with its device, and comes now.
    embedded.launch();
    embedded.is_ready();
    let mut made = 0;
    for (number, memory) in memories.iter().enumerate() {
        let mut device = Device::connect(embedded.devices, &imei(number)).unwrap();
        if !memory.unanswered.is_empty() {
            device.deliver(&memory.unanswered).unwrap();
        }
        made += memory.made;
    }
    assert_eq!(row_count(&embedded), made, "seed {seed}");
    assert!(embedded.end().success());
}

#[test]
fn ended_at_random_moments_it_has_every_record_that_it_answered_and_none_twice() {
    SEEDS.into_iter().for_each(live_and_die);
}
