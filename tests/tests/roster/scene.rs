//! A database with the platform's tables, a keeper that reads it, and slots that hear it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::id::{DeviceIndex, EventId, SlotIndex};
use engine::position::Position;
use engine::roster::Roster;
use engine::slots::Slots;
use pitwall::config::Config;
use pitwall::context::Context;
use pitwall::live::roster::Keeper;
use pitwall::live::source::SourceMail;
use pitwall::log::Level;
use pitwall::metrics::{Page, Section as _};
use pitwall::shutdown::{Shutdown, Stage};
use pitwall::status::{Report, State};
use tests::lines::Lines;
use tests::platform::{self, imei, uuid};
use tests::postgres::{FAST, Postgres};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::Client;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the keeper looks in these tests.
pub(crate) const REFRESH_MS: u64 = 100;

/// An organization.
pub(crate) const CLUB: u64 = 900;

/// The server, and a session of whoever changes its tables.
pub(crate) struct Database {
    pub(crate) postgres: Postgres,
    pub(crate) client: Client,
}

impl Database {
    /// A fresh one with the platform's tables.
    pub(crate) async fn start() -> Self {
        let postgres = Postgres::start(FAST);
        let client = postgres.connect().await;
        platform::create(&client).await;
        Self { postgres, client }
    }

    pub(crate) async fn execute(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    /// Adds an event, its key being `uuid(event)`.
    pub(crate) async fn add_event(&self, event: u64) {
        platform::add_event(&self.client, &uuid(event), &uuid(CLUB)).await;
    }

    /// Adds a device; its key is of another number than its IMEI, so that no test takes one for the
    /// other.
    pub(crate) async fn add_device(&self, device: u64) {
        platform::add_device(&self.client, &uuid(device + 500), &imei(device)).await;
    }

    pub(crate) async fn register(&self, event: u64, device: u64) {
        platform::register(&self.client, &uuid(event), &uuid(device + 500)).await;
    }

    pub(crate) async fn unregister(&self, event: u64, device: u64) {
        platform::unregister(&self.client, &uuid(event), &uuid(device + 500)).await;
    }

    /// An event with one device that has sent these fixes, one a second. It is registered last: a
    /// keeper that runs looks once for the fix of a newcomer, and leaves what follows to the stream.
    pub(crate) async fn add_race(&self, event: u64, device: u64, fixes: &[i64]) {
        self.add_event(event).await;
        self.add_device(device).await;
        for &ts_ms in fixes {
            self.add_fix(device, ts_ms).await;
        }
        self.register(event, device).await;
    }

    pub(crate) async fn add_fix(&self, device: u64, ts_ms: i64) {
        platform::add_position(&self.client, &imei(device), ts_ms, (41.3, 19.8)).await;
    }

    pub(crate) async fn flag(&self, device: u64, ts_ms: i64, is_faulty: bool) {
        platform::set_faulty(&self.client, &imei(device), ts_ms, is_faulty).await;
    }
}

/// A running keeper, and what the source would do with its mail.
pub(crate) struct Scene {
    pub(crate) context: Context,
    keeper: Arc<Keeper>,
    mail: mpsc::Receiver<SourceMail>,
    roster: Option<Arc<Roster>>,
    /// How many rosters came.
    pub(crate) rosters: usize,
    slots: HashMap<(EventId, String), Slots>,
    log: Lines,
}

impl Scene {
    /// A keeper of this database.
    pub(crate) fn start(postgres: &Postgres) -> Self {
        Self::start_at(&postgres.url(), |_| {})
    }

    /// A keeper with other settings.
    pub(crate) fn start_at(url: &str, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new("redis://127.0.0.1:1", url);
        config.live.refresh_ms = REFRESH_MS;
        change(&mut config);
        let (sink, log) = Lines::of(Level::Debug, "test");
        let context = Context::new(config, sink, Shutdown::default());
        let (sender, mail) = mpsc::channel(64);
        let keeper = Keeper::new(&context);
        tokio::spawn(keeper.clone().run(sender));
        let slots = HashMap::new();
        Self { context, keeper, mail, roster: None, rosters: 0, slots, log }
    }

