//! What an operator may set: the typed result. How it is read and reported lies in the children.

pub mod settings;

pub mod kind;

pub mod arguments;

pub mod file;

pub mod sources;

pub mod url;

pub mod origin;

mod rules;

mod embedded;

mod ingest;

pub mod load;

use std::net::{IpAddr, Ipv4Addr};

pub use self::embedded::EmbeddedConfig;
pub use self::ingest::{DeviceAuthority, IngestConfig};

use crate::log::Level;
use crate::secret::Secret;

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `INSTANCE_ID`: the name of this process among its equals.
    pub instance_id: String,
    /// `ROLES`.
    pub roles: Roles,
    /// `LOG_LEVEL`.
    pub log_level: Level,
    /// `REDIS_URL`, without its password in any message.
    pub redis_url: Secret,
    /// `REDIS_TELEMETRY_STREAM`.
    pub stream: String,
    /// `POSTGRES_URL`.
    pub postgres_url: Secret,
    /// Directus.
    pub directus: DirectusConfig,
    /// Serving viewers.
    pub live: LiveConfig,
    /// Storing positions.
    pub write: WriteConfig,
    /// Listening to devices.
    pub ingest: IngestConfig,
    /// `EMBEDDED_DIR` and its kin; nothing on a platform.
    pub embedded: Option<EmbeddedConfig>,
    /// Health, metrics and what else operators look at.
    pub admin: AdminConfig,
}

/// What a process does; at least one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// It shows positions to viewers.
    pub live: bool,
    /// It stores positions.
    pub durable: bool,
    /// It takes positions from devices.
    pub ingest: bool,
}

impl Roles {
    /// Shows positions and does nothing else.
    pub const LIVE: Self = Self { live: true, durable: false, ingest: false };

    /// Stores positions and does nothing else.
    pub const DURABLE: Self = Self { live: false, durable: true, ingest: false };

    /// Takes positions from devices and does nothing else.
    pub const INGEST: Self = Self { live: false, durable: false, ingest: true };

    /// True when PostgreSQL is asked for anything: who only listens to devices asks it only which
    /// of them are known, if that matters.
    #[must_use]
    pub const fn need_database(self, authority: DeviceAuthority) -> bool {
        self.live || self.durable || (self.ingest && matches!(authority, DeviceAuthority::Strict))
    }
}

impl Default for Roles {
    fn default() -> Self {
        Self { live: true, durable: true, ingest: false }
    }
}

/// How Directus is asked.
#[derive(Clone, Debug)]
pub struct DirectusConfig {
    /// Host of `DIRECTUS_BASE_URL`.
    pub host: String,
    /// Port of `DIRECTUS_BASE_URL`.
    pub port: u16,
    /// Path of `DIRECTUS_BASE_URL` without a slash at its end; mostly empty.
    pub path: String,
    /// `DIRECTUS_AUTH_TIMEOUT_MS`.
    pub auth_timeout_ms: u64,
    /// `DIRECTUS_AUTHZ_TIMEOUT_MS`.
    pub authz_timeout_ms: u64,
}

/// How viewers are served.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// `LIVE_WS_HOST`.
    pub host: IpAddr,
    /// `LIVE_WS_PORT`.
    pub port: u16,
    /// `LIVE_SHARDS`; as many as there are cores by default.
    pub shard_count: u8,
    /// `LIVE_WS_PING_INTERVAL_MS`.
    pub ping_interval_ms: u64,
    /// `LIVE_WS_DRAIN_TIMEOUT_MS`: over how long viewers are closed when the process ends.
    pub drain_timeout_ms: u64,
    /// `LIVE_WS_BACKPRESSURE_THRESHOLD_BYTES`: most bytes in flight to one viewer.
    pub in_flight_bytes_max: usize,
    /// `LIVE_BROADCAST_GROUP_PREFIX`.
    pub group_prefix: String,
    /// `LIVE_BROADCAST_BATCH_SIZE`: entries of one read, at least 256.
    pub batch_entries_max: usize,
    /// `LIVE_BROADCAST_BATCH_BLOCK_MS`: how long Redis may hold a read that finds nothing.
    pub block_ms: u64,
    /// `LIVE_SKIP_LAG_MS`: further behind than this, only the newest of each device is shown.
    pub skip_lag_ms: u64,
    /// `LIVE_DEVICE_EVENT_REFRESH_MS`.
    pub refresh_ms: u64,
    /// `LIVE_FUTURE_TOLERANCE_MS`.
    pub future_tolerance_ms: i64,
    /// `LIVE_FLUSH_MAX_MS`.
    pub flush_max_ms: u64,
    /// `LIVE_PAGE`.
    pub page: PageMode,
    /// `LIVE_PAGE_STYLE_URL`.
    pub page_style: Option<StyleUrl>,
    /// Who may connect.
    pub access: AccessConfig,
    /// How many of everything.
    pub limits: LimitConfig,
}

