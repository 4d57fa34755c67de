//! The race side of a world: devices, rosters, operators.

use std::sync::Arc;

use engine::id::{DeviceIndex, ShardIndex};
use engine::position::{Codec, Position};
use engine::roster::Registration;
use engine::shard::Withdrawal;

use super::model::NONE;
use super::random::Random;
use super::small;
use super::world::{FromRouter, Registered, World};

impl World {
    /// Some devices report; the batch leaves for the shards.
    pub(super) fn send_positions(&mut self) {
        let count = self.random.between(1, self.plan.batch_max);
        let crowd = if self.random.permille(300) { 1 } else { self.devices.len() };
        let mut positions = Vec::with_capacity(count);
        let mut routes: Vec<Vec<(usize, u32)>> = vec![Vec::new(); self.hosts.len()];
        for _ in 0..count {
            let device = self.random.below(crowd);
            let (position, record) = self.report(device);
            let mut is_orphan = true;
            for event in 0..self.event_ids.len() {
                if self.registered.0[event][device] {
                    is_orphan = false;
                    let owner = self.owner_of(event);
                    routes[owner].push((event, record));
                }
            }
            self.orphan_count += u64::from(is_orphan);
            positions.push(position);
        }
        self.summary.positions += count as u64;
        self.mark("positions", [count as u64, 0, 0]);
        self.router.handle_positions(&positions);
        for (at, routes) in routes.into_iter().enumerate() {
            let mut batch = Vec::new();
            let shard = ShardIndex(u8::try_from(at).expect("at most 8"));
            self.router.take_batch(shard, &mut batch);
            assert_eq!(batch.len(), routes.len(), "every registration is routed once");
            if !batch.is_empty() {
                self.hosts[at].from_router.push_back(FromRouter::Positions(batch, routes));
            }
        }
    }

    /// The next roster: some come, some leave.
    pub(super) fn change_roster(&mut self) {
        let mut next = self.registered.0.clone();
        // The last event never has a device.
        let events = next.len() - 1;
        let changes = match self.router.roster().generation() {
            0 => self.devices.len() * 2,
            _ => self.random.between(0, self.devices.len()),
        };
        for _ in 0..changes {
            let (event, device) =
                (self.random.below(events), self.random.below(self.devices.len()));
            next[event][device] = self.random.permille(600);
        }
        let mut rows = Vec::new();
        for (event, seats) in next.iter().enumerate() {
            for (device, &is_seated) in seats.iter().enumerate() {
                if is_seated {
                    let row = Registration {
                        device_id: &self.devices[device].name,
                        event: self.event_ids[event],
                    };
                    rows.push(row);
                    if rows.len() % 7 == 0 {
                        rows.push(row);
                    }
                }
            }
        }
        for at in (1..rows.len()).rev() {
            rows.swap(at, self.random.below(at + 1));
        }
        let roster = Arc::new(self.router.roster().next(&rows).expect("worlds are small"));
        self.router.handle_roster(roster.clone());
        self.registered = Arc::new(Registered(next));
        for host in &mut self.hosts {
            let known = self.registered.clone();
            host.from_router.push_back(FromRouter::Roster(roster.clone(), known));
        }
        self.mark("roster", [roster.generation(), 0, 0]);
    }

    /// Operators flag a fix, mostly the one that is shown.
    pub(super) fn withdraw(&mut self) {
        let event = self.random.below(self.event_ids.len());
        let device = self.random.below(self.devices.len());
        let seat = self.model.events[event].seats[device];
        let Some(shown) = self.model.records.get(seat.shown as usize) else { return };
        let faulty_ms = if self.random.permille(100) { 1 } else { shown.timestamp_ms };
        let older = self.devices[device].sent.iter().copied().filter(|&record| {
            let record = &self.model.records[record as usize];
            record.timestamp_ms < faulty_ms && !record.is_without_fix
        });
        let newest = older.max_by_key(|&record| self.model.records[record as usize].timestamp_ms);
        let good = newest.filter(|_| self.random.permille(800)).unwrap_or(NONE);
        let roster = self.router.roster();
        let Some(event_index) = roster.event(self.event_ids[event]) else { return };
        let slots = &roster.events()[event_index.0 as usize];
        let name = &self.devices[device].name;
        let slot = slots.slots_with_index().find(|(_, s)| roster.device_id(s.device) == name);
        let Some((slot, _)) = slot else { return };
        let position = (good != NONE).then(|| self.positions[good as usize]);
        let withdrawal = Withdrawal { event: event_index, slot, faulty_ms, good: position };
        let owner = self.owner_of(event);
        let what = (event, small(device), faulty_ms, good);
        self.hosts[owner].from_router.push_back(FromRouter::Withdrawal(withdrawal, what));
        self.mark("withdraw", [event as u64, device as u64, u64::from(good)]);
    }

