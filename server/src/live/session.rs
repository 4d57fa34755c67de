//! Who a viewer is: bound to its connection for life, shared by all connections of one cookie.

use std::fmt;

use sha2::{Digest, Sha256};

/// A whole `Cookie` header, never taken apart, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie(Box<[u8]>);

impl Cookie {
    /// Takes the bytes of the header in.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the request to Directus.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// True for a header that says nothing.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.0.trim_ascii().is_empty()
    }

    /// The SHA-256 of the bytes: the key under which an answer about it is kept. Two cookies with one
    /// key are not to be found, so nobody can make another's cookie look bad.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cookie(…)")
    }
}

/// What Directus said about who holds a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The user's id. Directus writes a uuid; nothing depends on that.
    pub user_id: Box<str>,
    /// The id of the role; may be absent.
    pub role: Option<Box<str>>,
    /// Kept only where Directus decides about events, since it is asked with it again.
    pub cookie: Option<Cookie>,
}

#[cfg(test)]
mod tests {
    use super::{Cookie, Session};

    #[test]
    fn t4_a_cookie_cannot_be_printed() {
        let cookie = Cookie::new(b"directus_session_token=canary");
        let session = Session { user_id: "u".into(), role: None, cookie: Some(cookie.clone()) };
        assert_eq!(format!("{cookie:?}"), "Cookie(…)");
        assert!(!format!("{session:?}").contains("canary"));
    }

    #[test]
    fn t13_the_key_of_a_cookie_depends_on_every_byte() {
        let key = Cookie::new(b"a=1; b=2").digest();
        for other in ["a=1; b=3", "a=1;b=2", "a=1; b=2 ", "", "b=2; a=1"] {
            assert_ne!(Cookie::new(other.as_bytes()).digest(), key, "{other}");
        }
    }
}
