//! Lists of origins and networks: who may connect, and whose word about others is taken.
//!
//! An origin is compared byte for byte with what browsers send, so whatever no browser would send is
//! refused here instead of never matching later.

use std::net::IpAddr;

use super::Network;
use super::kind::Kind;
use super::url::host_and_port;

/// Most origins, and most networks: a list is walked for every connection.
pub const LIST_ITEMS_MAX: usize = 64;

/// Origins, in the form browsers send them.
pub fn origins(text: &str) -> Result<Vec<String>, String> {
    items(text, Kind::Origins, origin)
}

/// Networks, each with no bit set behind its prefix.
pub fn networks(text: &str) -> Result<Vec<Network>, String> {
    items(text, Kind::Networks, network)
}

/// True for an origin without TLS that is not this machine's own: its cookie travels in the clear.
#[must_use]
pub fn is_in_the_clear(origin: &str) -> bool {
    let Some(authority) = origin.strip_prefix("http://") else { return false };
    let host = host_and_port(authority).map_or("", |(host, _)| host);
    let is_here = host == "localhost" || host.ends_with(".localhost") || host == "[::1]";
    !is_here && !host.starts_with("127.")
}

fn items<T>(
    text: &str,
    kind: Kind,
    item: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let items: Vec<T> = text.split(',').map(|part| item(part.trim())).collect::<Result<_, _>>()?;
    if items.len() <= LIST_ITEMS_MAX {
        return Ok(items);
    }
    Err(format!("has more than {LIST_ITEMS_MAX} items; it {}", kind.mistake()))
}

fn origin(text: &str) -> Result<String, String> {
    let mistake = || Kind::Origins.mistake();
    if text.contains('*') {
        let words = "must not contain *: every page on the web could then use its reader's login. \
                     Name each origin.";
        return Err(words.to_owned());
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let words = "has an upper-case letter, and browsers send origins in small letters: it would \
                     never match.";
        return Err(words.to_owned());
    }
    let (authority, usual_port) = match text.split_once("://") {
        Some(("https", authority)) => (authority, 443),
        Some(("http", authority)) => (authority, 80),
        _ => return Err(mistake()),
    };
    if authority.ends_with('/') {
        let words = "has a slash at the end of an origin, and browsers send none: it would never \
                     match. Remove it.";
        return Err(words.to_owned());
    }
    let (_, port) = host_and_port(authority).ok_or_else(mistake)?;
    if port == Some(usual_port) {
        return Err(format!(
            "names port {usual_port}, which browsers leave out for that scheme: it would never \
             match. Remove it."
        ));
    }
    Ok(text.to_owned())
}

fn network(text: &str) -> Result<Network, String> {
    let mistake = || Kind::Networks.mistake();
    let (address, prefix) = text.split_once('/').ok_or_else(mistake)?;
    let address: IpAddr = address.parse().map_err(|_| mistake())?;
    let is_digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix_bits: u8 = prefix.parse().ok().filter(|_| is_digits).ok_or_else(mistake)?;
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    if prefix_bits > width {
        return Err(mistake());
    }
    let host_bits = u32::from(width - prefix_bits);
    let host_mask = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |bit| bit - 1);
    if bits & host_mask != 0 {
        return Err(format!(
            "has a network whose address has bits set behind its prefix, so that it is not clear \
             which addresses are meant; it {}",
            mistake()
        ));
    }
    Ok(Network { address, prefix_bits })
}

#[cfg(test)]
mod tests {
    use super::is_in_the_clear;

    #[test]
    fn only_this_machine_may_be_asked_in_the_clear() {
        for (origin, expected) in [
            ("http://example.org", true),
            ("http://10.0.0.1:8080", true),
            ("http://localhost.example.org", true),
            ("https://example.org", false),
            ("http://localhost:3000", false),
            ("http://app.localhost", false),
            ("http://127.0.0.1:3000", false),
            ("http://[::1]:3000", false),
        ] {
            assert_eq!(is_in_the_clear(origin), expected, "{origin}");
        }
    }
}
