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

pub mod signals;

pub mod live;

pub mod admin;

pub mod tools;

pub mod command_line;

use std::net::TcpListener;

use config::Config;
use error::Stop;
use log::Log;
use shutdown::Shutdown;

/// The sockets that the program listens on.
#[derive(Debug)]
pub struct Listeners {
    /// For viewers.
    pub live: TcpListener,
    /// For operators.
    pub admin: TcpListener,
}

impl Listeners {
    /// Opens both, or says which one cannot be had.
    pub fn bind(config: &Config) -> Result<Self, Stop> {
        let live = listen("LIVE_WS_PORT", (config.live.host, config.live.port).into())?;
        let admin = listen("METRICS_PORT", (config.admin.host, config.admin.port).into())?;
        Ok(Self { live, admin })
    }
}

fn listen(setting: &str, address: std::net::SocketAddr) -> Result<TcpListener, Stop> {
    TcpListener::bind(address).map_err(|error| {
        Stop::Unavailable(format!("{setting}: cannot listen on {address}: {error}. Choose another port, or end what uses this one."))
    })
}

/// Runs the whole program until `shutdown` begins its end, or something breaks.
pub fn run(config: Config, log: Log, listeners: Listeners, shutdown: Shutdown) -> Result<(), Stop> {
    drop((config, log, listeners));
    shutdown.failure().map_or(Ok(()), Err)
}
