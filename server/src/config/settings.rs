//! Every setting, once: its name, its default, what it may say, and what it means.
//!
//! The command line, the environment, `pitwall config` and the list in `deploy/pitwall.env` are made
//! from this table or compared with it; nothing else names a setting's default.

mod embedded;
mod ingest;

use super::kind::Kind;
pub use embedded::EMBEDDED_DEFAULTS;

/// Longest time over which viewers are closed: it must fit into the end of the process with all else.
pub const DRAIN_MS_MAX: u64 = 15_000;

/// Settings that belong together.
#[derive(Debug)]
pub struct Section {
    /// What they are about.
    pub title: &'static str,
    /// The settings.
    pub settings: &'static [Setting],
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The variable of the environment; the flag is made of it, see [`Setting::flag`].
    pub name: &'static str,
    /// What holds when nobody sets it. Empty means that it is unset then.
    pub default: &'static str,
    /// What it may say.
    pub kind: Kind,
    /// One line for an operator.
    pub meaning: &'static str,
}

impl Setting {
    /// Its flag without the dashes: `live-ws-port` for `LIVE_WS_PORT`.
    #[must_use]
    pub fn flag(&self) -> String {
        flag(self.name)
    }

    /// The variable that names a file with the value, which every secret has.
    #[must_use]
    pub fn file_variable(&self) -> Option<String> {
        self.kind.is_secret().then(|| format!("{}_FILE", self.name))
    }
}

/// The flag, without the dashes, of a variable.
#[must_use]
pub fn flag(variable: &str) -> String {
    variable.to_ascii_lowercase().replace('_', "-")
}

/// All settings, in the order of the sections.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings)
}

/// The setting of that name, if there is one.
#[must_use]
pub fn named(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name)
}

/// The table.
pub static SECTIONS: &[Section] = &[
    Section { title: "This process", settings: PROCESS },
    Section { title: "Redis and PostgreSQL", settings: STORES },
    Section { title: "Directus", settings: DIRECTUS },
    Section { title: "Listening for viewers", settings: LISTENING },
    Section { title: "The live page", settings: PAGE },
    Section { title: "Who may connect", settings: ACCESS },
    Section { title: "Reading and showing positions", settings: SHOWING },
    Section { title: "Limits", settings: LIMITS },
    Section { title: "Writing positions", settings: WRITING },
    Section { title: "Listening to devices", settings: ingest::INGESTING },
    Section { title: "Embedded mode", settings: embedded::EMBEDDED },
    Section { title: "Operating", settings: OPERATING },
];

const PROCESS: &[Setting] = &[
    Setting {
        name: "INSTANCE_ID",
        default: "processor-1",
        kind: Kind::InstanceId,
        meaning: "The name of this process. Every running process needs one of its own.",
    },
    Setting {
        name: "ROLES",
        default: "live,durable",
        kind: Kind::Words(&["live", "durable", "ingest"]),
        meaning: "What this process does: live shows positions, durable stores them, ingest takes them in.",
    },
    Setting {
        name: "LOG_LEVEL",
        default: "info",
        kind: Kind::Word(&["debug", "info", "warn", "error"]),
        meaning: "The least important lines that are still logged.",
    },
];

const STORES: &[Setting] = &[
    Setting {
        name: "REDIS_URL",
        default: "",
        kind: Kind::RedisUrl,
        meaning: "Where Redis is: redis://[user:password@]host[:port][/database]. Required, unless embedded.",
    },
    Setting {
        name: "REDIS_TELEMETRY_STREAM",
        default: "telemetry:teltonika",
        kind: Kind::RedisName,
        meaning: "The stream that positions arrive in.",
    },
    Setting {
        name: "POSTGRES_URL",
        default: "",
        kind: Kind::PostgresUrl,
        meaning: "Where PostgreSQL is: postgres://user:password@host[:port]/database. For ingest alone: with strict.",
    },
];

