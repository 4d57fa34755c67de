//! A race as the ingestion service would hear it: every record in the order of its arrival.
//!
//! Devices start in waves, follow one [`course`], and fix their position once a second. What makes
//! a real race hard is in it: stretches without reception whose fixes come late and in bursts,
//! packets sent twice, clocks that are wrong, receivers that lose the sky. How much of each,
//! [`Irregular`] says.
//!
//! Only what arrives comes out. Fixes still held by a device without reception when the race ends
//! never do.

pub mod course;
mod racer;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use engine::position::Codec;
use engine::teltonika::{Fix, Imei};

use crate::random::Random;
use course::Course;
use racer::{LATENCY_MS_MIN, Racer};

/// Most devices of a race: each has an IMEI whose serial number has six digits.
pub const DEVICES_MAX: u32 = 1_000_000;

/// What race to run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RaceConfig {
    /// How many devices; at most [`DEVICES_MAX`].
    pub devices: u32,
    /// The number of the first of them, so that several generators can be different devices; the
    /// last one's is below [`DEVICES_MAX`].
    pub first_device: u32,
    /// How long the devices are switched on, in seconds of the race.
    pub seconds: u32,
    /// When they are switched on, epoch milliseconds.
    pub start_ms: u64,
    /// Devices that start together; at least one.
    pub wave_devices: u32,
    /// Time between two waves. The first starts after ten seconds.
    pub wave_interval_s: u32,
    /// What goes wrong.
    pub irregular: Irregular,
}

/// How often what goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Irregular {
    /// Share of the road without reception, up to 0.5.
    pub dead_share: f64,
    /// Probability that a packet is sent again because its answer was lost.
    pub repeat_chance: f64,
    /// Share of devices whose clock is wrong.
    pub wrong_clock_share: f64,
    /// Probability, each second, that a receiver loses the sky for a while.
    pub fix_loss_chance: f64,
    /// Probability, each second, that a driver presses the panic button.
    pub panic_chance: f64,
}

impl Irregular {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        dead_share: 0.0,
        repeat_chance: 0.0,
        wrong_clock_share: 0.0,
        fix_loss_chance: 0.0,
        panic_chance: 0.0,
    };
}

impl Default for Irregular {
    fn default() -> Self {
        Self {
            dead_share: 0.08,
            repeat_chance: 0.002,
            wrong_clock_share: 0.02,
            fix_loss_chance: 1.0 / 1_200.0,
            panic_chance: 1.0 / 7_200.0,
        }
    }
}

impl Default for RaceConfig {
    fn default() -> Self {
        Self {
            devices: 500,
            first_device: 0,
            seconds: 3_600,
            start_ms: 1_780_732_800_000, // 2026-06-06T08:00:00Z
            wave_devices: 20,
            wave_interval_s: 60,
            irregular: Irregular::default(),
        }
    }
}

/// One record as it reaches the ingestion service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it arrives, by the one right clock of the race, epoch milliseconds.
    pub arrival_ms: u64,
    /// The packet it arrives in. Records of one packet follow each other.
    pub packet: u64,
    /// Who sent it; [`imei_of_device`] names it.
    pub device: u32,
    /// How the device writes.
    pub codec: Codec,
    /// How it came here.
    pub way: Way,
    /// Where and when, as the device believes.
    pub fix: Fix,
    /// What it says beside.
    pub readings: Readings,
    /// By how much the device's clock is wrong; its fixes have that in them.
    pub clock_error_ms: i64,
}

/// How a record came to arrive when it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// At once.
    Direct,
    /// After the device was without reception.
    Late,
    /// Again, although it had arrived.
    Repeated,
}

/// What a device measures beside its position; [`crate::wire`] makes IO elements of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// True while the vehicle moves.
    pub is_moving: bool,
    /// Strength of the mobile network, 0 to 5.
    pub signal: u8,
    /// Voltage of the vehicle.
    pub voltage_mv: u16,
    /// Way since the device was mounted.
    pub odometer_m: u32,
    /// The driver's key.
    pub driver: u64,
    /// A tyre sensor's telegram; only codec 8E can carry it.
    pub telegram: [u8; 6],
}

