//! A running admin listener over parts that a test makes up.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown as Half, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use pitwall::config::Config;
use pitwall::context::Context;
use pitwall::log::{Level, Log};
use pitwall::metrics::{LimitUse, Page, Section};
use pitwall::secret::Secret;
use pitwall::shutdown::Shutdown;
use tokio::runtime::Runtime;

/// Stands in every secret of the settings.
pub(crate) const CANARY: &str = "canary-7f3a";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A section as any part has one.
struct Part;

impl Section for Part {
    fn write(&self, page: &mut Page) {
        page.counter("processor_live_parts_total", "Parts.", 3);
        page.counters("processor_live_reads_total", "Reads.", "result", &[("ok", 1), ("error", 0)]);
    }

    fn limits(&self) -> Vec<LimitUse> {
        vec![LimitUse { name: "LIVE_VIEWERS_MAX", used: 17, allowed: 100_000 }]
    }
}

/// A running listener.
pub(crate) struct Office {
    pub(crate) context: Context,
    pub(crate) address: SocketAddr,
    _runtime: Runtime,
}

impl Office {
    pub(crate) fn open() -> Self {
        let secret = |scheme: &str| format!("{scheme}://user:{CANARY}@127.0.0.1:1/x");
        let mut config = Config::new(&secret("redis"), &secret("postgres"));
        config.admin.token = Some(Secret::new(CANARY));
        let log = Log::to(Level::Debug, "test", io::sink());
        let context = Context::new(config, log, Shutdown::default());
        let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build().unwrap();
        let sections: Vec<Arc<dyn Section>> = vec![Arc::new(Part)];
        runtime.spawn(pitwall::admin::run(context.clone(), listener, sections));
        Self { context, address, _runtime: runtime }
    }

    /// Asks for a page as Prometheus, a probe or a person would.
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    /// The whole answer to these bytes, up to the end of the connection.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        Answer::read(stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn read(mut stream: TcpStream) -> Self {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        // It may be closed already.
        stream.shutdown(Half::Both).ok();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = format!("Content-Length: {}\r\n", body.len());
        assert!(head.contains(&length) && head.contains("\r\nConnection: close"), "{head}");
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// The body as JSON.
    pub(crate) fn value(&self) -> serde_json::Value {
        assert!(self.head.contains("Content-Type: application/json"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap()
    }
}
