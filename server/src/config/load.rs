//! From text to [`Config`]: every value is read by its kind, all mistakes are told at once.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use engine::time::Rate;

use super::kind::{self, Kind};
use super::settings::{self, Setting};
use super::sources::{Gathered, Remark, Sources, Value};
use super::{
    AccessConfig, AdminConfig, Authority, Config, DeviceAuthority, DirectusConfig, EmbeddedConfig,
    IngestConfig, LimitConfig, LiveConfig, PageMode, Reject, Roles, WriteConfig,
};
use super::{origin, rules, url};
use crate::error::Stop;
use crate::log::Level;
use crate::secret::Secret;

/// All settings: as text, and typed when none is wrong.
#[derive(Debug)]
pub struct Loaded {
    gathered: Gathered,
    config: Config,
}

impl Loaded {
    /// The settings as text, in the order of the table.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.gathered.values
    }

    /// What is wrong.
    #[must_use]
    pub fn mistakes(&self) -> &[Remark] {
        &self.gathered.mistakes
    }

    /// What deserves a look.
    #[must_use]
    pub fn warnings(&self) -> &[Remark] {
        &self.gathered.warnings
    }

    /// The settings, or the one message that names every mistake.
    pub fn into_config(self) -> Result<Config, Stop> {
        match self.stop() {
            Some(stop) => Err(stop),
            None => Ok(self.config),
        }
    }

    /// `POSTGRES_URL`, for who needs no other setting; mistakes of the others do not matter then.
    pub fn into_postgres_url(self) -> Result<Secret, Stop> {
        let concerns = |mistake: &&Remark| {
            let name = mistake.name.strip_suffix("_FILE").unwrap_or(&mistake.name);
            // What is no setting is the file that holds them.
            name == "POSTGRES_URL" || settings::named(name).is_none()
        };
        match stop(self.mistakes().iter().filter(concerns)) {
            Some(stop) => Err(stop),
            None => Ok(self.config.postgres_url),
        }
    }

    /// Where positions are stored, for who needs no other setting.
    pub fn into_store(self) -> Result<Store, Stop> {
        match &self.config.embedded {
            Some(embedded) => Ok(Store::Folder(embedded.directory.clone())),
            None => self.into_postgres_url().map(Store::Postgres),
        }
    }

    /// The one message that names every mistake, when there is one.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        stop(self.mistakes().iter())
    }
}

/// Where positions are stored.
#[derive(Clone, Debug)]
pub enum Store {
    /// In the folder of the embedded mode.
    Folder(PathBuf),
    /// In the PostgreSQL of this address.
    Postgres(Secret),
}

fn stop<'a>(mistakes: impl Iterator<Item = &'a Remark>) -> Option<Stop> {
    let mut mistakes = mistakes.peekable();
    mistakes.peek()?;
    let mut text = "pitwall does not start with these settings:\n".to_owned();
    for mistake in mistakes {
        text += &format!("  {} {}\n", mistake.name, mistake.words);
        if let Some(setting) = settings::named(&mistake.name) {
            text += &format!("      What it is: {}\n", setting.meaning);
        }
    }
    text += "Put them right and start again; `pitwall config` shows every setting.";
    Some(Stop::Config(text))
}

impl Config {
    /// Reads all settings.
    #[must_use]
    pub fn load(sources: &Sources) -> Loaded {
        let mut reader = Reader { gathered: sources.gather() };
        let config = read(&mut reader);
        rules::apply(&config, &mut reader.gathered);
        Loaded { gathered: reader.gathered, config }
    }
}

/// Reads values one by one and collects what is wrong with them. In place of a wrong value it gives
/// one that nobody will use, since [`Loaded`] hands out no settings with a mistake among them.
struct Reader {
    gathered: Gathered,
}

impl Reader {
    /// The value of a setting; nothing when it is unset or wrong.
    fn read<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(Kind, &str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.gathered.values.iter().find(|value| value.setting.name == name);
        let value = value.expect("only settings of the table are read");
        let (setting, text) = (value.setting, value.text.expose());
        if text.is_empty() && setting.default.is_empty() {
            return None;
        }
        match checked(setting, text).and_then(|text| parse(setting.kind, text)) {
            Ok(value) => Some(value),
            Err(words) => {
                self.gathered.mistake(name, words);
                None
            }
        }
    }

    /// A setting that has to be set if it is needed.
    fn required(
        &mut self,
        name: &str,
        is_needed: bool,
        parse: impl FnOnce(&str) -> Result<Secret, String>,
    ) -> Secret {
        let (mut is_wrong, file) = (false, format!("{name}_FILE"));
        let value = self.read(name, |_, text| {
            is_wrong = true;
            parse(text)
        });
        is_wrong |= self.gathered.mistakes.iter().any(|it| it.name == name || it.name == file);
        if value.is_none() && !is_wrong && is_needed {
            let kind = settings::named(name).expect("it has just been read").kind;
            self.gathered.mistake(name, format!("is missing: it {}", kind.mistake()));
        }
        value.unwrap_or_else(|| Secret::new(""))
    }

