//! The token that opens the page, and the cookie in which a browser keeps it.

use sha2::{Digest as _, Sha256};

use crate::secret::Secret;

/// What the cookie is called.
const COOKIE: &str = "pitwall_token";

/// A secret word. It is compared by digests, which tells nothing about where a wrong one differs.
#[derive(Clone)]
pub struct Token {
    /// The word, as it stands in the cookie.
    cookie: Secret,
    word_digest: [u8; 32],
    cookie_digest: [u8; 32],
}

impl Token {
    /// The token of this word.
    #[must_use]
    pub fn new(word: &Secret) -> Self {
        let cookie: String = word.expose().bytes().map(cookie_text).collect();
        Self {
            word_digest: digest(word.expose().as_bytes()),
            cookie_digest: digest(cookie.as_bytes()),
            cookie: Secret::new(cookie),
        }
    }

    /// True when this `Cookie` header holds the token.
    #[must_use]
    pub fn allows(&self, cookie_header: Option<&[u8]>) -> bool {
        let mut pairs = cookie_header.unwrap_or_default().split(|&byte| byte == b';');
        pairs.any(|pair| {
            let value = pair.trim_ascii().strip_prefix(COOKIE.as_bytes());
            let value = value.and_then(|rest| rest.strip_prefix(b"="));
            value.is_some_and(|value| is_same(&digest(value), &self.cookie_digest))
        })
    }

    /// True when it is this word.
    pub(super) fn is(&self, word: &[u8]) -> bool {
        is_same(&digest(word), &self.word_digest)
    }

    /// The value of `Set-Cookie`: scripts cannot read it, and other sites' pages do not send it.
    pub(super) fn cookie(&self) -> String {
        format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie.expose())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// A byte as it may stand in a cookie: what has a meaning there is written as `%` and two digits.
fn cookie_text(byte: u8) -> String {
    if byte.is_ascii_graphic() && !b"\",;\\%".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Looks at every byte, whichever is the first that differs.
fn is_same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.iter().zip(right).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::Token;
    use crate::secret::Secret;

    #[test]
    fn only_the_cookie_with_the_token_is_let_in() {
        let token = Token::new(&Secret::new("a-token-of-some-length"));
        let allows = |header: &str| token.allows(Some(header.as_bytes()));
        assert!(allows("pitwall_token=a-token-of-some-length"));
        assert!(allows("theme=dark; pitwall_token=a-token-of-some-length; x=y"));
        assert!(allows("pitwall_token=old;pitwall_token=a-token-of-some-length"));
        assert!(!allows("pitwall_token=a-token-of-some-lengt"));
        assert!(!allows("pitwall_token=A-token-of-some-length"));
        assert!(!allows("other_pitwall_token=a-token-of-some-length"));
        assert!(!allows("pitwall_token"));
        assert!(!allows(""));
        assert!(!token.allows(None));
    }

    #[test]
    fn a_token_with_signs_that_cookies_know_survives_the_cookie() {
        let token = Token::new(&Secret::new("a;b,c\"d\\e%f-and-some-more"));
        let cookie = token.cookie();
        let pair = cookie.split("; ").next().unwrap();
        assert_eq!(pair, "pitwall_token=a%3Bb%2Cc%22d%5Ce%25f-and-some-more");
        assert!(token.allows(Some(pair.as_bytes())));
        assert!(token.is(b"a;b,c\"d\\e%f-and-some-more"));
        assert!(!token.is(b"a%3Bb"));
    }

    #[test]
    fn a_token_is_not_printed() {
        assert_eq!(format!("{:?}", Token::new(&Secret::new("canary-canary-1"))), "Token(…)");
    }
}