const DIRECTUS: &[Setting] = &[
    Setting {
        name: "DIRECTUS_BASE_URL",
        default: "http://directus:8055",
        kind: Kind::DirectusUrl,
        meaning: "Where Directus is, within the private network.",
    },
    Setting {
        name: "DIRECTUS_AUTH_TIMEOUT_MS",
        default: "5000",
        kind: Kind::milliseconds(100, 30_000),
        meaning: "How long Directus may take to say who holds a cookie.",
    },
    Setting {
        name: "DIRECTUS_AUTHZ_TIMEOUT_MS",
        default: "5000",
        kind: Kind::milliseconds(100, 30_000),
        meaning: "How long Directus may take to say whether a user may see an event.",
    },
    Setting {
        name: "DIRECTUS_CALLS_MAX",
        default: "32",
        kind: Kind::number(1, 1_024),
        meaning: "Most calls to Directus in flight.",
    },
    Setting {
        name: "DIRECTUS_QUEUE_MS",
        default: "10000",
        kind: Kind::milliseconds(100, 60_000),
        meaning: "Longest wait for one of these calls; then the viewer is told to try again later.",
    },
];

const LISTENING: &[Setting] = &[
    Setting {
        name: "LIVE_WS_HOST",
        default: "0.0.0.0",
        kind: Kind::Address,
        meaning: "The address viewers connect to.",
    },
    Setting {
        name: "LIVE_WS_PORT",
        default: "8081",
        kind: Kind::number(1, 65_535),
        meaning: "The port viewers connect to.",
    },
    Setting {
        name: "LIVE_SHARDS",
        default: "",
        kind: Kind::number(1, engine::shard::SHARDS_MAX as u64),
        meaning: "Threads that serve viewers; one per core when unset.",
    },
    Setting {
        name: "LIVE_WS_PING_INTERVAL_MS",
        default: "30000",
        kind: Kind::milliseconds(100, 3_600_000),
        meaning: "How often a silent viewer is pinged; it is cut when it stays silent as long again.",
    },
    Setting {
        name: "LIVE_WS_DRAIN_TIMEOUT_MS",
        default: "5000",
        kind: Kind::milliseconds(0, DRAIN_MS_MAX),
        meaning: "Over how long viewers are closed, in waves, when the process ends.",
    },
];

const PAGE: &[Setting] = &[
    Setting {
        name: "LIVE_PAGE",
        default: "auto",
        kind: Kind::Word(&["off", "on", "auto"]),
        meaning: "Whether a page with a map is served beside /ws-live; auto is off on a platform.",
    },
    Setting {
        name: "LIVE_PAGE_STYLE_URL",
        default: "",
        kind: Kind::StyleUrl,
        meaning: "A MapLibre style for its map, whose parts come from the same host; none when unset.",
    },
];

const ACCESS: &[Setting] = &[
    Setting {
        name: "LIVE_ALLOWED_ORIGINS",
        default: "",
        kind: Kind::Origins,
        meaning: "Origins whose pages may connect, comma-separated; when unset, the host they ask.",
    },
    Setting {
        name: "LIVE_ALLOW_MISSING_ORIGIN",
        default: "",
        kind: Kind::Boolean,
        meaning: "Whether clients without an Origin may connect; when unset, from loopback and no proxy only.",
    },
    Setting {
        name: "LIVE_TRUSTED_PROXIES",
        default: "",
        kind: Kind::Networks,
        meaning: "Networks whose X-Forwarded headers are believed, comma-separated.",
    },
    Setting {
        name: "LIVE_AUTH_REJECT",
        default: "close",
        kind: Kind::Word(&["close", "http"]),
        meaning: "How a user is refused: by a close code after the upgrade, or an HTTP status before.",
    },
    Setting {
        name: "LIVE_AUTHZ",
        default: "directus",
        kind: Kind::Word(&["directus", "membership"]),
        meaning: "Who says whether a user may see an event: Directus, or the membership table.",
    },
    Setting {
        name: "LIVE_REVALIDATE_MS",
        default: "60000",
        kind: Kind::milliseconds_or_off(1_000, 86_400_000),
        meaning: "How often it is checked that users may still see what they watch.",
    },
    Setting {
        name: "LIVE_SESSION_MAX_MS",
        default: "86400000",
        kind: Kind::milliseconds_or_off(60_000, 2_592_000_000),
        meaning: "How old a connection may become before its user has to show the cookie again.",
    },
];