    /// Where a store is, and whether it has to be set. Nothing is read of it by a process that keeps
    /// everything itself.
    fn store(
        &mut self,
        name: &str,
        is_needed: Option<bool>,
        parse: impl FnOnce(&str) -> Result<Secret, String>,
    ) -> Secret {
        match is_needed {
            Some(is_needed) => self.required(name, is_needed, parse),
            None => Secret::new(""),
        }
    }

    fn text(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<String, String>) -> String {
        self.read(name, |_, text| parse(text)).unwrap_or_default()
    }

    fn address(&mut self, name: &str) -> IpAddr {
        let address = self.read(name, |_, text| kind::address(text));
        address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    fn word(&mut self, name: &str) -> &'static str {
        self.read(name, kind::word).unwrap_or_default()
    }

    fn number<T: TryFrom<u64> + Default>(&mut self, name: &str) -> T {
        self.optional_number(name).unwrap_or_default()
    }

    fn optional_number<T: TryFrom<u64>>(&mut self, name: &str) -> Option<T> {
        let number = self.read(name, kind::number)?;
        Some(T::try_from(number).ok().expect("the bounds in the table fit the type"))
    }

    fn rate(&mut self, per_second: &str, burst: &str) -> Rate {
        Rate { per_second: self.number(per_second), burst: self.number(burst) }
    }
}

/// The text, when nothing is wrong with it whatever its kind.
fn checked<'a>(setting: &Setting, text: &'a str) -> Result<&'a str, String> {
    if text.trim().is_empty() {
        return Err(format!("is empty: it {} Or remove it.", setting.kind.mistake()));
    }
    if text.trim() != text {
        return Err("has white space at its beginning or end: remove that.".to_owned());
    }
    Ok(text)
}

fn read(reader: &mut Reader) -> Config {
    let roles = reader.read("ROLES", kind::words);
    let embedded = embedded(reader);
    let roles = roles.map_or_else(Roles::default, |words| Roles {
        live: words.contains(&"live"),
        durable: words.contains(&"durable"),
        ingest: words.contains(&"ingest"),
    });
    let ingest = ingest(reader);
    let needs_database = roles.need_database(ingest.authority);
    Config {
        instance_id: reader.text("INSTANCE_ID", kind::instance_id),
        roles,
        log_level: match reader.word("LOG_LEVEL") {
            "debug" => Level::Debug,
            "warn" => Level::Warn,
            "error" => Level::Error,
            _ => Level::Info,
        },
        redis_url: reader.store("REDIS_URL", embedded.is_none().then_some(true), url::redis),
        stream: reader.text("REDIS_TELEMETRY_STREAM", kind::redis_name),
        postgres_url: reader.store(
            "POSTGRES_URL",
            embedded.is_none().then_some(needs_database),
            url::postgres,
        ),
        directus: directus(reader),
        live: live(reader),
        write: write(reader),
        ingest,
        embedded,
        admin: AdminConfig {
            host: reader.address("METRICS_HOST"),
            port: reader.number("METRICS_PORT"),
            token: reader.read("ADMIN_TOKEN", |_, text| kind::token(text)).map(Secret::new),
        },
    }
}

fn directus(reader: &mut Reader) -> DirectusConfig {
    let address = reader.read("DIRECTUS_BASE_URL", |_, text| url::directus(text));
    let address = address.unwrap_or_default();
    DirectusConfig {
        host: address.host,
        port: address.port,
        path: address.path,
        auth_timeout_ms: reader.number("DIRECTUS_AUTH_TIMEOUT_MS"),
        authz_timeout_ms: reader.number("DIRECTUS_AUTHZ_TIMEOUT_MS"),
    }
}

fn live(reader: &mut Reader) -> LiveConfig {
    LiveConfig {
        host: reader.address("LIVE_WS_HOST"),
        port: reader.number("LIVE_WS_PORT"),
        shard_count: reader.optional_number("LIVE_SHARDS").unwrap_or_else(super::core_count),
        ping_interval_ms: reader.number("LIVE_WS_PING_INTERVAL_MS"),
        drain_timeout_ms: reader.number("LIVE_WS_DRAIN_TIMEOUT_MS"),
        in_flight_bytes_max: reader.number("LIVE_WS_BACKPRESSURE_THRESHOLD_BYTES"),
        group_prefix: reader.text("LIVE_BROADCAST_GROUP_PREFIX", kind::redis_name),
        batch_entries_max: reader.number("LIVE_BROADCAST_BATCH_SIZE"),
        block_ms: reader.number("LIVE_BROADCAST_BATCH_BLOCK_MS"),
        skip_lag_ms: reader.number("LIVE_SKIP_LAG_MS"),
        refresh_ms: reader.number("LIVE_DEVICE_EVENT_REFRESH_MS"),
        future_tolerance_ms: reader.number("LIVE_FUTURE_TOLERANCE_MS"),
        flush_max_ms: reader.number("LIVE_FLUSH_MAX_MS"),
        page: match reader.word("LIVE_PAGE") {
            "on" => PageMode::On,
            "off" => PageMode::Off,
            _ => PageMode::Auto,
        },
        page_style: reader.read("LIVE_PAGE_STYLE_URL", |_, text| url::style(text)),
        access: access(reader),
        limits: limits(reader),
    }
}

