//! A source, its shards' mailboxes in the hands of the test, and an ingestion service.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::id::{EventId, ShardIndex};
use engine::roster::{Registration, Roster};
use pitwall::config::Config;
use pitwall::context::Context;
use pitwall::error::Stop;
use pitwall::lease;
use pitwall::live::mailbox::{FeedMail, Mailbox, mailbox};
use pitwall::live::source::{self, Numbers, SourceMail};
use pitwall::log::Level;
use pitwall::metrics::{Page, Section};
use pitwall::shutdown::{Shutdown, Stage};
use pitwall::status::{Report, State};
use tests::lines::Lines;
use tests::redis::Redis;

/// The stream of all these tests.
pub(crate) const STREAM: &str = "telemetry:teltonika";

/// How long a condition may take: many times what it takes on an idle machine.
const WAIT_MS_MAX: u64 = 30_000;

/// Between two looks at a condition.
const LOOK_MS: u64 = 2;

/// A device time that is in nobody's future.
pub(crate) const START_MS: i64 = 1_780_000_000_000;

/// How many devices are registered, all to one event: `device-0` and so on.
pub(crate) const DEVICES: u32 = 10;

/// What one entry says: device and device time.
pub(crate) type Fix = (u32, i64);

/// A running source under test.
pub(crate) struct Rig {
    pub(crate) context: Context,
    pub(crate) roster: Arc<Roster>,
    pub(crate) mail: tokio::sync::mpsc::Sender<SourceMail>,
    /// The only shard's.
    pub(crate) mailbox: Mailbox,
    /// What has reached the shard, in order.
    pub(crate) seen: Vec<Fix>,
    pub(crate) rosters_seen: usize,
    pub(crate) log: Lines,
    /// Whether viewers may be let in.
    pub(crate) is_alone: tokio::sync::watch::Receiver<bool>,
    numbers: Arc<Numbers>,
    thread: Option<JoinHandle<()>>,
    /// Keeps the lease, on a thread of its own.
    runtime: tokio::runtime::Runtime,
    lease: Option<lease::Kept>,
}

/// Settings with short times.
pub(crate) fn config(url: &str) -> Config {
    let mut config = Config::new(url, "postgres://nobody@127.0.0.1:1/none");
    config.live.block_ms = 200;
    config.live.shard_count = 1;
    config
}

impl Rig {
    /// A source on this Redis that reads through its group.
    pub(crate) fn start(redis: &Redis) -> Self {
        let mut rig = Self::with(config(&redis.url()));
        rig.until_working();
        rig
    }

    /// A source with these settings, which knows the devices and may have come to nothing else yet.
    pub(crate) fn with(config: Config) -> Self {
        let (sink, log) = Lines::of(Level::Info, &config.instance_id);
        let context = Context::new(config, sink, Shutdown::default());
        let (address, mailbox) = mailbox(ShardIndex(0)).unwrap();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let lease = {
            let _entered = runtime.enter();
            lease::start(&context).unwrap()
        };
        let started = source::start(&context, Arc::new([address]), &lease.known).unwrap();
        let roster = Arc::new(roster());
        started.mail.blocking_send(SourceMail::Roster(roster.clone())).unwrap();
        Self {
            context,
            roster,
            mail: started.mail,
            mailbox,
            seen: Vec::new(),
            rosters_seen: 0,
            log,
            is_alone: lease.known.is_alone.clone(),
            numbers: started.numbers,
            thread: Some(started.thread),
            runtime,
            lease: Some(lease),
        }
    }

