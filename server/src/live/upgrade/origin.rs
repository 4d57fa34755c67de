//! Where a request comes from: its origin, which must be allowed, and the address of its client.
//!
//! With sessions in cookies an unchecked origin would let any page that a user visits read along in
//! the user's name. So this comes before anything is asked of Directus.

use std::net::IpAddr;

use super::request::elements;
use crate::config::{AccessConfig, Network};
use crate::http::{Authority, Head, Refusal};

const FORBIDDEN: Refusal = Refusal::new(
    403,
    "This origin may not connect. An operator can allow it with LIVE_ALLOWED_ORIGINS.",
);

const STRANGE_NAME: Refusal = Refusal::new(
    403,
    "This name leads here and is not this machine's own. Use 127.0.0.1 or localhost in its place.",
);

/// The longest chain of proxies that is followed.
const HOPS_MAX: usize = 32;

/// Refuses the request unless its origin is allowed.
pub(super) fn check_origin(
    head: &Head,
    peer: IpAddr,
    access: &AccessConfig,
) -> Result<(), Refusal> {
    let mut origins = head.all("origin");
    let origin = origins.next();
    if origins.next().is_some() {
        return Err(FORBIDDEN);
    }
    let Some(origin) = origin else {
        // Behind a proxy on this machine, known to us or not, there may be anybody.
        let is_local = || peer.is_loopback() && !head.is_forwarded();
        let is_allowed = access.allow_missing_origin.unwrap_or_else(is_local);
        return if is_allowed { Ok(()) } else { Err(FORBIDDEN) };
    };
    let is_allowed = if access.allowed_origins.is_empty() {
        is_same_host(head, origin, is_trusted(peer, &access.trusted_proxies))
    } else {
        access.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin)
    };
    if is_allowed { Ok(()) } else { Err(FORBIDDEN) }
}

/// Refuses a request by a name that anybody could give this machine: a page of elsewhere whose name was
/// made to lead here would be of the same origin as ours, and read along without a log-in.
pub(super) fn check_host(head: &Head) -> Result<(), Refusal> {
    // What is no host at all is refused with other words, later.
    let Some(host) = head.once("host")?.and_then(Authority::parse) else { return Ok(()) };
    let is_own = host.host.eq_ignore_ascii_case("localhost")
        || address_of(host.host.as_bytes()).is_some_and(|address| address.is_loopback());
    if is_own { Ok(()) } else { Err(STRANGE_NAME) }
}

/// Whose connection it is: the peer, or the last hop before the proxies that are trusted.
pub(super) fn client_address(head: &Head, peer: IpAddr, trusted: &[Network]) -> IpAddr {
    let mut client = peer;
    let mut hops: Vec<&[u8]> = head.all("x-forwarded-for").flat_map(elements).collect();
    for _ in 0..HOPS_MAX {
        if !is_trusted(client, trusted) {
            return client;
        }
        match hops.pop().and_then(address_of) {
            Some(hop) => client = hop,
            None => return client,
        }
    }
    client
}

/// True when host and port of the origin are those that the request was sent to. A port that is not
/// written is that of the scheme, which a trusted proxy may tell; otherwise it is the origin's own.
fn is_same_host(head: &Head, origin: &[u8], from_proxy: bool) -> bool {
    let Some(at) = origin.windows(3).position(|part| part == b"://") else { return false };
    let Some(own_port) = default_port(&origin[..at]) else { return false };
    let forwarded = |name| if from_proxy { only(head, name) } else { None };
    let scheme_port = match forwarded("x-forwarded-proto") {
        Some(b"http" | b"ws") => 80,
        Some(b"https" | b"wss") => 443,
        Some(_) => return false,
        None => own_port,
    };
    let host = forwarded("x-forwarded-host").or_else(|| only(head, "host"));
    let parsed = (Authority::parse(&origin[at + 3..]), host.and_then(Authority::parse));
    let (Some(own), Some(host)) = parsed else { return false };
    scheme_port == own_port
        && host.host.eq_ignore_ascii_case(own.host)
        && host.port.unwrap_or(scheme_port) == own.port.unwrap_or(own_port)
}

/// The port of a scheme that pages have.
fn default_port(scheme: &[u8]) -> Option<u16> {
    match scheme {
        b"http" => Some(80),
        b"https" => Some(443),
        _ => None,
    }
}

/// The value of a header that came once with one element.
fn only<'a>(head: &'a Head, name: &'a str) -> Option<&'a [u8]> {
    let value = head.once(name).ok().flatten()?;
    (!value.contains(&b',')).then_some(value)
}

