//! Everything that runs behind a demo: the program, the cars, the crowd. Set up, looked at, cleared.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use loadgen::firehose::{Counts, Firehose, FirehoseConfig};
use loadgen::race::{Irregular, Race, RaceConfig, imei_of_device};
use loadgen::schedule::Pace;
use loadgen::viewers::{Crowd, CrowdConfig};

use super::folder::{EVENT, Folder, PROBE, random_word};
use super::probe::{self, Probe};
use sonic_rs::JsonValueTrait as _;

use crate::config::{Config, EmbeddedConfig};
use crate::context::Context;
use crate::embedded::StoreHandle;
use crate::error::Stop;
use crate::log::{Level, Log};
use crate::secret::Secret;
use crate::shutdown::{Shutdown, Stage as End};
use crate::{Listeners, process, signals};

/// The port of the page when none is asked for and it is free.
const PORT: u16 = 8081;

/// Cars that start together, and the seconds of the race between two starts: the last of sixty leaves
/// after half an hour of the race.
const WAVE_CARS: u32 = 2;
const WAVE_INTERVAL_S: u32 = 60;

/// How much of the race has passed when it is first seen: cars are all over the road.
const PASSED_S: u32 = 25 * 60;

/// How long a race lasts by its own clock; then the next begins.
const RACE_S: u32 = 2 * 3_600;

/// Most viewers that come at once.
const BURST_MAX: u32 = 5_000;

/// Viewers of the crowd beside those.
const OTHERS_MAX: u32 = 2;

/// Open files of everything but the crowd: cars, listeners, the store.
const FILES_OWN: u64 = 500;

/// How long viewers are closed over at the end: nobody waits for a demo.
const DRAIN_MS: u64 = 200;

/// The last lines of the log that are kept.
const LINES_MAX: usize = 3;

/// What somebody wants to see.
#[derive(Clone, Debug)]
pub(super) struct Wishes {
    pub(super) cars: u32,
    pub(super) speed: u32,
    pub(super) seed: u64,
    pub(super) host: IpAddr,
    pub(super) port: Option<u16>,
}

/// A running demo.
pub(super) struct Stage {
    /// When it was asked for.
    pub(super) begun: Instant,
    /// How many cars there are.
    pub(super) car_count: u32,
    /// Where the page is.
    pub(super) page: SocketAddr,
    /// What viewers from elsewhere have to know.
    pub(super) token: Option<String>,
    /// Where the numbers are.
    pub(super) admin: SocketAddr,
    /// Stops the store.
    pub(super) store: StoreHandle,
    /// Phones that the demo brings itself.
    pub(super) crowd: Crowd,
    /// Viewers that can come at once: each is an open file on either side.
    pub(super) burst: u32,
    /// Measures how long a position takes.
    pub(super) probe: probe::Running,
    /// The last warnings of the program.
    pub(super) warnings: Warnings,
    cars: Cars,
    shutdown: Shutdown,
    program: Option<JoinHandle<Result<(), Stop>>>,
    /// Goes last: everything has it open.
    folder: Folder,
}

/// The cars, race after race.
struct Cars {
    config: FirehoseConfig,
    running: Firehose,
}

impl Stage {
    /// Sets everything up; cars have begun to connect when this returns.
    pub(super) fn set(wishes: &Wishes) -> Result<Self, Stop> {
        process::forbid_core_dumps();
        let begun = Instant::now();
        let broken = |what: &str, words: &dyn std::fmt::Display| {
            Stop::Unavailable(format!("The demo cannot begin: {what}: {words}."))
        };
        let folder = Folder::make(wishes.cars, wishes.seed)
            .map_err(|error| broken("the temporary folder cannot be written to", &error))?;
        let listeners = listen(wishes)?;
        let address = |listener: &Option<TcpListener>| {
            let listener = listener.as_ref().expect("it was opened");
            listener.local_addr().expect("a listener has an address")
        };
        let (page, devices) = (address(&listeners.live), address(&listeners.ingest));
        let admin = listeners.admin.local_addr().expect("a listener has an address");
        let token = (!wishes.host.is_loopback()).then(|| random_word(12)).transpose();
        let token = token.map_err(|error| broken("there is no token", &error))?;
        let config = config_of(&folder, token.as_deref());
        process::allow_descriptors(&config);
        let warnings = Warnings::default();
        let log = Log::to(Level::Warn, "demo", warnings.clone());
        let shutdown = Shutdown::default();
        signals::listen(shutdown.clone(), log.clone())
            .map_err(|error| broken("signals cannot be listened to", &error))?;
        let store = StoreHandle::default();
        let (context, handle) = (Context::new(config, log, shutdown.clone()), store.clone());
        let program = thread::Builder::new()
            .name("program".to_owned())
            .spawn(move || crate::run_with_store(context, listeners, handle))
            .map_err(|error| broken("there is no thread", &error))?;
        let mut stage_ends = EndsProgram(Some((shutdown, program)));
        let cars = Cars::start(wishes, devices).map_err(|words| broken("the cars", &words))?;
        let loopback = SocketAddr::new(loopback_of(page.ip()), page.port());
        let mut crowd = CrowdConfig::new(loopback, &[EVENT.to_owned()]);
        crowd.cookie = token.as_ref().map(|token| format!("pitwall_token={token}"));
        let start = Race::course_of(wishes.seed, &Irregular::default()).place(0.0);
        let probe = Probe {
            devices,
            viewers: loopback,
            cookie: crowd.cookie.clone(),
            imei: imei_of_device(PROBE),
            at: (start.latitude_e7, start.longitude_e7),
        };
        let probe = probe.start().map_err(|error| broken("there is no thread", &error))?;
        let burst = burst();
        let crowd = Crowd::start(crowd, burst + OTHERS_MAX)
            .map_err(|words| broken("the phones", &words))?;
        let (shutdown, program) = stage_ends.0.take().expect("it was put there");
        let program = Some(program);
        Ok(Self {
            begun,
            car_count: wishes.cars,
            page,
            token,
            admin,
            store,
            crowd,
            burst,
            probe,
            warnings,
            cars,
            shutdown,
            program,
            folder,
        })
    }