const SHOWING: &[Setting] = &[
    Setting {
        name: "LIVE_BROADCAST_GROUP_PREFIX",
        default: "live-broadcast",
        kind: Kind::RedisName,
        meaning: "How the consumer groups of the live plane begin; the instance's name follows.",
    },
    Setting {
        name: "LIVE_BROADCAST_BATCH_SIZE",
        default: "1024",
        kind: Kind::number(256, 10_000),
        meaning: "Most entries of one read; small reads cost Redis many times more per entry.",
    },
    Setting {
        name: "LIVE_BROADCAST_BATCH_BLOCK_MS",
        default: "1000",
        kind: Kind::milliseconds(1, 30_000),
        meaning: "How long Redis may hold a read that finds nothing.",
    },
    Setting {
        name: "LIVE_SKIP_LAG_MS",
        default: "5000",
        kind: Kind::milliseconds(1_000, 3_600_000),
        meaning: "Further behind than this, only the newest position of each device is shown.",
    },
    Setting {
        name: "LIVE_DEVICE_EVENT_REFRESH_MS",
        default: "30000",
        kind: Kind::milliseconds(1_000, 3_600_000),
        meaning: "How often registrations and faulty flags are read from the database.",
    },
    Setting {
        name: "LIVE_FUTURE_TOLERANCE_MS",
        default: "60000",
        kind: Kind::milliseconds(0, 86_400_000),
        meaning: "How far ahead of our clock a device's may be; what is beyond is not shown.",
    },
    Setting {
        name: "LIVE_FLUSH_MAX_MS",
        default: "20",
        kind: Kind::milliseconds(0, 1_000),
        meaning: "Longest pause between two rounds of sending, taken under load only.",
    },
    Setting {
        name: "LIVE_WS_BACKPRESSURE_THRESHOLD_BYTES",
        default: "16384",
        kind: Kind::Number { min: 4_096, max: 16_777_216, unit: "bytes", or_off: false },
        meaning: "Most bytes in flight to one viewer; what waits there is stale.",
    },
];

const LIMITS: &[Setting] = &[
    Setting {
        name: "LIVE_VIEWERS_MAX",
        default: "100000",
        kind: Kind::number(1, engine::limits::VIEWERS_MAX as u64),
        meaning: "Most viewers of this process.",
    },
    Setting {
        name: "LIVE_VIEWERS_PER_USER_MAX",
        default: "20",
        kind: Kind::number(1, 100_000),
        meaning: "Most viewers of one user.",
    },
    Setting {
        name: "LIVE_VIEWERS_PER_ADDRESS_MAX",
        default: "500",
        kind: Kind::number(1, 100_000),
        meaning: "Most viewers of one address; a mobile operator has many users behind one.",
    },
    Setting {
        name: "LIVE_HALF_OPEN_MAX",
        default: "10000",
        kind: Kind::number(1, 100_000),
        meaning: "Most connections that are not viewers yet.",
    },
    Setting {
        name: "LIVE_HALF_OPEN_PER_ADDRESS_MAX",
        default: "1000",
        kind: Kind::number(1, 100_000),
        meaning: "Most of them from one address.",
    },
    Setting {
        name: "LIVE_HEAD_TIMEOUT_MS",
        default: "5000",
        kind: Kind::milliseconds(100, 60_000),
        meaning: "How long a whole request head may take.",
    },
    Setting {
        name: "LIVE_HEAD_BYTES_MAX",
        default: "16384",
        kind: Kind::Number { min: 1_024, max: 65_536, unit: "bytes", or_off: false },
        meaning: "Longest request head.",
    },
    Setting {
        name: "LIVE_HEADERS_MAX",
        default: "64",
        kind: Kind::number(8, 256),
        meaning: "Most headers of a request.",
    },
    Setting {
        name: "LIVE_COOKIE_BYTES_MAX",
        default: "8192",
        kind: Kind::Number { min: 256, max: 32_768, unit: "bytes", or_off: false },
        meaning: "Longest Cookie header.",
    },
    Setting {
        name: "LIVE_TOPICS_MAX",
        default: "32",
        kind: Kind::number(1, engine::limits::TOPICS_MAX as u64),
        meaning: "Most topics of one viewer.",
    },
    Setting {
        name: "LIVE_SUBSCRIBES_PER_SECOND",
        default: "5",
        kind: Kind::number(1, 1_000),
        meaning: "Subscribes of one viewer, sustained.",
    },
    Setting {
        name: "LIVE_SUBSCRIBES_BURST",
        default: "20",
        kind: Kind::number(1, 10_000),
        meaning: "Subscribes of one viewer at once.",
    },
    Setting {
        name: "LIVE_MESSAGES_PER_SECOND",
        default: "10",
        kind: Kind::number(1, 1_000),
        meaning: "Messages of one viewer, sustained.",
    },
    Setting {
        name: "LIVE_MESSAGES_BURST",
        default: "50",
        kind: Kind::number(1, 10_000),
        meaning: "Messages of one viewer at once.",
    },
];