/// True when what this address says of others is believed.
pub(super) fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// An address with or without a port, in or without brackets.
fn address_of(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let address = text.parse().or_else(|_| text.parse().map(|at: std::net::SocketAddr| at.ip()));
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    address.ok().or_else(|| bracketed?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{check_origin, client_address};
    use crate::config::{AccessConfig, LiveConfig, Network};
    use crate::http::{Head, HeadLimits, HeadReader};

    const LIMITS: HeadLimits = HeadLimits { bytes_max: 16 * 1024, headers_max: 64 };
    const PROXY: &str = "10.0.0.9";

    fn head(lines: &[&str]) -> Head {
        let text = format!("GET /ws-live HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"));
        HeadReader::new(LIMITS).handle_input(text.as_bytes()).unwrap().unwrap()
    }

    fn access(allowed: &[&str]) -> AccessConfig {
        let mut access = LiveConfig::default().access;
        access.allowed_origins = allowed.iter().map(|&origin| origin.to_owned()).collect();
        access.trusted_proxies =
            vec![Network { address: "10.0.0.0".parse().unwrap(), prefix_bits: 24 }];
        access
    }

    fn is_allowed(lines: &[&str], peer: &str, access: &AccessConfig) -> bool {
        let refusal = check_origin(&head(lines), peer.parse().unwrap(), access).err();
        assert!(refusal.is_none_or(|refusal| refusal.status == 403));
        refusal.is_none()
    }

    #[test]
    fn t1_only_a_configured_origin_is_allowed_byte_for_byte() {
        let access = access(&["https://race.example", "https://live.race.example:8443"]);
        for allowed in ["https://race.example", "https://live.race.example:8443"] {
            let line = format!("Origin: {allowed}");
            assert!(is_allowed(&["Host: x", &line], PROXY, &access), "{allowed}");
        }
        for other in [
            "",
            "null",
            "*",
            "https://",
            "https:",
            "race.example",
            "//race.example",
            "http://race.example",
            "wss://race.example",
            "ws://race.example",
            "https://race.example/",
            "https://race.example/x",
            "https://race.example?x",
            "https://race.example#x",
            "https://race.example:443",
            "https://race.example:8443",
            "https://race.example:",
            "https://race.example.",
            "https://www.race.example",
            "https://race.example.evil.test",
            "https://evilrace.example",
            "https://race.exampleevil",
            "https://evil.test",
            "https://evil.test/https://race.example",
            "https://evil.test?https://race.example",
            "https://evil.test#https://race.example",
            "https://race.example@evil.test",
            "https://user@race.example",
            "HTTPS://race.example",
            "https://RACE.example",
            "https://xn--rce-5cd.example",
            "https://r\u{430}ce.example",
            "https://race%2eexample",
            "https://race.example https://evil.test",
            "https://race.example, https://evil.test",
            "https://live.race.example",
            "https://live.race.example:443",
            "https://live.race.example:84430",
            "file://",
            "chrome-extension://abcdefgh",
            "https://[::1]",
            "https://127.0.0.1",
        ] {
            let line = format!("Origin: {other}");
            assert!(!is_allowed(&["Host: race.example", &line], PROXY, &access), "{other}");
        }
        let line = "Origin: https://race.example";
        assert!(!is_allowed(&["Host: race.example", line, line], PROXY, &access), "two headers");
    }

    #[test]
    fn t1_t36_without_a_list_the_origin_is_the_host() {
        let access = access(&[]);
        for (lines, peer, expected) in [
            (&["Host: a.test", "Origin: https://a.test"][..], "192.0.2.1", true),
            (&["Host: A.test", "Origin: http://a.test"], "192.0.2.1", true),
            (&["Host: a.test:8081", "Origin: http://a.test:8081"], "192.0.2.1", true),
            (&["Host: a.test", "Origin: http://a.test:8081"], "192.0.2.1", false),
            (&["Host: a.test:81", "Origin: http://a.test"], "192.0.2.1", false),
            (&["Host: a.test", "Origin: http://b.test"], "192.0.2.1", false),
            (&["Host: a.test", "Origin: null"], "192.0.2.1", false),
            (&["Host: a.test", "Origin: http://"], "192.0.2.1", false),
            (&["Host: a.test", "Origin: a.test"], "192.0.2.1", false),
            (&["Host: a.test", "Origin: http://a.test/"], "192.0.2.1", false),
            (&["Host: a.test", "Origin: http://u@a.test"], "192.0.2.1", false),
            (&["Host: [::1]:8081", "Origin: http://[::1]:8081"], "192.0.2.1", true),
            // A port that is not written is that of the scheme.
            (&["Host: a.test:443", "Origin: https://a.test"], "192.0.2.1", true),
            (&["Host: a.test:80", "Origin: http://a.test"], "192.0.2.1", true),
            (&["Host: a.test:443", "Origin: http://a.test"], "192.0.2.1", false),
            (&["Host: a.test", "Origin: file://a.test"], "192.0.2.1", false),
            // Only a trusted proxy may say what the host was.
            (&["Host: in", "X-Forwarded-Host: a.test", "Origin: http://a.test"], PROXY, true),
            (
                &["Host: in", "X-Forwarded-Host: a.test", "Origin: http://a.test"],
                "192.0.2.1",
                false,
            ),
            (&["Host: in", "X-Forwarded-Host: a.test", "Origin: http://in"], PROXY, false),
            (&["Host: a.test", "X-Forwarded-Proto: wss", "Origin: https://a.test"], PROXY, true),
            (&["Host: a.test", "X-Forwarded-Proto: https", "Origin: http://a.test"], PROXY, false),
            (
                &["Host: a.test:443", "X-Forwarded-Proto: wss", "Origin: https://a.test"],
                PROXY,
                true,
            ),
            (&["Host: a.test", "X-Forwarded-Proto: ftp", "Origin: http://a.test"], PROXY, false),
        ] {
            assert_eq!(is_allowed(lines, peer, &access), expected, "{lines:?} from {peer}");
        }
    }

    #[test]
    fn t2_a_missing_origin_is_allowed_on_loopback_unless_set() {
        let mut access = access(&["https://race.example"]);
        let plain = ["Host: a"];
        assert!(is_allowed(&plain, "127.0.0.1", &access));
        assert!(is_allowed(&plain, "::1", &access));
        assert!(!is_allowed(&plain, "192.0.2.1", &access));
        // What a proxy on this machine passes on comes from anywhere, whether the proxy is trusted or
        // has been forgotten in the settings, and whichever of its lines it writes.
        let loopback = Network { address: "127.0.0.0".parse().unwrap(), prefix_bits: 8 };
        for is_trusted in [false, true] {
            access.trusted_proxies.extend(is_trusted.then_some(loopback));
            assert!(is_allowed(&plain, "127.0.0.1", &access));
            for line in [
                "Forwarded: for=127.0.0.1",
                "X-Forwarded-For: 127.0.0.1",
                "X-Forwarded-Host: localhost",
                "X-Forwarded-Proto: https",
                "X-Real-IP: 127.0.0.1",
                "Via: 1.1 proxy",
            ] {
                assert!(!is_allowed(&["Host: a", line], "127.0.0.1", &access), "{line}");
            }
        }
        access.allow_missing_origin = Some(true);
        assert!(is_allowed(&plain, "192.0.2.1", &access));
        access.allow_missing_origin = Some(false);
        assert!(!is_allowed(&plain, "127.0.0.1", &access));
    }

    #[test]
    fn t35_only_trusted_proxies_say_whose_connection_it_is() {
        let access = access(&[]);
        let long = format!("X-Forwarded-For: {}", vec!["10.0.0.1"; 100].join(", "));
        for (line, peer, expected) in [
            ("X-Forwarded-For: 1.2.3.4", "192.0.2.1", "192.0.2.1"),
            ("X-Forwarded-For: 1.2.3.4", PROXY, "1.2.3.4"),
            ("X-Forwarded-For: 6.6.6.6, 1.2.3.4", PROXY, "1.2.3.4"),
            ("X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.7", PROXY, "1.2.3.4"),
            ("X-Forwarded-For: 1.2.3.4:5678", PROXY, "1.2.3.4"),
            ("X-Forwarded-For: [2001:db8::1]:80", PROXY, "2001:db8::1"),
            ("X-Forwarded-For: [2001:db8::1]", PROXY, "2001:db8::1"),
            ("X-Forwarded-For: fe80::1%eth0", PROXY, PROXY),
            ("X-Forwarded-For: garbage, 1.2.3.4", PROXY, "1.2.3.4"),
            ("X-Forwarded-For: 1.2.3.4, garbage", PROXY, PROXY),
            ("X-Forwarded-For:", PROXY, PROXY),
            (&long, PROXY, "10.0.0.1"),
        ] {
            let client = client_address(
                &head(&["Host: a", line]),
                peer.parse().unwrap(),
                &access.trusted_proxies,
            );
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{line} from {peer}");
        }
    }
}
