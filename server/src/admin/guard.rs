//! Who may see what is not for everybody on the admin listener.

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest as _, Sha256};

use super::http::Request;
use crate::secret::Secret;

/// Lets loopback peers in, and who has the token.
#[derive(Debug)]
pub(super) struct Guard {
    /// Digest of `ADMIN_TOKEN`: digests have one length, so comparing them tells nothing about the
    /// token's.
    token: Option<[u8; 32]>,
}

impl Guard {
    pub(super) fn new(token: Option<&Secret>) -> Self {
        let digest = |token: &Secret| Sha256::digest(token.expose()).into();
        Self { token: token.filter(|token| !token.expose().is_empty()).map(digest) }
    }

    /// Says why not.
    pub(super) fn admit(&self, request: &Request, peer: SocketAddr) -> Result<(), &'static str> {
        if self.has_token(request) || is_local(request, peer) {
            return Ok(());
        }
        Err(if self.token.is_some() {
            "This page is for loopback peers, or for requests with `Authorization: Bearer` and the \
             ADMIN_TOKEN."
        } else {
            "This page is for loopback peers. To read it from elsewhere set ADMIN_TOKEN and send it \
             as `Authorization: Bearer`."
        })
    }

    fn has_token(&self, request: &Request) -> bool {
        let (Some(expected), Some(given)) = (&self.token, &request.authorization) else {
            return false;
        };
        let Some(given) = given.expose().strip_prefix("Bearer ") else { return false };
        let given: [u8; 32] = Sha256::digest(given).into();
        // Every byte is looked at, whichever is the first that differs.
        expected.iter().zip(given).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

/// True when it comes from this machine, and not for somebody else: neither through a proxy, nor from
/// a web page whose name was made to lead here.
fn is_local(request: &Request, peer: SocketAddr) -> bool {
    let name = request.host.rsplit_once(':').map_or(request.host.as_str(), |(name, _port)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_own_name = name == "localhost" || name.is_empty() || name.parse::<IpAddr>().is_ok();
    peer.ip().to_canonical().is_loopback() && is_own_name && !request.is_forwarded
}

#[cfg(test)]
mod tests {
    use super::{Guard, Request, Secret};

    fn check(peer: &str, host: &str, bearer: &str, expected: bool) {
        let guard = Guard::new(Some(&Secret::new("wheel-17")));
        let request = Request {
            host: host.to_owned(),
            authorization: Some(Secret::new(bearer)),
            ..Request::default()
        };
        let is_in = guard.admit(&request, peer.parse().unwrap()).is_ok();
        assert_eq!(is_in, expected, "{peer} {host} {bearer}");
    }

    #[test]
    fn t34_loopback_peers_and_the_token_open_and_nothing_else_does() {
        check("127.0.0.1:5", "localhost:9090", "", true);
        check("127.0.0.9:5", "127.0.0.1:9090", "", true);
        check("[::1]:5", "[::1]:9090", "", true);
        check("[::ffff:127.0.0.1]:5", "", "", true);
        check("10.0.0.1:5", "localhost", "", false);
        check("10.0.0.1:5", "pitwall", "Bearer wheel-17", true);
        for bearer in ["wheel-17", "Bearer wheel-1", "Bearer wheel-177", "Bearer ", "bearer wheel"]
        {
            check("10.0.0.1:5", "pitwall", bearer, false);
        }
    }

    #[test]
    fn t36_a_page_whose_name_leads_to_loopback_is_not_a_loopback_peer() {
        check("127.0.0.1:5", "evil.example:9090", "", false);
        check("127.0.0.1:5", "localhost.evil.example", "", false);
    }

    #[test]
    fn t35_who_comes_through_a_proxy_on_this_machine_is_not_a_loopback_peer() {
        let request = Request { is_forwarded: true, ..Request::default() };
        let guard = Guard::new(None);
        assert!(guard.admit(&request, "127.0.0.1:5".parse().unwrap()).is_err());
    }

    #[test]
    fn an_empty_token_opens_nothing() {
        let guard = Guard::new(Some(&Secret::new("")));
        let authorization = Some(Secret::new("Bearer "));
        let request = Request { authorization, ..Request::default() };
        assert!(guard.admit(&request, "10.0.0.1:5".parse().unwrap()).is_err());
    }
}
