//! Who a viewer is: bound to its connection for life, shared by all connections of one cookie.

use std::fmt;

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
