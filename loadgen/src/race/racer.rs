//! One device and its vehicle: how it drives, what it measures, and when it can send it.

use engine::position::Codec;
use engine::teltonika::Fix;

use crate::random::Random;

use super::course::{Course, Place, rounded};
use super::{Irregular, RaceConfig, Readings, Way};

/// No record arrives sooner after it was made.
pub(super) const LATENCY_MS_MIN: u64 = 60;

/// Records of one late packet: 10 of the largest stay below the 1,280 bytes a device sends.
const BURST_RECORDS_MAX: usize = 10;

/// A device sends the next packet of a burst when the one before is answered.
const BURST_INTERVAL_MS: u64 = 250;

/// Time to find the network again.
const RECONNECT_MS: (f64, f64) = (1_500.0, 6_000.0);

/// Most fixes a device keeps while it cannot send; then it forgets the oldest. Real ones keep more,
/// but a race that needs it has no reception anywhere.
const BACKLOG_MAX: usize = 3_600;

/// Ways in which clocks are wrong, in milliseconds: a little and far ahead, behind by a time zone,
/// behind by the 1,024 weeks after which GPS time starts anew.
const CLOCK_ERRORS_MS: [i64; 4] = [90_000, 86_400_000, -10_800_000, -619_315_200_000];

/// One fix with what was measured beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) fix: Fix,
    pub(super) readings: Readings,
}

/// A device in the race.
#[derive(Debug)]
pub(super) struct Racer {
    pub(super) device: u32,
    pub(super) codec: Codec,
    random: Random,
    irregular: Irregular,
    start_ms: u64,
    /// Its speed against the average.
    pace: f64,
    distance_m: f64,
    speed_kmh: f64,
    odometer_start_m: u32,
    pub(super) clock_error_ms: i64,
    /// The part of its latency that does not change.
    latency_ms: u64,
    /// After lost reception, the newest fixes go first, as most devices are set; else the oldest.
    sends_newest_first: bool,
    /// Fixes made without reception, oldest first.
    backlog: Vec<Sample>,
    /// Until when the connection is busy with what was sent before.
    busy_until_ms: u64,
    /// Until when the sky is hidden.
    hidden_until_ms: u64,
    /// While hidden: repeat the last place, or give zeros. Both are seen.
    repeats_last_place: bool,
    last_place: Place,
}

impl Racer {
    pub(super) fn new(device: u32, mut random: Random, config: &RaceConfig) -> Self {
        let wave = u64::from((device - config.first_device) / config.wave_devices);
        let has_wrong_clock = random.happens(config.irregular.wrong_clock_share);
        let clock_error_ms = CLOCK_ERRORS_MS[random.below(4) as usize];
        Self {
            device,
            codec: match random.below(10) {
                0..5 => Codec::Codec8Extended,
                5..9 => Codec::Codec8,
                _ => Codec::Codec16,
            },
            irregular: config.irregular,
            start_ms: config.start_ms + 10_000 + wave * u64::from(config.wave_interval_s) * 1_000,
            pace: random.between(0.75, 1.15),
            distance_m: 0.0,
            speed_kmh: 0.0,
            odometer_start_m: random.below(200_000_000),
            clock_error_ms: if has_wrong_clock { clock_error_ms } else { 0 },
            latency_ms: LATENCY_MS_MIN + u64::from(random.below(600)),
            sends_newest_first: random.happens(0.6),
            backlog: Vec::new(),
            busy_until_ms: 0,
            hidden_until_ms: 0,
            repeats_last_place: random.happens(0.5),
            last_place: Place::default(),
            random,
        }
    }

    /// One second: drive, measure, and hand to `send` the packets that leave now, each with the
    /// time of its arrival.
    pub(super) fn step(
        &mut self,
        now_ms: u64,
        course: &Course,
        send: &mut impl FnMut(u64, Way, &Self, &[Sample]),
    ) {
        self.drive(now_ms, course);
        let sample = self.measure(now_ms, course);
        if course.is_dead(self.distance_m) {
            if self.backlog.len() == BACKLOG_MAX {
                self.backlog.remove(0);
            }
            self.backlog.push(sample);
            return;
        }
        let latency_ms = self.latency_ms + u64::from(self.random.below(300));
        if !self.backlog.is_empty() {
            self.send_backlog(now_ms + latency_ms, send);
        }
        let arrival_ms = (now_ms + latency_ms).max(self.busy_until_ms);
        self.send_packet(arrival_ms, Way::Direct, &[sample], send);
    }