    /// Waits until the condition is true of what was heard so far.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{what}: not after {PATIENCE:?}\n{self:?}");
            if let Ok(Some(mail)) = timeout(Duration::from_millis(10), self.mail.recv()).await {
                self.apply(mail);
            }
        }
    }

    /// Waits until the keeper has looked at everything at least once from now on.
    pub(crate) async fn until_looked_again(&mut self) {
        let looks = self.looks();
        // The look that is under way may have begun before.
        self.until("it looks twice", |scene| scene.looks() >= looks + 2).await;
        // What it has found was sent before it counted the look.
        while let Ok(mail) = self.mail.try_recv() {
            self.apply(mail);
        }
    }

    fn looks(&self) -> u64 {
        self.metric("processor_live_roster_read_seconds_count{what=\"fixes\"}")
    }

    /// What a snapshot of the event shows of the device.
    pub(crate) fn shown(&self, event: u64, device: u64) -> Option<Position> {
        let event = EventId::parse(uuid(event).as_bytes()).unwrap();
        self.slots.get(&(event, imei(device)))?.shown(SlotIndex(0)).copied()
    }

    /// Its device time.
    pub(crate) fn shown_ms(&self, event: u64, device: u64) -> Option<i64> {
        self.shown(event, device).map(|position| position.timestamp_ms)
    }

    /// A fix comes by the stream.
    pub(crate) fn stream(&mut self, device: u64, timestamp_ms: i64) {
        self.offer(&imei(device), &tests::sample::position(timestamp_ms));
    }

    /// The events of a device, in the roster that was heard last.
    pub(crate) fn events_of(&self, device_id: &str) -> Vec<String> {
        let Some(roster) = &self.roster else { return Vec::new() };
        let seats = roster.seats(roster.device(device_id)).iter();
        let mut events: Vec<_> =
            seats.map(|seat| roster.events()[seat.event.0 as usize].id.to_string()).collect();
        events.sort();
        events
    }

    /// What the component says.
    pub(crate) fn report(&self, name: &str) -> Report {
        let components = self.context.status.components();
        components.iter().find(|component| component.name == name).unwrap().report()
    }

    pub(crate) fn is(&self, name: &str, state: State) -> bool {
        self.report(name).state == state
    }

    /// True when a component has come to this state with such a reason, be it for a moment.
    pub(crate) fn was(&self, name: &str, state: State, reason: &str) -> bool {
        let component = format!(r#""component":"{name}","state":"{}""#, state.word());
        let text = self.log.text();
        text.lines().any(|line| line.contains(&component) && line.contains(reason))
    }

    /// The value of a sample of the metrics page, 0 when it is not there.
    pub(crate) fn metric(&self, sample: &str) -> u64 {
        let mut page = Page::default();
        self.keeper.write(&mut page);
        let text = page.into_text();
        let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    fn apply(&mut self, mail: SourceMail) {
        match mail {
            SourceMail::Roster(roster) => {
                self.roster = Some(roster);
                self.rosters += 1;
            }
            SourceMail::Offer(offers) => {
                for (device_id, position) in offers {
                    assert_ne!(self.device(&device_id), DeviceIndex::ORPHAN, "offers follow");
                    self.offer(&device_id, &position);
                }
            }
            SourceMail::Arrived(arrived) => panic!("the keeper takes nothing in: {arrived:?}"),
            SourceMail::Withdraw(all) => {
                for withdrawn in all {
                    for slots in self.slots_of(&withdrawn.device_id) {
                        slots.withdraw(SlotIndex(0), withdrawn.faulty_ms, withdrawn.good);
                    }
                }
            }
        }
    }

    fn device(&self, device_id: &str) -> DeviceIndex {
        self.roster.as_ref().map_or(DeviceIndex::ORPHAN, |roster| roster.device(device_id))
    }

    fn offer(&mut self, device_id: &str, position: &Position) {
        let ceiling_ms = pitwall::clock::wall_ms() + 60_000;
        for slots in self.slots_of(device_id) {
            slots.offer(SlotIndex(0), position, ceiling_ms);
        }
    }

    /// Slots of one place, for each event of the device.
    fn slots_of(&mut self, device_id: &str) -> Vec<&mut Slots> {
        for event in self.events_of(device_id) {
            let event = EventId::parse(event.as_bytes()).unwrap();
            self.slots.entry((event, device_id.to_owned())).or_default().grow(1);
        }
        let of_device = self.slots.iter_mut().filter(|((_, id), _)| id == device_id);
        of_device.map(|(_, slots)| slots).collect()
    }
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut page = Page::default();
        self.keeper.write(&mut page);
        let mut text = page.into_text();
        for component in self.context.status.components() {
            writeln!(text, "{}: {:?}", component.name, component.report())?;
        }
        formatter.write_str(&text)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.context.shutdown.advance(Stage::Leaving);
    }
}

/// A runtime like the program's.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
