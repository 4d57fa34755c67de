//! The platform around one or more programs: Redis, PostgreSQL with events, Directus, and people.

mod authority;
mod database;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pitwall::config::{Config, Roles};
use tokio_postgres::{Client as Session, NoTls};

pub use self::authority::{Authority, Knowledge, Mood};

use self::database::Database;

use crate::client::{Client, page};
use crate::entries::{Fix, Publisher};
use crate::figures::child::Served;
use crate::live::Live;
use crate::platform::{self, imei, uuid};
use crate::postgres::{FAST, Postgres};
use crate::redis::Redis;

/// An event of the first organization, with devices.
pub const EVENT: &str = "00000000-0000-4000-8000-000000000001";

/// Another event of that organization, without devices.
pub const EVENT_EMPTY: &str = "00000000-0000-4000-8000-000000000002";

/// An event of another organization.
pub const EVENT_OTHER: &str = "00000000-0000-4000-8000-000000000003";

/// The first device of [`EVENT`].
pub const DEVICE: &str = "356307042400001";

/// The second, which drives in [`EVENT_OTHER`], too.
pub const DEVICE_SHARED: &str = "356307042400002";

/// The first user, who may see the first organization's events.
pub const USER: u64 = 1;

/// The user of the other organization.
pub const USER_OTHER: u64 = 999_999;

/// Users of the first organization.
const USERS: u64 = 1_000;

/// How long anything may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at something that is awaited.
const LOOK: Duration = Duration::from_millis(10);

/// Everything outside the program.
#[derive(Debug)]
pub struct Scene {
    /// The stream's server.
    pub redis: Redis,
    database: Database,
    /// Directus.
    pub authority: Authority,
    runtime: tokio::runtime::Runtime,
    publisher: Publisher,
    published_ms: i64,
}