fn write(reader: &mut Reader) -> WriteConfig {
    WriteConfig {
        batch_rows_max: reader.number("WRITE_BATCH_SIZE"),
        lane_count: reader.number("WRITE_LANES"),
        linger_ms: reader.number("WRITE_LINGER_MS"),
        deadline_ms: reader.number("WRITE_TIMEOUT_MS"),
        claim_threshold_ms: reader.number("CLAIM_THRESHOLD_MS"),
        group: reader.text("WRITE_GROUP", kind::redis_name),
        storm_percent: reader.number("WRITE_STORM_PERCENT"),
        dead_letters_max: reader.number("DEAD_LETTERS_MAX"),
    }
}

fn embedded(reader: &mut Reader) -> Option<EmbeddedConfig> {
    let token = reader.read("EMBEDDED_TOKEN", |_, text| kind::cookie_token(text)).map(Secret::new);
    let directory = reader.read("EMBEDDED_DIR", |_, text| kind::folder(text))?;
    Some(EmbeddedConfig { directory, token })
}

fn ingest(reader: &mut Reader) -> IngestConfig {
    IngestConfig {
        host: reader.address("INGEST_HOST"),
        port: reader.number("INGEST_PORT"),
        authority: match reader.word("DEVICE_AUTHORITY_MODE") {
            "strict" => DeviceAuthority::Strict,
            _ => DeviceAuthority::Open,
        },
        authority_refresh_ms: reader.number("DEVICE_AUTHORITY_REFRESH_MS"),
        stream_length_max: reader.number("INGEST_STREAM_LENGTH_MAX"),
        queue_packets_max: reader.number("INGEST_QUEUE_MAX"),
        devices_max: reader.number("INGEST_DEVICES_MAX"),
        devices_per_address_max: reader.number("INGEST_DEVICES_PER_ADDRESS_MAX"),
        handshake_timeout_ms: reader.number("INGEST_HANDSHAKE_TIMEOUT_MS"),
        idle_timeout_ms: reader.number("INGEST_IDLE_TIMEOUT_MS"),
    }
}

fn access(reader: &mut Reader) -> AccessConfig {
    let origins = reader.read("LIVE_ALLOWED_ORIGINS", |_, text| origin::origins(text));
    let networks = reader.read("LIVE_TRUSTED_PROXIES", |_, text| origin::networks(text));
    AccessConfig {
        allowed_origins: origins.unwrap_or_default(),
        allow_missing_origin: reader
            .read("LIVE_ALLOW_MISSING_ORIGIN", |_, text| kind::boolean(text)),
        trusted_proxies: networks.unwrap_or_default(),
        reject: match reader.word("LIVE_AUTH_REJECT") {
            "http" => Reject::Http,
            _ => Reject::Close,
        },
        authority: match reader.word("LIVE_AUTHZ") {
            "membership" => Authority::Membership,
            _ => Authority::Directus,
        },
        revalidate_ms: reader.number("LIVE_REVALIDATE_MS"),
        session_max_ms: reader.number("LIVE_SESSION_MAX_MS"),
    }
}

fn limits(reader: &mut Reader) -> LimitConfig {
    LimitConfig {
        viewers_max: reader.number("LIVE_VIEWERS_MAX"),
        viewers_per_user_max: reader.number("LIVE_VIEWERS_PER_USER_MAX"),
        viewers_per_address_max: reader.number("LIVE_VIEWERS_PER_ADDRESS_MAX"),
        half_open_max: reader.number("LIVE_HALF_OPEN_MAX"),
        half_open_per_address_max: reader.number("LIVE_HALF_OPEN_PER_ADDRESS_MAX"),
        head_timeout_ms: reader.number("LIVE_HEAD_TIMEOUT_MS"),
        head_bytes_max: reader.number("LIVE_HEAD_BYTES_MAX"),
        headers_max: reader.number("LIVE_HEADERS_MAX"),
        cookie_bytes_max: reader.number("LIVE_COOKIE_BYTES_MAX"),
        topics_max: reader.number("LIVE_TOPICS_MAX"),
        subscribe_rate: reader.rate("LIVE_SUBSCRIBES_PER_SECOND", "LIVE_SUBSCRIBES_BURST"),
        message_rate: reader.rate("LIVE_MESSAGES_PER_SECOND", "LIVE_MESSAGES_BURST"),
        calls_max: reader.number("DIRECTUS_CALLS_MAX"),
        queue_ms_max: reader.number("DIRECTUS_QUEUE_MS"),
    }
}

#[cfg(test)]
mod tests;