/// Whether the live page is served beside `/ws-live`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageMode {
    /// Everything but `/ws-live` is 404.
    Off,
    /// It is.
    On,
    /// Where no platform stands around the process.
    Auto,
}

/// Where the map's style comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StyleUrl {
    /// The whole address, in characters that need no escape in JSON.
    pub url: String,
    /// Scheme, host and port of it.
    pub origin: String,
}

/// Who may connect, and see what.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// `LIVE_ALLOWED_ORIGINS`; empty means the same host and port as the request's.
    pub allowed_origins: Vec<String>,
    /// `LIVE_ALLOW_MISSING_ORIGIN`; unset means for loopback peers only.
    pub allow_missing_origin: Option<bool>,
    /// `LIVE_TRUSTED_PROXIES`.
    pub trusted_proxies: Vec<Network>,
    /// `LIVE_AUTH_REJECT`.
    pub reject: Reject,
    /// `LIVE_AUTHZ`.
    pub authority: Authority,
    /// `LIVE_REVALIDATE_MS`; 0 is off.
    pub revalidate_ms: u64,
    /// `LIVE_SESSION_MAX_MS`: a connection older than this is closed 4401; 0 is off.
    pub session_max_ms: u64,
}

/// A range of addresses, as in `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// How many leading bits are the network's.
    pub prefix_bits: u8,
}

impl Network {
    /// True when the address lies in it. An IPv4 address in IPv6 clothes is an IPv4 address.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let ((own, own_bits), (other, other_bits)) = (bits(self.address), bits(address));
        let ignored = 128 - u32::from(self.prefix_bits.min(own_bits));
        own_bits == other_bits && (own ^ other).checked_shr(ignored).unwrap_or(0) == 0
    }
}

/// How somebody is told that they may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// By a close code after the upgrade.
    Close,
    /// By an HTTP status before it.
    Http,
}

/// Who says whether a user may see an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Directus, with the user's cookie.
    Directus,
    /// The membership table.
    Membership,
}

/// The limits of the contract that may be set.
#[derive(Clone, Copy, Debug)]
pub struct LimitConfig {
    /// `LIVE_VIEWERS_MAX`.
    pub viewers_max: usize,
    /// `LIVE_VIEWERS_PER_USER_MAX`.
    pub viewers_per_user_max: usize,
    /// `LIVE_VIEWERS_PER_ADDRESS_MAX`.
    pub viewers_per_address_max: usize,
    /// `LIVE_HALF_OPEN_MAX`: connections that are not viewers yet.
    pub half_open_max: usize,
    /// `LIVE_HALF_OPEN_PER_ADDRESS_MAX`.
    pub half_open_per_address_max: usize,
    /// `LIVE_HEAD_TIMEOUT_MS`: how long a whole request head may take.
    pub head_timeout_ms: u64,
    /// `LIVE_HEAD_BYTES_MAX`.
    pub head_bytes_max: usize,
    /// `LIVE_HEADERS_MAX`.
    pub headers_max: usize,
    /// `LIVE_COOKIE_BYTES_MAX`.
    pub cookie_bytes_max: usize,
    /// `LIVE_TOPICS_MAX`.
    pub topics_max: usize,
    /// `LIVE_SUBSCRIBES_PER_SECOND` and `LIVE_SUBSCRIBES_BURST`.
    pub subscribe_rate: engine::time::Rate,
    /// `LIVE_MESSAGES_PER_SECOND` and `LIVE_MESSAGES_BURST`.
    pub message_rate: engine::time::Rate,
    /// `DIRECTUS_CALLS_MAX`: calls in flight.
    pub calls_max: usize,
    /// `DIRECTUS_QUEUE_MS`: longest wait for a call.
    pub queue_ms_max: u64,
}

