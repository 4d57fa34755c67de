//! The platform and the program for browser tests: started, described in a line of JSON, and made to
//! do things by commands on the standard input, one a line, each answered by a line.
//!
//! `race DEVICES HERTZ` publishes from now on, `quiet` ends that, `once DEVICES` publishes one position
//! each, `stop` ends the program as an operator does and `crash` as the system does, `start` starts one at
//! the same address, `logout` and `login` are about the user, `end` ends it all. There is a second way
//! to the program, the wire, that `slow BYTES_PER_SECOND` and `silence` make worse and `heal` well.
//!
//! `embed TOKEN` starts a second program beside it, in the embedded mode, and answers with its address and
//! its folder; `report DEVICES` lets as many devices send it a record each; `fold` ends it.

use std::env;
use std::io::{self, BufRead, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use engine::position::Codec;
use engine::teltonika::{Fix as DeviceFix, OutgoingRecord, encode_packet};
use pitwall::clock::wall_ms;
use tests::child::Pitwall;
use tests::embedded::Embedded;
use tests::entries::{Fix, Publisher};
use tests::platform::{imei, set_user_status, uuid};
use tests::proxy::{Fault, Proxy, Way, Which};
use tests::scene::{EVENT, EVENT_EMPTY, Scene, USER};
use tests::tracker::Tracker;

/// Devices of the event when nothing else is asked for.
const DEVICES: u64 = 60;

/// Between two looks at which devices are due.
const TICK: Duration = Duration::from_millis(10);

/// Metres of a degree of latitude.
const DEGREE_METRES: f64 = 111_320.0;

fn main() {
    let device_count = env::args().nth(1).map_or(DEVICES, |text| text.parse().expect("a number"));
    let mut stage = Stage::open(device_count);
    let (port, wire, cookie) = (stage.port, stage.wire.port(), Scene::cookie(USER));
    say(&format!(
        "{{\"url\":\"http://127.0.0.1:{port}/\",\"wire\":\"http://127.0.0.1:{wire}/\",\"event\":\"{EVENT}\",\"empty\":\"{EVENT_EMPTY}\",\
         \"cookie\":\"{cookie}\",\"devices\":{device_count}}}"
    ));
    for line in io::stdin().lock().lines() {
        let line = line.expect("commands are text");
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<u64>().expect("a number");
        let mut told = String::new();
        match words[0] {
            "race" => stage.race(number(1), number(2)),
            "quiet" => stage.quiet(),
            "once" => stage.once(number(1)),
            "stop" => stage.stop("TERM"),
            "crash" => stage.stop("KILL"),
            "start" => stage.start(),
            "slow" => stage.slow(number(1)),
            "silence" => stage.wire.hold(),
            "heal" => stage.wire.heal(),
            "logout" => stage.is_user_known(false),
            "login" => stage.is_user_known(true),
            "embed" => told = stage.embed(words[1]),
            "report" => stage.report(number(1)),
            "fold" => stage.embedded = None,
            "end" => break,
            other => panic!("there is no command {other}"),
        }
        say(&format!("{{\"done\":true{told}}}"));
    }
    stage.quiet();
}

#[expect(clippy::print_stdout, reason = "the answer is what the caller waits for")]
fn say(line: &str) {
    println!("{line}");
    io::stdout().flush().expect("somebody reads");
}

/// All that runs.
struct Stage {
    scene: Scene,
    port: u16,
    wire: Proxy,
    program: Option<Pitwall>,
    race: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
    embedded: Option<Embedded>,
}

impl Stage {
    fn open(device_count: u64) -> Self {
        let scene = Scene::with_devices(device_count);
        // Free now; a restart needs it again, so it cannot be the system's choice each time.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let wire = Proxy::to(port);
        let mut stage = Self { scene, port, wire, program: None, race: None, embedded: None };
        stage.start();
        stage
    }

    /// Starts the program unless it runs.
    fn start(&mut self) {
        if self.program.is_some() {
            return;
        }
        let port = self.port.to_string();
        let settings =
            [("LIVE_WS_PORT", &*port), ("LIVE_PAGE", "on"), ("LIVE_REVALIDATE_MS", "1000")];
        self.program = Some(Pitwall::start(&self.scene, &settings));
    }

    fn stop(&mut self, signal: &str) {
        let mut program = self.program.take().expect("it runs");
        program.signal(signal);
        program.ended(&self.scene);
    }

    fn race(&mut self, device_count: u64, hertz: u64) {
        self.quiet();
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, port) = (is_over.clone(), self.scene.redis.port());
        let thread = thread::spawn(move || drive(port, device_count, hertz, &over));
        self.race = Some((is_over, thread));
    }

    fn quiet(&mut self) {
        if let Some((is_over, thread)) = self.race.take() {
            is_over.store(true, Ordering::Relaxed);
            thread.join().expect("the race runs until it is ended");
        }
    }

    fn once(&mut self, device_count: u64) {
        let now_ms = wall_ms();
        let fixes: Vec<Fix> = (1..=device_count).map(|device| fix(device, now_ms)).collect();
        self.scene.publish_all(&fixes);
    }

    /// Starts a program in the embedded mode; what is to be told of it.
    fn embed(&mut self, token: &str) -> String {
        let embedded = Embedded::start(&[("EMBEDDED_TOKEN", token)]);
        let (live, folder) = (embedded.live, embedded.folder());
        self.embedded = Some(embedded);
        format!(",\"url\":\"http://{live}/\",\"folder\":{:?}", folder.display().to_string())
    }

    /// So many devices connect to it, send where they are, and are answered.
    fn report(&self, device_count: u64) {
        let address = self.embedded.as_ref().expect("there is one").devices;
        for device in 1..=device_count {
            let mut tracker = Tracker::connect(address, &imei(device));
            tracker.send(&packet(&fix(device, wall_ms())));
            assert_eq!(tracker.answer(), 1, "the record is kept");
        }
    }

    fn slow(&self, bytes_per_second: u64) {
        self.wire.set(Which::All, Way::ToClient, Fault::Bandwidth { bytes_per_second });
    }

    /// Directus and the database know the user, or do not any more.
    fn is_user_known(&mut self, is_known: bool) {
        let mut known = self.scene.authority.knowledge();
        if is_known {
            known.users.insert(Scene::cookie(USER), uuid(USER));
        } else {
            known.users.remove(&Scene::cookie(USER));
        }
        drop(known);
        let status = if is_known { "active" } else { "suspended" };
        self.scene.sql(async |client| set_user_status(client, &uuid(USER), status).await);
    }
}