    /// True until somebody ends it, or the program has ended by itself.
    pub(super) fn goes_on(&mut self) -> bool {
        if self.cars.running.is_finished() && !self.is_ending() {
            // The next race; one that cannot begin is tried again at the next look.
            if let Ok(next) = Firehose::start(self.cars.config.clone()) {
                self.cars.running = next;
            }
        }
        !self.is_ending() && self.program.as_ref().is_some_and(|program| !program.is_finished())
    }

    fn is_ending(&self) -> bool {
        self.shutdown.stage() >= End::Leaving
    }

    /// What the cars have done.
    pub(super) fn cars(&self) -> Counts {
        self.cars.running.counts()
    }

    /// Begins the end.
    pub(super) fn end(&self) {
        self.shutdown.begin();
    }

    /// Ends everything and says what went wrong, if anything.
    pub(super) fn clear(self) -> Result<(), Stop> {
        self.shutdown.begin();
        drop((self.cars, self.crowd, self.probe));
        let ended = self.program.expect("it is there until the end").join();
        drop(self.folder);
        ended.unwrap_or_else(|_| {
            Err(Stop::Broken("The program has ended in a panic. Report what it said.".to_owned()))
        })
    }

    /// What is opened in a browser on this machine.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", SocketAddr::new(loopback_of(self.page.ip()), self.page.port()))
    }
}

/// Ends the program if the rest of the stage cannot be set.
struct EndsProgram(Option<(Shutdown, JoinHandle<Result<(), Stop>>)>);

impl Drop for EndsProgram {
    fn drop(&mut self) {
        if let Some((shutdown, program)) = self.0.take() {
            shutdown.begin();
            // Why the demo cannot begin is told; how the program ended adds nothing.
            program.join().ok();
        }
    }
}

impl Cars {
    fn start(wishes: &Wishes, devices: SocketAddr) -> Result<Self, String> {
        let mut config = FirehoseConfig::new(devices);
        config.seed = wishes.seed;
        config.pace = Pace::times(wishes.speed.into());
        config.drain = Duration::from_secs(1);
        config.passed_s = PASSED_S;
        config.race = RaceConfig {
            devices: wishes.cars,
            seconds: RACE_S,
            wave_devices: WAVE_CARS,
            wave_interval_s: WAVE_INTERVAL_S,
            // A car whose clock is wrong is not shown, which a demo would have to explain.
            irregular: Irregular { wrong_clock_share: 0.0, ..Irregular::default() },
            ..RaceConfig::default()
        };
        Ok(Self { running: Firehose::start(config.clone())?, config })
    }
}

fn config_of(folder: &Folder, token: Option<&str>) -> Config {
    let mut config = Config::embedded(folder.path().to_owned());
    let token = token.map(Secret::new);
    config.embedded = Some(EmbeddedConfig { directory: folder.path().to_owned(), token });
    config.live.drain_timeout_ms = DRAIN_MS;
    // The crowd comes from this machine, and from one address of it when that is not a loopback's.
    let limits = &mut config.live.limits;
    limits.viewers_per_address_max = limits.viewers_max;
    limits.half_open_per_address_max = limits.half_open_max;
    config
}

/// The page where it is wanted, the rest on free ports of loopback.
fn listen(wishes: &Wishes) -> Result<Listeners, Stop> {
    let bind = |address: (IpAddr, u16)| TcpListener::bind(address);
    let page = match wishes.port {
        Some(port) => bind((wishes.host, port)),
        None => bind((wishes.host, PORT)).or_else(|_| bind((wishes.host, 0))),
    };
    let unavailable = |error: io::Error| {
        Stop::Unavailable(format!(
            "The demo cannot listen: {error}. Choose another --port, or none."
        ))
    };
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Ok(Listeners {
        live: Some(page.map_err(unavailable)?),
        admin: bind((loopback, 0)).map_err(unavailable)?,
        ingest: Some(bind((loopback, 0)).map_err(unavailable)?),
    })
}

/// Where the demo's own phones find a page that listens everywhere.
fn loopback_of(address: IpAddr) -> IpAddr {
    if address.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address }
}

/// As many viewers as the system has open files for, up to [`BURST_MAX`].
fn burst() -> u32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = limit.unwrap_or(u64::MAX).saturating_sub(FILES_OWN);
    u32::try_from(files / 2).map_or(BURST_MAX, |viewers| viewers.min(BURST_MAX))
}

/// The last lines that the program has logged.
#[derive(Clone, Debug, Default)]
pub(super) struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// The lines, oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for Warnings {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend(String::from_utf8_lossy(bytes).lines().filter_map(told));
        let surplus = lines.len().saturating_sub(LINES_MAX);
        lines.drain(..surplus);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line of the log as a sentence: why something is as it is, or what happened. Nothing of what a key
/// of the demo has done on purpose.
fn told(line: &str) -> Option<String> {
    let Ok(fields) = sonic_rs::from_str::<sonic_rs::Value>(line) else {
        return Some(line.to_owned());
    };
    let of = |name: &str| fields.get(name).as_str().unwrap_or_default().to_owned();
    let (reason, message) = (of("reason"), of("msg"));
    let words = if reason.is_empty() { message } else { reason };
    // The log escapes what steers a terminal; here that has been undone.
    let words = words.replace(char::is_control, " ");
    (!words.contains("on purpose")).then_some(words)
}
