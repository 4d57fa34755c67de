//! A host and a port, as they stand in `Host` and behind the scheme of an `Origin`.

/// Longest host, as in DNS.
const HOST_BYTES_MAX: usize = 255;

/// A host and, when it is written, its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// A name or an address as it was written; one of version 6 with its brackets.
    pub host: &'a str,
    /// The port, when it was written.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host`, `host:port`, `[address]` or `[address]:port`. Nobody's name stands before it.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let host_end = match text.strip_prefix('[') {
            Some(rest) => {
                let inner_bytes = rest.find(']')?;
                rest[..inner_bytes].parse::<std::net::Ipv6Addr>().ok()?;
                inner_bytes + 2
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let is_name_byte =
                    |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
                if end == 0 || !text.as_bytes()[..end].iter().copied().all(is_name_byte) {
                    return None;
                }
                end
            }
        };
        let (host, rest) = text.split_at(host_end);
        let port = match rest.strip_prefix(':') {
            Some(digits) => Some(parse_port(digits)?),
            None if rest.is_empty() => None,
            None => return None,
        };
        (host.len() <= HOST_BYTES_MAX).then_some(Self { host, port })
    }
}

/// Digits only: the parser of the standard library would take a sign.
fn parse_port(digits: &str) -> Option<u16> {
    let is_plain = digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::Authority;

    fn check(text: &str, expected: Option<(&str, Option<u16>)>) {
        let parsed = Authority::parse(text.as_bytes()).map(|it| (it.host, it.port));
        assert_eq!(parsed, expected, "{text:?}");
    }

    #[test]
    fn d3_8_names_addresses_and_ports_are_taken_apart() {
        check("live.example.org", Some(("live.example.org", None)));
        check("live.example.org.", Some(("live.example.org.", None)));
        check("localhost:8081", Some(("localhost", Some(8081))));
        check("127.0.0.1:0", Some(("127.0.0.1", Some(0))));
        check("[::1]", Some(("[::1]", None)));
        check("[::1]:443", Some(("[::1]", Some(443))));
        check("under_score.example", Some(("under_score.example", None)));
    }

    #[test]
    fn d3_8_anything_else_is_no_authority() {
        for text in [
            "",
            ":80",
            "a:",
            "a:+1",
            "a:-1",
            "a:65536",
            "a:000080",
            "a:8 0",
            "a b",
            "user@a",
            "a/b",
            "a?b",
            "a#b",
            "a,b",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[::1%eth0]",
            "[a]",
            "ä",
            "a\0",
        ] {
            check(text, None);
        }
        check(&"a".repeat(256), None);
    }
}