const WRITING: &[Setting] = &[
    Setting {
        name: "WRITE_BATCH_SIZE",
        default: "1000",
        kind: Kind::number(1, engine::limits::BATCH_ROWS_MAX as u64),
        meaning: "Most rows of one write.",
    },
    Setting {
        name: "WRITE_LANES",
        default: "2",
        kind: Kind::number(1, 16),
        meaning: "Connections that write at the same time; each has its own share of the devices.",
    },
    Setting {
        name: "WRITE_LINGER_MS",
        default: "50",
        kind: Kind::milliseconds(0, 150),
        meaning: "How long a row may wait for others, to be written with them.",
    },
    Setting {
        name: "WRITE_TIMEOUT_MS",
        default: "10000",
        kind: Kind::milliseconds(1_000, 60_000),
        meaning: "How long one write may take before it is given up and done again.",
    },
    Setting {
        name: "CLAIM_THRESHOLD_MS",
        default: "60000",
        kind: Kind::milliseconds(10_000, 86_400_000),
        meaning: "How long entries rest with a silent instance before another one stores them.",
    },
    Setting {
        name: "WRITE_GROUP",
        default: "processor",
        kind: Kind::RedisName,
        meaning: "The consumer group of all who store positions; they share the work.",
    },
    Setting {
        name: "WRITE_STORM_PERCENT",
        default: "5",
        kind: Kind::number(1, 100),
        meaning: "Writing is held when more than this share of entries is refused; 100: never.",
    },
    Setting {
        name: "DEAD_LETTERS_MAX",
        default: "100000",
        kind: Kind::number(1, 10_000_000),
        meaning: "Most dead letters in their stream; beyond that, writing is held.",
    },
];

const OPERATING: &[Setting] = &[
    Setting {
        name: "METRICS_HOST",
        default: "0.0.0.0",
        kind: Kind::Address,
        meaning: "The address for health and metrics; keep it within the private network.",
    },
    Setting {
        name: "METRICS_PORT",
        default: "9090",
        kind: Kind::number(1, 65_535),
        meaning: "The port for health and metrics.",
    },
    Setting {
        name: "ADMIN_TOKEN",
        default: "",
        kind: Kind::Token,
        meaning: "Opens what shows connections or profiles; without it, loopback peers only.",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{SECTIONS, all, named};

    #[test]
    fn every_setting_stands_once_and_speaks_in_one_line() {
        let mut names = HashSet::new();
        for setting in all() {
            assert!(names.insert(setting.name), "{} stands twice", setting.name);
            let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            assert!(setting.name.chars().all(is_name), "{}", setting.name);
            assert!(setting.meaning.len() <= 100, "{}: {}", setting.name, setting.meaning);
            assert!(setting.meaning.ends_with('.'), "{}", setting.name);
        }
        assert!(SECTIONS.iter().all(|section| !section.settings.is_empty()));
    }

    #[test]
    fn a_flag_is_the_name_in_small_letters_with_dashes() {
        let setting = named("LIVE_WS_PORT").unwrap();
        assert_eq!((setting.flag(), setting.file_variable()), ("live-ws-port".to_owned(), None));
        let secret = named("REDIS_URL").unwrap();
        assert_eq!(secret.file_variable().as_deref(), Some("REDIS_URL_FILE"));
        assert!(named("REDIS_URL_FILE").is_none());
    }
}
