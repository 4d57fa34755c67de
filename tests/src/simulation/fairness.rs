//! A slow reader in a steady rhythm: no device may be left behind, whatever the beat.
//!
//! Devices report once a second, always in the same order; the reader takes half of what comes, in
//! gulps of its own rhythm. Walking changes oldest first would meet the same devices every time.

use engine::fanout::Sent;
use engine::id::{DeviceIndex, EventId, ShardIndex};
use engine::position::{Codec, Position};
use engine::roster::{Registration, Roster};
use engine::route::Router;
use engine::shard::{Shard, ShardConfig};
use engine::time::Now;
use engine::viewer::Decision;

use super::random::Random;
use super::wire::{self, Frame};
use super::{Class, Summary, Verdict, Violation, ensure};

const SECONDS: u64 = 40;
/// Laps of the reader after which a device must have been refreshed.
const LAPS_ALLOWED: f64 = 2.5;

/// The reader and what it has seen.
struct Reader {
    room_bytes: usize,
    fill_bytes: usize,
    is_blocked: bool,
    rest: Vec<u8>,
    /// By device: when its newest position came.
    fresh_ms: Vec<u64>,
    /// By device: the newest device time that came.
    newest_ms: Vec<i64>,
    frame_bytes: usize,
    frame_count: u64,
}

/// Lives through the world of one seed.
pub(super) fn run(seed: u64) -> Result<Summary, Violation> {
    let mut random = Random::new(seed);
    let device_count = if random.permille(100) { 2000 } else { random.between(20, 300) };
    let id = EventId(u128::from(random.bits()));
    let names: Vec<String> = (0..device_count).map(|at| format!("35630704244{at:04}")).collect();
    let rows: Vec<_> = names.iter().map(|n| Registration { device_id: n, event: id }).collect();
    let roster = std::sync::Arc::new(Roster::default().next(&rows).expect("small"));
    let mut now = Now { monotonic_us: 0, wall_ms: 1_780_000_000_000 };
    let mut shard = Shard::new(ShardConfig::new(ShardIndex(0), 1), now);
    let mut router = Router::new(1);
    router.handle_roster(roster.clone());
    shard.handle_roster(roster);
    let mut reader = Reader {
        room_bytes: random.between(200, 8000),
        fill_bytes: 0,
        is_blocked: false,
        rest: Vec::new(),
        fresh_ms: vec![0; device_count],
        newest_ms: vec![0; device_count],
        frame_bytes: 176,
        frame_count: 0,
    };
    subscribe(&mut shard, id);
    // Beats that fit the second, and some that do not.
    let beat_ms = [10, 20, 50, 100, 125, 250, 333, 500, 1000][random.below(9)];
    let burst = [1, 10, 40, device_count][random.below(4)].min(device_count);
    let mut sent = 0;
    for step in 0..SECONDS * 100 {
        now.monotonic_us += 10_000;
        now.wall_ms += 10;
        shard.handle_time(now);
        let due = (usize::try_from(step % 100).expect("below 100") + 1) * device_count / 100;
        let due = due / burst * burst + if step % 100 == 99 { device_count % burst } else { 0 };
        while sent < due {
            offer(&mut shard, &mut router, &names[sent], now);
            sent += 1;
        }
        if step % 100 == 99 {
            sent = 0;
        }
        // Beats that are no whole number of steps come a little late, but none is left out.
        if now.monotonic_ms() / beat_ms > (now.monotonic_ms() - 10) / beat_ms {
            let per_second = device_count * reader.frame_bytes / 2;
            let gulp = per_second * usize::try_from(beat_ms).expect("below 1000") / 1000;
            reader.room_bytes = reader.room_bytes.max(gulp);
            reader.fill_bytes = reader.fill_bytes.saturating_sub(gulp);
            if reader.is_blocked && reader.fill_bytes < reader.room_bytes {
                reader.is_blocked = false;
                shard.handle_writable(engine::id::ViewerId { index: 0, generation: 0 });
            }
        }
        shard.handle_flush();
        reader.receive(&mut shard, now.monotonic_ms())?;
        if step > 1200 {
            reader.check(&shard, now.monotonic_ms(), beat_ms)?;
        }
    }
    let positions = SECONDS * device_count as u64;
    let frames = reader.frame_count;
    let conflated = shard.ledger().conflated;
    Ok(Summary {
        steps: SECONDS * 100,
        positions,
        viewers: 1,
        frames,
        conflated,
        ..Summary::default()
    })
}

