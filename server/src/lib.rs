//! The `pitwall` program as a library: what moves the engine's bytes, and the tools around it.
//!
//! [`run`] is the whole program: the binary calls it, and so do the tests.

pub mod clock;

pub mod secret;

pub mod log;

pub mod metrics;

pub mod status;

pub mod config;

pub mod error;

pub mod shutdown;

pub mod context;

pub mod process;

pub mod worker;

pub mod signals;

pub mod database;

pub mod stream;

pub mod http;

pub mod accept;

pub mod lease;

pub mod page;

pub mod live;

pub mod durable;

pub mod ingest;

pub mod embedded;

pub mod admin;

mod serve;

pub mod tools;

#[cfg(feature = "demo")]
mod demo;

pub mod command_line;

use std::net::TcpListener;
use std::time::Duration;

use tokio::runtime::Builder;

use config::Config;
use context::Context;
use embedded::StoreHandle;
use error::Stop;
use log::Log;
use shutdown::Shutdown;

/// The sockets that the program listens on.
#[derive(Debug)]
pub struct Listeners {
    /// For viewers; none without the role `live`.
    pub live: Option<TcpListener>,
    /// For devices; none without the role `ingest`.
    pub ingest: Option<TcpListener>,
    /// For operators.
    pub admin: TcpListener,
}

impl Listeners {
    /// Opens what the roles need, or says which one cannot be had.
    pub fn bind(config: &Config) -> Result<Self, Stop> {
        let live = config.roles.live.then_some((config.live.host, config.live.port).into());
        let live = live.map(|address| listen("LIVE_WS_PORT", address)).transpose()?;
        let ingest = config.roles.ingest.then_some((config.ingest.host, config.ingest.port).into());
        let ingest = ingest.map(|address| listen("INGEST_PORT", address)).transpose()?;
        let admin = listen("METRICS_PORT", (config.admin.host, config.admin.port).into())?;
        Ok(Self { live, ingest, admin })
    }
}

fn listen(setting: &str, address: std::net::SocketAddr) -> Result<TcpListener, Stop> {
    TcpListener::bind(address).map_err(|error| {
        Stop::Unavailable(format!("{setting}: cannot listen on {address}: {error}. Choose another port, or end what uses this one."))
    })
}

/// Threads of the control plane: Directus, Redis, PostgreSQL, upgrades, the admin pages. Two, so that
/// a burst of upgrades does not hold up the rest; positions do not pass through them.
const CONTROL_THREADS: usize = 2;

/// How long tasks that do not end by themselves are waited for.
const TASKS_END: Duration = Duration::from_millis(500);

/// Runs the whole program until `shutdown` begins its end, or something breaks.
pub fn run(config: Config, log: Log, listeners: Listeners, shutdown: Shutdown) -> Result<(), Stop> {
    run_with_store(Context::new(config, log, shutdown), listeners, StoreHandle::default())
}

/// The same, for who may stop the store of the embedded mode by this handle.
pub fn run_with_store(
    context: Context,
    listeners: Listeners,
    store: StoreHandle,
) -> Result<(), Stop> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| Stop::Broken(format!("The threads could not be started: {error}.")))?;
    let outcome = runtime.block_on(serve::serve(context, listeners, store));
    runtime.shutdown_timeout(TASKS_END);
    outcome
}