    /// One fix of a device, as the engine and as the model see it.
    fn report(&mut self, device: usize) -> (Position, u32) {
        let name = &self.devices[device].name;
        let index = self.router.roster().device(name);
        let (random, newest_ms) = (&mut self.random, self.devices[device].newest_ms);
        let clock_ms = self.now.wall_ms - random.signed(0, 1500);
        let timestamp_ms = match random.below(100) {
            0..8 => newest_ms - random.signed(1, 60_000),
            8..14 => newest_ms,
            14..18 => self.now.wall_ms + random.signed(59_000, 61_000),
            18 => self.now.wall_ms + 1_000_000_000,
            _ => clock_ms.max(newest_ms + random.signed(1, 200)),
        };
        let is_without_fix = random.permille(30);
        let place = Place::draw(random, is_without_fix);
        if timestamp_ms <= self.now.wall_ms + 50_000 {
            self.devices[device].newest_ms = newest_ms.max(timestamp_ms);
        }
        let position = place.position(index, timestamp_ms);
        let escaped = &self.devices[device].escaped;
        let write = |out: &mut Vec<u8>| place.write(out, escaped, timestamp_ms);
        let is_hidden = position.satellites == 0 && place.latitude == 0 && place.longitude == 0;
        let record = self.model.add_record(small(device), timestamp_ms, is_hidden, write);
        self.positions.push(position);
        self.devices[device].sent.push(record);
        (position, record)
    }
}

/// A fix in whole units, so that its text needs no rounding.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// In 1e-7 degrees; never so near to 0 that JavaScript would write an exponent.
    latitude: i64,
    longitude: i64,
    /// In halves of a kilometre per hour.
    half_speed: u16,
    /// In quarters of a degree.
    quarter_course: u16,
    satellites: u8,
}

impl Place {
    fn draw(random: &mut Random, is_without_fix: bool) -> Self {
        let speed = random.below(300);
        let course = random.below(1440);
        let number = |value: usize| u16::try_from(value).expect("drawn below 2^16");
        let whole = random.permille(850);
        Self {
            latitude: if is_without_fix { 0 } else { degrees(random, 90) },
            longitude: if is_without_fix { 0 } else { degrees(random, 180) },
            half_speed: if random.permille(200) {
                0
            } else {
                number(speed * 2 + usize::from(!whole))
            },
            quarter_course: if whole { number(course / 4 * 4) } else { number(course) },
            satellites: if is_without_fix && random.permille(700) { 0 } else { 7 },
        }
    }

    fn position(&self, device: DeviceIndex, timestamp_ms: i64) -> Position {
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let degrees = |units: i64| units as f64 / 1e7;
        Position {
            timestamp_ms,
            latitude: degrees(self.latitude),
            longitude: degrees(self.longitude),
            altitude: 0.0,
            angle: f32::from(self.quarter_course) / 4.0,
            speed: f32::from(self.half_speed) / 2.0,
            device,
            satellites: self.satellites,
            priority: 0,
            codec: Codec::Codec8,
        }
    }

    /// From `"deviceId"` to the closing brace.
    fn write(&self, out: &mut Vec<u8>, device: &str, timestamp_ms: i64) {
        out.extend_from_slice(b"\"deviceId\":\"");
        out.extend_from_slice(device.as_bytes());
        out.extend_from_slice(b"\",\"lat\":");
        decimal(out, self.latitude, 7);
        out.extend_from_slice(b",\"lon\":");
        decimal(out, self.longitude, 7);
        out.extend_from_slice(b",\"ts\":");
        decimal(out, timestamp_ms, 0);
        if self.half_speed > 0 {
            out.extend_from_slice(b",\"speed\":");
            decimal(out, i64::from(self.half_speed) * 5, 1);
        }
        if self.quarter_course > 0 {
            out.extend_from_slice(b",\"course\":");
            decimal(out, i64::from(self.quarter_course) * 25, 2);
        }
        out.push(b'}');
    }
}

fn degrees(random: &mut Random, bound: i64) -> i64 {
    let units = random.signed(-bound * 10_000_000, bound * 10_000_000);
    match random.below(10) {
        0 => units / 10_000_000 * 10_000_000,
        1 => units / 100_000 * 100_000,
        _ if units.abs() < 10 => 10,
        _ => units,
    }
}

/// `value` divided by ten to the power of `places`, in the fewest digits.
fn decimal(out: &mut Vec<u8>, value: i64, places: usize) {
    if value < 0 {
        out.push(b'-');
    }
    let mut digits = [b'0'; 24];
    let mut rest = value.unsigned_abs();
    let mut start = digits.len();
    while rest > 0 || start > digits.len() - places - 1 {
        start -= 1;
        digits[start] = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
    }
    let (whole, fraction) = digits[start..].split_at(digits.len() - start - places);
    out.extend_from_slice(whole);
    if let Some(last) = fraction.iter().rposition(|&digit| digit != b'0') {
        out.push(b'.');
        out.extend_from_slice(&fraction[..=last]);
    }
}