    fn drive(&mut self, now_ms: u64, course: &Course) {
        let wished_kmh = if now_ms < self.start_ms {
            0.0
        } else {
            course.speed_kmh(self.distance_m) * self.pace
        };
        let change_kmh = (wished_kmh - self.speed_kmh).clamp(-20.0, 9.0);
        let noise = self.random.between(0.97, 1.03);
        self.speed_kmh = (self.speed_kmh + change_kmh) * noise;
        if wished_kmh <= 0.0 && self.speed_kmh < 5.0 {
            self.speed_kmh = 0.0;
        }
        self.distance_m = (self.distance_m + self.speed_kmh / 3.6).min(course.length_m());
    }

    fn measure(&mut self, now_ms: u64, course: &Course) -> Sample {
        if self.random.happens(self.irregular.fix_loss_chance) {
            self.hidden_until_ms = now_ms + 5_000 + u64::from(self.random.below(55_000));
        }
        let is_panic = self.random.happens(self.irregular.panic_chance);
        let is_start = now_ms.abs_diff(self.start_ms) < 500;
        let satellites = 7 + self.random.below(9);
        let is_hidden = now_ms < self.hidden_until_ms;
        if !is_hidden {
            self.last_place = course.place(self.distance_m);
        }
        let place = match (is_hidden, self.repeats_last_place) {
            (true, false) => Place::default(),
            (true, true) | (false, _) => self.last_place,
        };
        let fix = Fix {
            timestamp_ms: now_ms.saturating_add_signed(self.clock_error_ms),
            priority: if is_panic { 2 } else { u8::from(is_start) },
            longitude_e7: place.longitude_e7,
            latitude_e7: place.latitude_e7,
            altitude_m: place.altitude_m,
            angle_deg: place.angle_deg,
            satellites: if is_hidden { 0 } else { u8::try_from(satellites).unwrap_or(0) },
            speed_kmh: if is_hidden { 0 } else { small(self.speed_kmh) },
            event_io_id: if is_panic { 236 } else { u16::from(is_start) * 239 },
            generation_type: (self.codec == Codec::Codec16).then_some(if is_start { 0 } else { 5 }),
        };
        Sample { fix, readings: self.read() }
    }

    fn read(&mut self) -> Readings {
        let noise = self.random.number().to_le_bytes();
        let [signal, millivolts, pressure, warmth, ..] = noise;
        let driven_m = u32::try_from(rounded(self.distance_m)).unwrap_or(0);
        let [a, b, c, _] = self.device.to_le_bytes();
        Readings {
            is_moving: self.speed_kmh > 0.0,
            signal: signal % 4 + 2,
            voltage_mv: 13_600 + u16::from(millivolts),
            odometer_m: self.odometer_start_m + driven_m,
            driver: 0xD000_0000_0000_0000 | u64::from(self.device),
            telegram: [0x10, a, b, c, 180 + pressure % 40, warmth % 90],
        }
    }

    /// Sends what was kept. New fixes wait for the network, and with the oldest first also for the
    /// whole backlog.
    fn send_backlog(&mut self, soonest_ms: u64, send: &mut impl FnMut(u64, Way, &Self, &[Sample])) {
        let mut backlog = std::mem::take(&mut self.backlog);
        if self.sends_newest_first {
            backlog.reverse();
        }
        let (low_ms, high_ms) = RECONNECT_MS;
        let reconnect_ms = u64::from(small(self.random.between(low_ms, high_ms)));
        self.busy_until_ms = self.busy_until_ms.max(soonest_ms + reconnect_ms);
        let mut arrival_ms = self.busy_until_ms;
        for records in backlog.chunks(BURST_RECORDS_MAX) {
            arrival_ms += BURST_INTERVAL_MS;
            self.send_packet(arrival_ms, Way::Late, records, send);
        }
        if !self.sends_newest_first {
            self.busy_until_ms = arrival_ms;
        }
        backlog.clear();
        self.backlog = backlog;
    }

    fn send_packet(
        &mut self,
        arrival_ms: u64,
        way: Way,
        records: &[Sample],
        send: &mut impl FnMut(u64, Way, &Self, &[Sample]),
    ) {
        send(arrival_ms, way, self, records);
        let again_ms = 1_000 + u64::from(self.random.below(19_000));
        if self.random.happens(self.irregular.repeat_chance) {
            send(arrival_ms + again_ms, Way::Repeated, self, records);
        }
    }
}

/// A number of this world that is small and not negative.
fn small(number: f64) -> u16 {
    u16::try_from(rounded(number)).unwrap_or(0)
}