    /// Waits for a condition, taking in what reaches the shard meanwhile.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut is_met: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + Duration::from_millis(WAIT_MS_MAX);
        while !is_met(self) {
            if Instant::now() > deadline {
                let (report, seen) = (self.report(), self.seen.len());
                panic!("never {what}: {report:?}, {seen} seen, log:\n{}", self.log.text());
            }
            self.take_in();
        }
    }

    fn take_in(&mut self) {
        // A broken channel is one without mail.
        let Ok(letter) = self.mailbox.feed.recv_timeout(Duration::from_millis(LOOK_MS)) else {
            return;
        };
        match letter {
            FeedMail::Roster(_) => self.rosters_seen += 1,
            FeedMail::Withdrawals(_) => {}
            FeedMail::Positions(batch) => {
                for routed in batch.routed {
                    self.seen.push((routed.position.device.0, routed.position.timestamp_ms));
                }
            }
        }
    }

    /// Waits until the group is read and all is well.
    #[track_caller]
    pub(crate) fn until_working(&mut self) {
        self.until("working", |rig| rig.state() == State::Working && rig.mode() == "group");
        self.until("routing", |rig| rig.rosters_seen > 0);
    }

    /// Waits until the component's state and part of its reason are these.
    #[track_caller]
    pub(crate) fn until_state(&mut self, state: State, reason: &str) {
        self.until(reason, |rig| {
            let report = rig.report();
            report.state == state && report.reason.contains(reason)
        });
    }

    /// Waits until exactly these have been seen, in this order.
    #[track_caller]
    pub(crate) fn until_seen(&mut self, expected: &[Fix]) {
        self.until("seen all", |rig| rig.seen.len() >= expected.len());
        assert_eq!(self.seen, expected);
    }

    /// Waits until each of these has been seen at least once.
    #[track_caller]
    pub(crate) fn until_seen_at_least(&mut self, expected: &[Fix]) {
        self.until("seen all", |rig| expected.iter().all(|fix| rig.seen.contains(fix)));
    }

    pub(crate) fn report(&self) -> Report {
        self.context.status.components().first().unwrap().report()
    }

    pub(crate) fn state(&self) -> State {
        self.report().state
    }

    /// How the stream is read: `group` or `xread`.
    pub(crate) fn mode(&self) -> &'static str {
        if self.metric("processor_live_mode{mode=\"group\"}") == 1 { "group" } else { "xread" }
    }

    /// The value of a counter or gauge, 0 when it is absent.
    pub(crate) fn metric(&self, series: &str) -> i64 {
        let mut page = Page::default();
        self.numbers.write(&mut page);
        let text = page.into_text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Why the process must stop, if it must.
    pub(crate) fn stop(&self) -> Option<Stop> {
        self.context.shutdown.failure()
    }

    /// Ends the source as the end of the process does, and waits for its thread.
    pub(crate) fn end(mut self) {
        self.end_thread();
    }

    fn end_thread(&mut self) {
        self.context.shutdown.begin();
        self.context.shutdown.advance(Stage::Farewell);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the source has panicked");
        }
        if let Some(lease) = self.lease.take() {
            self.runtime.block_on(lease.give_up());
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.end_thread();
    }
}

fn roster() -> Roster {
    let names: Vec<String> = (0..DEVICES).map(|device| format!("device-{device}")).collect();
    let registrations: Vec<_> =
        names.iter().map(|device_id| Registration { device_id, event: EventId(7) }).collect();
    Roster::default().next(&registrations).unwrap()
}

/// Fixes of all devices in turn, a second apart.
pub(crate) fn fixes(first: u32, count: u32) -> Vec<Fix> {
    let fix = |number: u32| (number % DEVICES, START_MS + i64::from(number) * 1000);
    (first..first + count).map(fix).collect()
}

/// The ingestion service: adds one entry for each of these, as one write.
pub(crate) fn add(redis: &mut redis::Connection, fixes: &[Fix]) {
    for fixes in fixes.chunks(1_000) {
        let mut pipe = redis::pipe();
        for fix in fixes {
            pipe.add_command(entry("*", *fix)).ignore();
        }
        pipe.query::<()>(redis).unwrap();
    }
}

/// The command that adds an entry of this id.
pub(crate) fn entry(id: &str, (device, timestamp_ms): Fix) -> redis::Cmd {
    let mut time = Vec::new();
    engine::teltonika::write_timestamp(timestamp_ms.unsigned_abs(), &mut time).unwrap();
    let time = String::from_utf8(time).unwrap();
    let payload = format!(
        "{{\"device_id\":\"device-{device}\",\"timestamp\":\"{time}\",\"latitude\":41.3275,\
         \"longitude\":19.8187,\"altitude\":120,\"angle\":214,\"speed\":63,\"satellites\":11,\
         \"priority\":0,\"attributes\":{{\"239\":1}}}}"
    );
    let mut command = redis::cmd("XADD");
    command.arg(STREAM).arg(id).arg("ts").arg(&time).arg("device_id");
    command.arg(format!("device-{device}")).arg("codec").arg("8E").arg("payload").arg(payload);
    command
}

/// Sends a command given as one text.
pub(crate) fn ask(redis: &mut redis::Connection, command: &str) -> redis::Value {
    let mut words = command.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    command.query(redis).unwrap()
}
