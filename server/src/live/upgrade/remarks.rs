//! What the log says about the requests of strangers: little, each thing once, and cut short.

use std::net::IpAddr;

use super::Door;
use super::origin::is_trusted;
use super::request::elements;
use crate::http::Head;

/// What of a value that a stranger has sent stands in the log: enough to know it again.
const FOREIGN_BYTES_MAX: usize = 128;

/// A stranger's value as text, cut where it is too long.
pub(super) fn foreign(value: &[u8]) -> String {
    let cut = &value[..value.len().min(FOREIGN_BYTES_MAX)];
    let end = if cut.len() < value.len() { "…" } else { "" };
    format!("{}{end}", String::from_utf8_lossy(cut))
}

/// An operator who has forgotten the setting finds all clients counted as one.
pub(super) fn note_unknown_proxy(head: &Head, peer: IpAddr, door: &Door) {
    let is_unknown = head.all("x-forwarded-for").next().is_some()
        && !is_trusted(peer, &door.context.config.live.access.trusted_proxies);
    if is_unknown && door.meter.is_first_unknown_proxy() {
        let fields = [
            ("peer", peer.to_string()),
            ("effect", "All clients behind it count as one address.".to_owned()),
            ("remedy", "If it is your proxy, name it in LIVE_TRUSTED_PROXIES.".to_owned()),
        ];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        door.context.log.warn("X-Forwarded-For of an unknown proxy is ignored", &fields);
    }
}

/// A session cookie on its way in clear text can be read and used by whoever sees it pass.
pub(super) fn note_clear_text(head: &Head, peer: IpAddr, door: &Door) {
    let is_clear_text = is_trusted(peer, &door.context.config.live.access.trusted_proxies)
        && head.all("x-forwarded-proto").flat_map(elements).next().is_some_and(|proto| {
            !proto.eq_ignore_ascii_case(b"https") && !proto.eq_ignore_ascii_case(b"wss")
        });
    if is_clear_text && door.meter.is_first_clear_text() {
        let fields = [
            ("effect", "Cookies travel in clear: whoever sees them pass can use them."),
            ("remedy", "Let browsers reach the proxy by https and wss only."),
        ];
        door.context.log.warn("a proxy passes on connections without TLS", &fields);
    }
}

#[cfg(test)]
mod tests {
    use super::{FOREIGN_BYTES_MAX, foreign};

    #[test]
    fn t5_what_strangers_send_is_cut() {
        assert_eq!(foreign(b"https://race.example"), "https://race.example");
        assert_eq!(foreign(&[b'x'; FOREIGN_BYTES_MAX]), "x".repeat(FOREIGN_BYTES_MAX));
        let cut = foreign(&[b'x'; 1_000_000]);
        assert_eq!(cut, format!("{}…", "x".repeat(FOREIGN_BYTES_MAX)));
        // Cut within a character.
        assert!(foreign("x€".repeat(100).as_bytes()).ends_with('…'));
    }
}