/// The IMEI of a device: the same in every race, with a right check digit.
#[must_use]
pub fn imei_of_device(device: u32) -> Imei {
    let mut digits = *b"356307040000000";
    let mut rest = device % DEVICES_MAX;
    for digit in digits[8..14].iter_mut().rev() {
        *digit = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
    }
    let sum: u8 = digits[..14]
        .iter()
        .zip([1, 2].into_iter().cycle())
        .map(|(digit, weight)| (digit - b'0') * weight)
        .map(|product| product / 10 + product % 10)
        .sum();
    digits[14] = b'0' + (10 - sum % 10) % 10;
    Imei::parse(&digits).expect("fifteen digits")
}

/// A race in progress: an iterator over everything that arrives.
#[derive(Debug)]
pub struct Race {
    course: Course,
    racers: Vec<Racer>,
    /// Sent, but not yet arrived. Bounded by a dead zone's fixes per device.
    under_way: BinaryHeap<Reverse<UnderWay>>,
    packets: u64,
    now_ms: u64,
    end_ms: u64,
}

impl Race {
    /// The race of a seed.
    ///
    /// # Panics
    /// When the configuration asks for more than [`DEVICES_MAX`] devices or for empty waves.
    #[must_use]
    pub fn new(seed: u64, config: &RaceConfig) -> Self {
        let end = config.first_device.saturating_add(config.devices);
        assert!(end <= DEVICES_MAX, "there are {DEVICES_MAX} devices");
        assert!(config.wave_devices > 0, "a wave has at least one device");
        let course = Self::course_of(seed, &config.irregular);
        let racers = (config.first_device..end)
            .map(|device| Racer::new(device, Random::of_part(seed, 1 + u64::from(device)), config))
            .collect();
        Self {
            course,
            racers,
            under_way: BinaryHeap::new(),
            packets: 0,
            now_ms: config.start_ms,
            end_ms: config.start_ms + u64::from(config.seconds) * 1_000,
        }
    }

    /// The road of the race of a seed, without the race.
    #[must_use]
    pub fn course_of(seed: u64, irregular: &Irregular) -> Course {
        Course::new(&mut Random::of_part(seed, 0), irregular.dead_share)
    }

    /// The road it is driven on.
    #[must_use]
    pub const fn course(&self) -> &Course {
        &self.course
    }

    /// Lets so many seconds of the race pass; what arrives in them is not told.
    pub fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.step();
        }
        while self.under_way.peek().is_some_and(|Reverse(it)| it.arrival.arrival_ms < self.now_ms) {
            self.under_way.pop();
        }
    }

    /// One second of the race, for every device.
    fn step(&mut self) {
        for racer in &mut self.racers {
            racer.step(self.now_ms, &self.course, &mut |arrival_ms, way, racer, records| {
                self.packets += 1;
                self.under_way.extend(records.iter().zip(0_u8..).map(|(record, place)| {
                    let arrival = Arrival {
                        arrival_ms,
                        packet: self.packets,
                        device: racer.device,
                        codec: racer.codec,
                        way,
                        fix: record.fix,
                        readings: record.readings,
                        clock_error_ms: racer.clock_error_ms,
                    };
                    Reverse(UnderWay { place, arrival })
                }));
            });
        }
        self.now_ms += 1_000;
    }
}

impl Iterator for Race {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            // What is sent from now on arrives later than this.
            let settled_ms =
                if self.now_ms < self.end_ms { self.now_ms + LATENCY_MS_MIN } else { u64::MAX };
            if let Some(Reverse(first)) = self.under_way.peek()
                && first.arrival.arrival_ms < settled_ms
            {
                return self.under_way.pop().map(|Reverse(first)| first.arrival);
            }
            if self.now_ms >= self.end_ms {
                return None;
            }
            self.step();
        }
    }
}

/// An arrival in the queue of those to come, ordered by time, packet and place in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UnderWay {
    place: u8,
    arrival: Arrival,
}

impl Ord for UnderWay {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |it: &Self| (it.arrival.arrival_ms, it.arrival.packet, it.place);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests;
