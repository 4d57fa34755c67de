//! The platform of a test: a Directus that all tests share while they run, a race of the test's own
//! in it, and the program with a Redis of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pitwall::config::{Authority, Config, Roles};
use serde_json::json;
use tests::client::{Client, page};
use tests::directus::real::RealDirectus;
use tests::entries::{Fix, Publisher};
use tests::live::Live;
use tests::platform::{imei, uuid};
use tests::program::comes_true;
use tests::redis::Redis;

/// How long anything may take to come true: an old session lives on for ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks: ten newcomers a second stay below every limit.
const LOOK: Duration = Duration::from_millis(100);

/// Where the next race's ids begin.
static NEXT_ID: AtomicU64 = AtomicU64::new(1_000);

/// The Directus of all tests that run now: it takes ten times as long to start as most tests take,
/// and it ends with the last of them.
pub(super) fn shared() -> Arc<RealDirectus> {
    static SHARED: Mutex<Weak<RealDirectus>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(directus) = shared.upgrade() {
        return directus;
    }
    let directus = Arc::new(RealDirectus::start());
    *shared = Arc::downgrade(&directus);
    directus
}

/// An organization with an event, a device and a user, and an event of another organization.
pub(super) struct Race {
    /// The user's name.
    pub(super) name: String,
    /// The user's id.
    pub(super) user: String,
    organization: String,
    /// The organization's event, in which the device is registered.
    pub(super) own: String,
    /// Also of the own organization, and without devices.
    pub(super) own_empty: String,
    pub(super) foreign: String,
    /// The row that makes the user a member.
    pub(super) membership: String,
    pub(super) imei: String,
}

impl Race {
    /// Adds one, unlike all others.
    pub(super) fn add(directus: &RealDirectus) -> Self {
        let first = NEXT_ID.fetch_add(100, Ordering::Relaxed);
        let id = |number: u64| uuid(first + number);
        let name = format!("racer-{first}");
        let race = Self {
            user: directus.add_user(&name),
            name,
            organization: id(1),
            own: id(10),
            own_empty: id(11),
            foreign: id(12),
            membership: id(20),
            imei: imei(first),
        };
        for organization in [id(1), id(2)] {
            directus.add("organizations", &json!({ "id": organization, "name": "Some people" }));
        }
        for (event, organization) in
            [(&race.own, id(1)), (&race.own_empty, id(1)), (&race.foreign, id(2))]
        {
            let row = json!({ "id": event, "organization_id": organization, "name": "A race" });
            directus.add("events", &row);
        }
        let (entry, device) = (id(30), id(40));
        directus.add("devices", &json!({ "id": device, "imei": race.imei }));
        directus.add("entries", &json!({ "id": entry, "event_id": race.own, "race_number": 7 }));
        let registration = json!({ "id": id(50), "entry_id": entry, "device_id": device });
        directus.add("entry_devices", &registration);
        race.join(directus);
        race
    }

    /// Makes the user a member.
    pub(super) fn join(&self, directus: &RealDirectus) {
        let member = json!({
            "id": self.membership,
            "organization_id": self.organization,
            "user_id": self.user,
            "role": "member",
        });
        directus.add("organization_users", &member);
    }
}

/// The program beside Directus.
pub(super) struct Program {
    pub(super) live: Live,
    publisher: Publisher,
    published_ms: i64,
    // Dropped last.
    _redis: Redis,
}

impl Program {
    /// Starts it.
    pub(super) fn start(directus: &RealDirectus, authority: Authority) -> Self {
        Self::start_asking(directus.port(), directus, authority)
    }

    /// Starts it so that it asks the Directus on this port, and waits until it is ready and knows the
    /// roster.
    pub(super) fn start_asking(port: u16, directus: &RealDirectus, authority: Authority) -> Self {
        let redis = Redis::start();
        let mut config = Config::new(&redis.url(), &directus.postgres.url());
        config.roles = Roles::LIVE;
        "127.0.0.1".clone_into(&mut config.directus.host);
        config.directus.port = port;
        // On a busy machine Node takes its time; what is late is the stub's matter.
        config.directus.auth_timeout_ms = 30_000;
        config.live.access.authority = authority;
        config.live.access.revalidate_ms = 500;
        config.live.drain_timeout_ms = 200;
        let publisher = Publisher::connect(redis.port());
        let live = Live::start(config);
        let program = Self { live, publisher, published_ms: 0, _redis: redis };
        until("the program is ready", || {
            page(program.live.admin, "/readyz").starts_with("HTTP/1.1 200")
                && program.metric("processor_live_roster_devices") > 0
        });
        program
    }

    /// Connects with a cookie.
    pub(super) fn connect(&self, cookie: &str) -> Client {
        let connected = Client::connect(self.live.address, &[("Cookie", cookie)]);
        connected.expect("the upgrade is accepted")
    }

    /// Connects and subscribes.
    pub(super) fn viewer(&self, cookie: &str, event: &str) -> Client {
        let mut viewer = self.connect(cookie);
        assert_eq!(decided(&mut viewer, event), "subscribed");
        viewer
    }

    /// The code with which a newcomer with this cookie is closed; nothing if it is let in.
    pub(super) fn refusal(&self, cookie: &str) -> Option<u16> {
        let mut newcomer = self.connect(cookie);
        newcomer.unsubscribe(&uuid(1), "");
        let heard = newcomer.hear().expect("an answer or a close");
        match heard.opcode {
            1 => None,
            8 => heard.payload.first_chunk().map(|&code| u16::from_be_bytes(code)),
            _ => panic!("neither an answer nor a close: {heard:?}"),
        }
    }

    /// Publishes a newer fix of the race's device, which the viewer must get.
    pub(super) fn shows(&mut self, race: &Race, viewer: &mut Client) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now_ms = i64::try_from(now.as_millis()).unwrap();
        self.published_ms = now_ms.max(self.published_ms + 1);
        self.publisher.publish(&Fix::new(&race.imei, self.published_ms));
        let shown = viewer.message();
        assert_eq!(shown["type"], "position", "{shown}");
        assert_eq!(shown["deviceId"], race.imei, "{shown}");
        assert_eq!(shown["ts"], self.published_ms, "{shown}");
    }

    /// Waits until memberships have been looked at twice more, one of them wholly after this call.
    pub(super) fn wait_for_revalidation(&self) {
        let name = "processor_live_revalidations_total{result=\"done\"}";
        let before = self.metric(name);
        until(name, || self.metric(name) >= before + 2);
    }

    /// The value of a metric that counts; 0 when it is not shown.
    fn metric(&self, name: &str) -> u64 {
        let page = page(self.live.admin, "/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

/// What a subscribe to an event is answered with: its type, or its error's code.
pub(super) fn answer(viewer: &mut Client, event: &str) -> String {
    viewer.subscribe(event, "");
    let reply = viewer.message();
    let kind = if reply["type"] == "error" { &reply["code"] } else { &reply["type"] };
    kind.as_str().unwrap().to_owned()
}

/// The same, asked again while a busy Directus is too late with its answer.
pub(super) fn decided(viewer: &mut Client, event: &str) -> String {
    let mut last = String::new();
    until("it is decided", || {
        last = answer(viewer, event);
        last != "error"
    });
    last
}

/// Waits until something is true.
pub(super) fn until(what: &str, is_true: impl FnMut() -> bool) {
    assert!(comes_true(PATIENCE, LOOK, is_true), "it did not come true in time that {what}");
}