impl Scene {
    /// The usual one, with three devices in [`EVENT`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_devices(3)
    }

    /// One with so many devices in [`EVENT`].
    ///
    /// # Panics
    /// When a server cannot be started; so do all functions here when something is not as it must be.
    #[must_use]
    pub fn with_devices(device_count: u64) -> Self {
        Self::over(FAST, device_count)
    }

    /// One over a PostgreSQL with these settings.
    ///
    /// # Panics
    /// See [`Self::with_devices`].
    #[must_use]
    pub fn over(settings: &[(&str, &str)], device_count: u64) -> Self {
        Self::on(Database::Own(Postgres::start(settings)), device_count)
    }

    /// One over a PostgreSQL that somebody has named, see [`crate::postgres::named`], or one of its own.
    ///
    /// # Panics
    /// See [`Self::with_devices`].
    #[must_use]
    pub fn anywhere(device_count: u64) -> Self {
        let scene = Self::on(Database::anywhere(), device_count);
        scene.sql(platform::spread);
        scene
    }

    fn on(database: Database, device_count: u64) -> Self {
        let redis = Redis::start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let publisher = Publisher::connect(redis.port());
        let scene = Self {
            redis,
            database,
            authority: Authority::start(),
            runtime: runtime.expect("a runtime"),
            publisher,
            published_ms: 0,
        };
        scene.sql(async |client| populate(client, device_count).await);
        let mut known = scene.authority.knowledge();
        for user in (1..=USERS).chain([USER_OTHER]) {
            known.users.insert(Self::cookie(user), uuid(user));
            let events =
                if user == USER_OTHER { &[EVENT_OTHER][..] } else { &[EVENT, EVENT_EMPTY] };
            for event in events {
                known.allowed.insert((Self::cookie(user), (*event).to_owned()));
            }
        }
        drop(known);
        scene
    }

    /// The cookie of a user.
    #[must_use]
    pub fn cookie(user: u64) -> String {
        format!("directus_session_token=eyJ.{user}; theme=dark")
    }

    /// The settings of a program in this scene, which serves viewers alone.
    #[must_use]
    pub fn config(&self) -> Config {
        let mut config = Config::new(&self.redis.url(), &self.database.url());
        config.roles = Roles::LIVE;
        config.directus.host = "127.0.0.1".to_owned();
        config.directus.port = self.authority.port;
        config.live.drain_timeout_ms = 200;
        config
    }

    /// Starts a program and waits until it is ready.
    #[must_use]
    pub fn start(&self) -> Live {
        self.start_with(self.config())
    }

    /// Starts one with this name and waits until it is ready.
    #[must_use]
    pub fn start_named(&self, instance_id: &str) -> Live {
        self.start_with(Config { instance_id: instance_id.to_owned(), ..self.config() })
    }

    /// Starts one with these settings and waits until it is ready and, with viewers, knows the roster.
    #[must_use]
    pub fn start_with(&self, config: Config) -> Live {
        let has_viewers = config.roles.live;
        let live = Live::start(config);
        self.until("the program is ready", || {
            page(live.admin, "/readyz").starts_with("HTTP/1.1 200")
                && (!has_viewers
                    || self
                        .metric(&live, "processor_live_roster_devices")
                        .is_some_and(|count| count > 0.0))
        });
        live
    }

    /// Starts one that is not expected to become ready.
    #[must_use]
    pub fn start_without_waiting(&self, instance_id: &str) -> Live {
        Live::start(Config { instance_id: instance_id.to_owned(), ..self.config() })
    }

    /// The settings of a program in this scene, as its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ROLES", "live".to_owned()),
            ("REDIS_URL", self.redis.url()),
            ("POSTGRES_URL", self.database.url()),
            ("DIRECTUS_BASE_URL", format!("http://127.0.0.1:{}", self.authority.port)),
        ]
    }

    /// Starts the program as a process of its own and waits until it is ready.
    #[must_use]
    pub fn serve(&self) -> Served {
        let served = Served::start(&self.redis.url(), &self.database.url(), self.authority.port);
        self.until("the child is ready", || {
            page(served.admin, "/readyz").starts_with("HTTP/1.1 200")
                && metric(served.admin, "processor_live_roster_devices").is_some_and(|n| n > 0.0)
        });
        served
    }

    /// Lets the first user in.
    #[must_use]
    pub fn viewer(&self, live: &Live) -> Client {
        self.viewer_with(live, &[])
    }

    /// Lets the first user in and waits until it is known who that is.
    #[must_use]
    pub fn known_viewer(&self, live: &Live) -> Client {
        let mut viewer = self.viewer(live);
        viewer.unsubscribe(EVENT, "known");
        viewer.reply("unsubscribed");
        viewer
    }

    /// Lets the first user in, who watches [`EVENT`].
    #[must_use]
    pub fn watching(&self, live: &Live) -> Client {
        let mut viewer = self.viewer(live);
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
        viewer
    }

    /// Lets the first user in with more header lines.
    ///
    /// # Panics
    /// When the upgrade is refused.
    #[must_use]
    pub fn viewer_with(&self, live: &Live, headers: &[(&str, &str)]) -> Client {
        let cookie = Self::cookie(USER);
        let mut all = vec![("Cookie", cookie.as_str())];
        all.extend(headers);
        Client::connect(live.address, &all).expect("the upgrade is accepted")
    }

    /// Lets a user of the first organization in.
    ///
    /// # Panics
    /// When the upgrade is refused.
    #[must_use]
    pub fn viewer_at(&self, address: SocketAddr, user: u64) -> Client {
        let headers = [("Cookie", &*Self::cookie(user))];
        Client::connect(address, &headers).expect("the upgrade is accepted")
    }

    /// Lets one in over a connection that holds little.
    ///
    /// # Panics
    /// When the upgrade is refused.
    #[must_use]
    pub fn viewer_with_small_window_at(&self, address: SocketAddr, user: u64) -> Client {
        let stream = connect_with(address, None, Some(4 * 1024));
        Client::over(stream, &[("Cookie", &Self::cookie(user))]).expect("the upgrade is accepted")
    }

    /// Lets the other organization's user in.
    ///
    /// # Panics
    /// When the upgrade is refused.
    #[must_use]
    pub fn viewer_of_other(&self, live: &Live) -> Client {
        let cookie = Self::cookie(USER_OTHER);
        Client::connect(live.address, &[("Cookie", &cookie)]).expect("the upgrade is accepted")
    }

    /// Lets the first user in over a connection that holds little.
    ///
    /// # Panics
    /// When the upgrade is refused.
    #[must_use]
    pub fn viewer_with_small_window(&self, live: &Live) -> Client {
        self.viewer_with_small_window_at(live.address, USER)
    }

    /// True when one more connection is refused, before or after the upgrade.
    #[must_use]
    pub fn is_refused(&self, live: &Live) -> bool {
        match Client::connect(live.address, &[("Cookie", &Self::cookie(2))]) {
            Err(_) => true,
            Ok(mut client) => client.closed().0 == 1013,
        }
    }

    /// Lets Directus allow an event to the first user.
    pub fn allow(&self, event: &str) {
        self.authority.knowledge().allowed.insert((Self::cookie(USER), event.to_owned()));
    }

    /// Calls of `/users/me` so far.
    #[must_use]
    pub fn identity_calls(&self) -> usize {
        self.authority.count("/users/me")
    }

    /// Publishes a fix.
    pub fn publish(&mut self, fix: &Fix) {
        self.publisher.publish(fix);
    }

    /// Publishes fixes in one pipeline.
    pub fn publish_all(&mut self, fixes: &[Fix]) {
        self.publisher.publish_all(fixes);
    }

    /// Publishes one fix of each device at this time.
    pub fn publish_one_each(&mut self, device_count: u64, ts_ms: i64) {
        let fixes: Vec<Fix> =
            (1..=device_count).map(|device| Fix::new(&imei(device), ts_ms)).collect();
        self.publisher.publish_all(&fixes);
    }

    /// Publishes a fix of [`DEVICE`] that is newer than the last one.
    pub fn publish_next(&mut self) -> Fix {
        self.published_ms = self.now_ms().max(self.published_ms + 1);
        let fix = Fix::new(DEVICE, self.published_ms);
        self.publisher.publish(&fix);
        fix
    }

    /// Lets Redis say what a command gives.
    #[must_use]
    pub fn redis_says(&self, words: &[&str]) -> String {
        Publisher::connect(self.redis.port()).command(words)
    }

    /// Does something with the database.
    ///
    /// # Panics
    /// When it is not there.
    pub fn sql(&self, work: impl AsyncFnOnce(&Session)) {
        self.runtime.block_on(async {
            let connected = tokio_postgres::connect(&self.database.url(), NoTls).await;
            let (client, connection) = connected.expect("PostgreSQL is there");
            tokio::select! {
                () = work(&client) => {}
                ended = connection => panic!("PostgreSQL has gone: {ended:?}"),
            }
        });
    }

    /// The server of this scene's tables.
    ///
    /// # Panics
    /// When the tables are in a server that somebody has named.
    pub fn postgres(&mut self) -> &mut Postgres {
        self.database.server()
    }

    /// Ends PostgreSQL at once, as a crash does.
    pub fn stop_postgres(&mut self) {
        self.database.server().stop();
    }

    /// Starts the ended PostgreSQL again, with all it had.
    pub fn start_postgres(&mut self) {
        self.database.server().start_again();
    }

    /// Where PostgreSQL listens, on 127.0.0.1.
    #[must_use]
    pub fn postgres_port(&self) -> u16 {
        self.database.port()
    }

    /// What `POSTGRES_URL` says for who comes by this port of loopback.
    #[must_use]
    pub fn postgres_url_at(&self, port: u16) -> String {
        let own = format!(":{}/", self.database.port());
        self.database.url().replace(&own, &format!(":{port}/"))
    }

    /// Kills Redis and starts it again with these arguments.
    pub fn restart_redis(&mut self, arguments: &[&str]) {
        self.redis.kill_and_restart(arguments);
        self.publisher = Publisher::connect(self.redis.port());
    }

    /// The time of the wall in milliseconds.
    ///
    /// # Panics
    /// Before 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
        i64::try_from(since.as_millis()).expect("it is not that late")
    }

    /// A page of the admin listener.
    #[must_use]
    pub fn page(&self, live: &Live, path: &str) -> String {
        page(live.admin, path)
    }

    /// The value of a metric, if it is shown.
    #[must_use]
    pub fn metric(&self, live: &Live, name: &str) -> Option<f64> {
        metric(live.admin, name)
    }

    /// Waits until memberships have been looked at twice more, one of them wholly after this call.
    pub fn wait_for_revalidation(&self, live: &Live) {
        let name = "processor_live_revalidations_total{result=\"done\"}";
        let before = self.metric(live, name).unwrap_or(0.0);
        self.until(name, || self.metric(live, name).is_some_and(|now| now >= before + 2.0));
    }

    /// Waits until a metric has reached a value.
    pub fn wait_for_metric(&self, admin: SocketAddr, name: &str, value: u64) {
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let value = value as f64;
        self.until(name, || metric(admin, name).is_some_and(|now| now >= value));
    }

    /// Waits until something is true.
    ///
    /// # Panics
    /// When it does not become true in time.
    pub fn until(&self, what: &str, is_true: impl FnMut() -> bool) {
        self.until_within(PATIENCE, what, is_true);
    }

    /// Waits until something is true that may take so long.
    ///
    /// # Panics
    /// When it does not become true in time.
    pub fn until_within(&self, patience: Duration, what: &str, mut is_true: impl FnMut() -> bool) {
        let deadline = Instant::now() + patience;
        while !is_true() {
            assert!(Instant::now() < deadline, "it did not come true in time that {what}");
            std::thread::sleep(LOOK);
        }
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

async fn populate(client: &Session, device_count: u64) {
    let (own, other) = (uuid(101), uuid(102));
    platform::create(client).await;
    for (event, organization) in [(EVENT, &own), (EVENT_EMPTY, &own), (EVENT_OTHER, &other)] {
        platform::add_event(client, event, organization).await;
    }
    for device in 1..=device_count {
        platform::add_device(client, &uuid(10_000 + device), &imei(device)).await;
        platform::register(client, EVENT, &uuid(10_000 + device)).await;
    }
    platform::register(client, EVENT_OTHER, &uuid(10_002)).await;
    for (user, organization) in [(USER, &own), (USER_OTHER, &other)] {
        platform::add_user(client, &uuid(user)).await;
        platform::add_member(client, organization, &uuid(user)).await;
    }
}

/// A connection from this address of loopback.
#[must_use]
pub fn connect_from(source: Ipv4Addr, address: SocketAddr) -> TcpStream {
    connect_with(address, Some(source), None)
}

/// A connection with a source address and a size of the receive buffer.
fn connect_with(address: SocketAddr, source: Option<Ipv4Addr>, window: Option<usize>) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    if let Some(source) = source {
        bind(&socket, &SocketAddr::from((source, 0))).expect("a loopback address");
    }
    if let Some(bytes) = window {
        sockopt::set_socket_recv_buffer_size(&socket, bytes).expect("a socket");
    }
    connect(&socket, &address).expect("the server listens");
    socket.into()
}

/// The value of a metric, if it is shown: by its name and labels, as written on the page.
#[must_use]
pub fn metric(admin: SocketAddr, name: &str) -> Option<f64> {
    let page = page(admin, "/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}

/// The sum of a metric over its labels; `None` when the page does not show it.
#[must_use]
pub fn metric_sum(admin: SocketAddr, name: &str) -> Option<f64> {
    let page = page(admin, "/metrics");
    let values = page.lines().filter_map(|line| {
        let (series, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        (series.is_empty() || series.starts_with('{')).then(|| value.parse::<f64>().ok())?
    });
    values.reduce(|sum, value| sum + value)
}
