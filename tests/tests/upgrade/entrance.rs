//! The listener with everything around it that a test needs.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::id::ShardIndex;
use pitwall::config::{Config, PageMode};
use pitwall::context::Context;
use pitwall::live::access::Access;
use pitwall::live::admission::Admission;
use pitwall::live::mailbox::{Address, Mailbox, Newcomer, Order, mailbox};
use pitwall::live::upgrade::{self, Door, Meter};
use pitwall::log::Level;
use pitwall::metrics::{Page, Section};
use pitwall::page::{Desk, Page as LivePage};
use pitwall::shutdown::Shutdown;
use tests::client::Client;
use tests::lines::Lines;
use tests::scene::Authority;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// How long anything may take to come true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A cookie that Directus knows.
pub(crate) const COOKIE: &str = "directus_session_token=known";

/// A running listener.
pub(crate) struct Entrance {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) authority: Authority,
    pub(crate) shards: Arc<[Address]>,
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) context: Context,
    sections: [Arc<dyn Section>; 2],
    log: Lines,
    runtime: Runtime,
    running: Option<JoinHandle<()>>,
}

impl Entrance {
    /// One with two shards and the usual settings.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// One with settings of its own.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let authority = Authority::start();
        authority.knowledge().users.insert(COOKIE.to_owned(), tests::platform::uuid(1));
        // Nothing here asks Redis or PostgreSQL.
        let mut config = Config::new("redis://127.0.0.1:1", "postgres://127.0.0.1:1/none");
        config.directus.host = "127.0.0.1".to_owned();
        config.directus.port = authority.port;
        change(&mut config);
        let shutdown = Shutdown::default();
        let (sink, log) = Lines::of(Level::Debug, "test");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let inside = runtime.enter();
        let context = Context::new(config, sink, shutdown.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let ends = (0..2).map(|shard| mailbox(ShardIndex(shard)).unwrap());
        let (shards, mailboxes): (Vec<_>, Vec<_>) = ends.unzip();
        let shards: Arc<[Address]> = shards.into();
        let admission = Admission::new(context.config.live.limits);
        let meter = Arc::new(Meter::default());
        let live = &context.config.live;
        let desk =
            (live.page == PageMode::On).then(|| Desk::new(LivePage::without_events(None), live));
        let door = Door {
            context: context.clone(),
            access: Access::new(&context).into(),
            admission: admission.clone(),
            shards: shards.clone(),
            meter: meter.clone(),
            desk,
        };
        let running = runtime.spawn(upgrade::run(listener, door, async {}));
        drop(inside);
        let (sections, running) = ([admission as Arc<dyn Section>, meter], Some(running));
        Self {
            address,
            shutdown,
            authority,
            shards,
            mailboxes,
            context,
            sections,
            log,
            runtime,
            running,
        }
    }

    /// A connection over which nothing has been said.
    pub(crate) fn connect(&self) -> TcpStream {
        patient(TcpStream::connect(self.address).unwrap())
    }

    /// An upgrade with the known cookie.
    pub(crate) fn upgrade(&self) -> Client {
        self.upgrade_as(COOKIE)
    }

    /// An upgrade with this cookie.
    pub(crate) fn upgrade_as(&self, cookie: &str) -> Client {
        Client::connect(self.address, &[("Cookie", cookie)]).unwrap()
    }

    /// What a raw request is answered with, up to the end of the connection.
    pub(crate) fn answer(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_ref()).unwrap();
        rest(&mut stream)
    }

    /// The status of that.
    pub(crate) fn status(&self, request: impl AsRef<[u8]>) -> u16 {
        let answer = self.answer(request);
        answer.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// The next newcomer of a shard.
    pub(crate) fn newcomer(&self, shard: usize) -> Box<Newcomer> {
        match self.mailboxes[shard].orders.recv_timeout(PATIENCE) {
            Ok(Order::Open(newcomer)) => newcomer,
            other => panic!("a newcomer was to come, not {other:?}"),
        }
    }

    /// The next newcomer of any shard; the place is looked for where it must have gone.
    pub(crate) fn any_newcomer(&self) -> Box<Newcomer> {
        self.until("a newcomer comes", || self.newcomers() > 0);
        let shard = self.mailboxes.iter().position(|mailbox| !mailbox.orders.is_empty());
        self.newcomer(shard.unwrap())
    }

    /// How many newcomers wait.
    pub(crate) fn newcomers(&self) -> usize {
        self.mailboxes.iter().map(|mailbox| mailbox.orders.len()).sum()
    }

    /// A number of the listener.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut page = Page::default();
        self.sections.iter().for_each(|section| section.write(&mut page));
        let page = page.into_text();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{page}")).parse().unwrap()
    }

    /// How many connections ended up so.
    pub(crate) fn outcomes(&self, result: &str) -> u64 {
        self.metric(&format!("processor_live_upgrades_total{{result=\"{result}\"}}"))
    }

    /// Waits until a number is that.
    pub(crate) fn until_metric(&self, name: &str, value: u64) {
        self.until(name, || self.metric(name) == value);
    }

    /// Waits until something is true.
    pub(crate) fn until(&self, what: &str, is_true: impl FnMut() -> bool) {
        self.until_within(PATIENCE, what, is_true);
    }

    /// The same, in less time.
    pub(crate) fn until_within(
        &self,
        time: Duration,
        what: &str,
        mut is_true: impl FnMut() -> bool,
    ) {
        let deadline = Instant::now() + time;
        self.runtime.block_on(async {
            let mut looks = tokio::time::interval(Duration::from_millis(2));
            while !is_true() {
                assert!(Instant::now() < deadline, "it did not come true in time: {what}");
                looks.tick().await;
            }
        });
    }

    /// Waits for the end of the listener.
    pub(crate) fn ended(&mut self) {
        let running = self.running.take().unwrap();
        self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, running).await.expect("it ends in time").unwrap();
        });
    }

    /// What was logged.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }
}

/// A request that is accepted, with more header lines.
pub(crate) fn request(lines: &str) -> String {
    format!(
        "GET /ws-live HTTP/1.1\r\nHost: live.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Cookie: {COOKIE}\r\n{lines}\r\n"
    )
}

/// A socket that does not wait for ever.
pub(crate) fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Everything up to the end of a connection, which must not be a reset.
pub(crate) fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// True when the connection is closed without a word.
pub(crate) fn is_cut(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(count) => count == 0,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => true,
        Err(error) => panic!("it was to be closed: {error}"),
    }
}