/// Publishes each device so many times a second, the devices spread over the time between.
fn drive(redis_port: u16, device_count: u64, hertz: u64, is_over: &AtomicBool) {
    let mut publisher = Publisher::connect(redis_port);
    let began = Instant::now();
    let mut published = 0;
    while !is_over.load(Ordering::Relaxed) {
        let elapsed_ms = u64::try_from(began.elapsed().as_millis()).expect("not that long");
        let due = elapsed_ms * device_count * hertz / 1_000;
        let now_ms = wall_ms();
        let fixes: Vec<Fix> = (published..due.min(published + device_count))
            .map(|count| fix(count % device_count + 1, now_ms))
            .collect();
        published += fixes.len() as u64;
        if !fixes.is_empty() {
            publisher.publish_all(&fixes);
        }
        thread::sleep(TICK);
    }
}

/// Where a device is at a time: on its lane of a course of a few kilometres, at some 60 km/h.
#[expect(clippy::cast_precision_loss, reason = "times and devices far below 2^52")]
fn fix(device: u64, now_ms: i64) -> Fix {
    let seconds = (now_ms % 86_400_000) as f64 / 1_000.0;
    let pace = 14.0 + (device % 7) as f64;
    let lap_metres = 9_000.0;
    let angle = (seconds * pace / lap_metres + device as f64 * 0.618_034) * std::f64::consts::TAU;
    let lane = 1.0 + ((device % 11) as f64 - 5.0) * 0.012;
    let radius = 1_400.0 * lane * (1.0 + 0.22 * (3.0 * angle).sin());
    let (north, east) = (radius * angle.sin(), radius * angle.cos() * 1.35);
    let mut fix = Fix::new(&imei(device), now_ms);
    let micro = |degrees: f64| (degrees * 1e6).round() / 1e6;
    fix.latitude = micro(41.3275 + north / DEGREE_METRES);
    fix.longitude = micro(19.8187 + east / DEGREE_METRES / 41.3275_f64.to_radians().cos());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    {
        fix.speed = (pace * 3.6).round() as u16;
        fix.angle = (450.0 - angle.to_degrees() - 90.0).rem_euclid(360.0) as u16;
    }
    fix
}

/// A packet of a device that is there.
#[expect(clippy::cast_possible_truncation, reason = "degrees")]
fn packet(fix: &Fix) -> Vec<u8> {
    let e7 = |degrees: f64| (degrees * 1e7).round() as i32;
    let fix = DeviceFix {
        timestamp_ms: u64::try_from(fix.ts_ms).expect("after 1970"),
        priority: 1,
        longitude_e7: e7(fix.longitude),
        latitude_e7: e7(fix.latitude),
        altitude_m: 120,
        angle_deg: fix.angle,
        satellites: 11,
        speed_kmh: fix.speed,
        event_io_id: 0,
        generation_type: None,
    };
    let mut bytes = Vec::new();
    let records = [OutgoingRecord { fix, elements: &[] }];
    encode_packet(Codec::Codec8, &records, &mut bytes).expect("the codec can say it");
    bytes
}