/// How positions are stored.
#[derive(Clone, Debug)]
pub struct WriteConfig {
    /// `WRITE_BATCH_SIZE`: most rows of one write.
    pub batch_rows_max: usize,
    /// `WRITE_LANES`: connections that write, each its own devices.
    pub lane_count: usize,
    /// `WRITE_LINGER_MS`: how long a row may wait for others.
    pub linger_ms: u64,
    /// `WRITE_TIMEOUT_MS`: how long one write may take, by our clock.
    pub deadline_ms: u64,
    /// `CLAIM_THRESHOLD_MS`: how long a silent consumer keeps its entries.
    pub claim_threshold_ms: u64,
    /// `WRITE_GROUP`: the consumer group of all who store positions.
    pub group: String,
    /// `WRITE_STORM_PERCENT`: a larger share of refused entries holds the writing; 100 is never.
    pub storm_percent: u64,
    /// `DEAD_LETTERS_MAX`: with so many dead letters the writing is held.
    pub dead_letters_max: u64,
}

impl Default for WriteConfig {
    fn default() -> Self {
        Self {
            batch_rows_max: 1_000,
            lane_count: 2,
            linger_ms: 50,
            deadline_ms: 10_000,
            claim_threshold_ms: 60_000,
            group: "processor".to_owned(),
            storm_percent: 5,
            dead_letters_max: 100_000,
        }
    }
}

/// The admin listener.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// `METRICS_HOST`.
    pub host: IpAddr,
    /// `METRICS_PORT`.
    pub port: u16,
    /// `ADMIN_TOKEN`.
    pub token: Option<Secret>,
}

impl Config {
    /// The settings of somebody who sets only where Redis and PostgreSQL are.
    #[must_use]
    pub fn new(redis_url: &str, postgres_url: &str) -> Self {
        Self {
            instance_id: "processor-1".to_owned(),
            roles: Roles::default(),
            log_level: Level::Info,
            redis_url: Secret::new(redis_url),
            stream: "telemetry:teltonika".to_owned(),
            postgres_url: Secret::new(postgres_url),
            directus: DirectusConfig {
                host: "directus".to_owned(),
                port: 8055,
                path: String::new(),
                auth_timeout_ms: 5_000,
                authz_timeout_ms: 5_000,
            },
            live: LiveConfig::default(),
            write: WriteConfig::default(),
            ingest: IngestConfig::default(),
            embedded: None,
            admin: AdminConfig { host: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 9090, token: None },
        }
    }
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 8081,
            shard_count: core_count(),
            ping_interval_ms: engine::limits::PING_INTERVAL_MS,
            drain_timeout_ms: 5_000,
            in_flight_bytes_max: 16 * 1024,
            group_prefix: "live-broadcast".to_owned(),
            batch_entries_max: 1_024,
            block_ms: 1_000,
            skip_lag_ms: 5_000,
            refresh_ms: 30_000,
            future_tolerance_ms: engine::limits::FUTURE_TOLERANCE_MS,
            flush_max_ms: engine::limits::FLUSH_MAX_MS,
            page: PageMode::Auto,
            page_style: None,
            access: AccessConfig {
                allowed_origins: Vec::new(),
                allow_missing_origin: None,
                trusted_proxies: Vec::new(),
                reject: Reject::Close,
                authority: Authority::Directus,
                revalidate_ms: 60_000,
                session_max_ms: 86_400_000,
            },
            limits: LimitConfig::default(),
        }
    }
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            viewers_max: engine::limits::VIEWERS_MAX,
            viewers_per_user_max: 20,
            viewers_per_address_max: 500,
            half_open_max: 10_000,
            half_open_per_address_max: 1_000,
            head_timeout_ms: 5_000,
            head_bytes_max: 16 * 1024,
            headers_max: 64,
            cookie_bytes_max: 8 * 1024,
            topics_max: engine::limits::TOPICS_MAX,
            subscribe_rate: engine::limits::SUBSCRIBE_RATE,
            message_rate: engine::limits::MESSAGE_RATE,
            calls_max: 32,
            queue_ms_max: 10_000,
        }
    }
}

/// As many shards as there are cores.
fn core_count() -> u8 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u8::try_from(cores).map_or(engine::shard::SHARDS_MAX, |it| it.min(engine::shard::SHARDS_MAX))
}
