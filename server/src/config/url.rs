//! The addresses of Redis, PostgreSQL and Directus: what this build can speak to, and what not.
//!
//! It has no TLS: such an address is refused with a sentence, not tried and failed at run time.
//! The drivers' own parsers decide about Redis and PostgreSQL; what they complain about is not
//! repeated, since it may hold a piece of a password.

use redis::IntoConnectionInfo;
use tokio_postgres::config::SslMode;

use super::StyleUrl;
use super::kind::Kind;
use crate::http::Authority;
use crate::secret::Secret;

/// Longest address.
const URL_BYTES_MAX: usize = 2_048;

/// Where Directus is, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DirectusAddress {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path before that of every call, without a slash at its end.
    pub path: String,
}

/// Where Redis is.
pub fn redis(text: &str) -> Result<Secret, String> {
    match scheme(text) {
        Some("redis") => {}
        Some("rediss" | "valkeys") => return Err(no_tls("redis://")),
        Some("unix" | "redis+unix" | "valkey+unix") => {
            let words = "names a socket file, which pitwall does not use: give the host and the \
                         port, as in redis://host:6379.";
            return Err(words.to_owned());
        }
        _ => return Err(Kind::RedisUrl.mistake()),
    }
    let fits = is_plain(text) && text.into_connection_info().is_ok();
    if fits { Ok(Secret::new(text)) } else { Err(Kind::RedisUrl.mistake()) }
}

/// Where PostgreSQL is.
pub fn postgres(text: &str) -> Result<Secret, String> {
    if !matches!(scheme(text), Some("postgres" | "postgresql")) || !is_plain(text) {
        return Err(Kind::PostgresUrl.mistake());
    }
    // The driver knows no such mode, and would only say that something is wrong.
    let options = text.split_once('?').map_or("", |(_, options)| options);
    if options.split('&').any(|option| option.starts_with("sslmode=verify")) {
        return Err(no_tls("sslmode=prefer or sslmode=disable"));
    }
    let config: tokio_postgres::Config = text.parse().map_err(|_| Kind::PostgresUrl.mistake())?;
    if config.get_ssl_mode() == SslMode::Require {
        return Err(no_tls("sslmode=prefer or sslmode=disable"));
    }
    let has_host = !config.get_hosts().is_empty() || !config.get_hostaddrs().is_empty();
    if has_host { Ok(Secret::new(text)) } else { Err(Kind::PostgresUrl.mistake()) }
}

/// Where Directus is.
pub fn directus(text: &str) -> Result<DirectusAddress, String> {
    let mistake = || Kind::DirectusUrl.mistake();
    match scheme(text) {
        Some("http") => {}
        Some("https") => return Err(no_tls("http:// and a host of the private network")),
        _ => return Err(mistake()),
    }
    let rest = text.strip_prefix("http://").filter(|_| is_plain(text)).ok_or_else(mistake)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        let words = "must not hold a user or a password: pitwall asks with each viewer's own \
                     cookie and needs no other.";
        return Err(words.to_owned());
    }
    if path.contains(['?', '#', '\\', '"', '<', '>']) {
        return Err(mistake());
    }
    let (host, port) = host_and_port(authority).ok_or_else(mistake)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(DirectusAddress {
        host,
        port: port.unwrap_or(80),
        path: path.trim_end_matches('/').to_owned(),
    })
}

/// Where the style of a map is. Browsers fetch it, so it may well ask for TLS.
pub fn style(text: &str) -> Result<StyleUrl, String> {
    let mistake = || Kind::StyleUrl.mistake();
    let name = scheme(text).filter(|name| matches!(*name, "https" | "http")).ok_or_else(mistake)?;
    let rest = &text[name.len() + "://".len()..];
    let (authority, path) = rest.split_at(rest.find('/').ok_or_else(mistake)?);
    // What would need an escape in JSON, or end a directive of the page's policy.
    let is_quiet = is_plain(text) && !path.contains(['"', '\\', '<', '>', '#']);
    if !is_quiet || host_and_port(authority).is_none() {
        return Err(mistake());
    }
    Ok(StyleUrl { url: text.to_owned(), origin: format!("{name}://{authority}") })
}

/// Splits `host[:port]`; an IPv6 address stands in brackets and keeps them. Stricter than what a
/// stranger may send: this is a name that somebody has to be found under.
pub fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let Authority { host, port } = Authority::parse(authority.as_bytes())?;
    let is_host = host.starts_with('[') || is_name(host);
    (is_host && port != Some(0)).then_some((host, port))
}

/// A host name or an IPv4 address: letters, digits, dots, dashes; containers have underscores too.
fn is_name(host: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=253).contains(&host.len())
        && host.bytes().all(is_part)
        && !host.starts_with(['.', '-'])
        && !host.contains("..")
}

/// What stands before `://`.
fn scheme(text: &str) -> Option<&str> {
    text.split_once("://").map(|(scheme, _)| scheme)
}

/// True when nothing in it needs guessing: visible ASCII, and not endless.
fn is_plain(text: &str) -> bool {
    text.len() <= URL_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn no_tls(instead: &str) -> String {
    format!(
        "asks for TLS, which this build does not have: use {instead}, within a network that nobody \
         else reads."
    )
}