fn subscribe(shard: &mut Shard, event: EventId) {
    let viewer = shard.handle_open().expect("the shard is empty");
    let text = format!(r#"{{"type":"subscribe","topic":"event:{event}"}}"#);
    let mut bytes = vec![0x81, 0x80 | u8::try_from(text.len()).expect("short"), 0, 0, 0, 0];
    bytes.extend_from_slice(text.as_bytes());
    shard.handle_bytes(viewer, &mut bytes);
    let question = shard.poll_question().expect("a subscribe asks");
    shard.handle_decision(viewer, question.ticket, Decision::Allowed);
}

fn offer(shard: &mut Shard, router: &mut Router, name: &str, now: Now) {
    let device: DeviceIndex = router.roster().device(name);
    let position = Position {
        timestamp_ms: now.wall_ms,
        latitude: 41.327_512_3,
        longitude: 19.818_712_3,
        altitude: 0.0,
        angle: 214.0,
        speed: 63.0,
        device,
        satellites: 9,
        priority: 0,
        codec: Codec::Codec8,
    };
    router.handle_positions(&[position]);
    let mut batch = Vec::new();
    router.take_batch(ShardIndex(0), &mut batch);
    shard.handle_positions(&batch);
}

impl Reader {
    fn receive(&mut self, shard: &mut Shard, now_ms: u64) -> Verdict {
        while let Some(send) = shard.poll_send() {
            let free = self.room_bytes - self.fill_bytes.min(self.room_bytes);
            let taken = free.min(send.bytes.len());
            self.rest.extend_from_slice(&send.bytes[..taken]);
            self.fill_bytes += taken;
            self.is_blocked = taken < send.bytes.len();
            shard.handle_sent(if self.is_blocked { Sent::Part(taken) } else { Sent::All });
        }
        let mut used = 0;
        while let Some((frame, length)) =
            wire::frame(&self.rest[used..]).map_err(|what| Violation::new(Class::Wire, what))?
        {
            if let Frame::Text(text) = frame
                && text.starts_with(wire::POSITION)
            {
                self.frame_bytes = length;
                self.frame_count += 1;
                let (device, timestamp_ms) = read(text)
                    .filter(|(device, _)| *device < self.fresh_ms.len())
                    .ok_or_else(|| Violation::new(Class::Foreign, "no device of this world"))?;
                self.fresh_ms[device] = now_ms;
                let before_ms = std::mem::replace(&mut self.newest_ms[device], timestamp_ms);
                ensure(before_ms < timestamp_ms, Class::Backward, || {
                    format!("device {device}: {timestamp_ms} after {before_ms}")
                })?;
            }
            used += length;
        }
        self.rest.drain(..used);
        Ok(())
    }

    fn check(&self, shard: &Shard, now_ms: u64, beat_ms: u64) -> Verdict {
        ensure(shard.residual() == 0, Class::Residual, || {
            format!("residual {}", shard.residual())
        })?;
        // At half of the bandwidth a lap takes two seconds; the kernel and a gulp come on top.
        let bytes_per_ms = (self.fresh_ms.len() * self.frame_bytes) as u64 / 2000;
        let kernel_ms = self.room_bytes as u64 / bytes_per_ms.max(1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "5000")]
        let allowed_ms = (LAPS_ALLOWED * 2000.0) as u64 + kernel_ms + 2 * beat_ms;
        let oldest = self.fresh_ms.iter().enumerate().min_by_key(|(_, fresh_ms)| **fresh_ms);
        let Some((device, &fresh_ms)) = oldest else { return Ok(()) };
        let stale_ms = now_ms - fresh_ms;
        ensure(stale_ms <= allowed_ms, Class::Fairness, || {
            format!("device {device} is {stale_ms} ms old, {allowed_ms} are allowed")
        })
    }
}

/// The device and the device time of a position.
fn read(text: &[u8]) -> Option<(usize, i64)> {
    let device = text[wire::POSITION.len() + 37..].split(|&byte| byte == b'"').nth(3)?;
    let device = std::str::from_utf8(device.last_chunk::<4>()?).ok()?.parse().ok()?;
    let key = br#","ts":"#;
    let at = text.windows(key.len()).position(|window| window == key)?;
    let digits = text[at + key.len()..].split(|byte| !byte.is_ascii_digit()).next()?;
    Some((device, std::str::from_utf8(digits).ok()?.parse().ok()?))
}
