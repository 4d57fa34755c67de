//! The live page of the listener for viewers: what it cannot learn from `/ws-live`, and who may.

use std::sync::Arc;

use tokio::sync::watch;

use crate::secret::Secret;

/// The cookie that carries the token.
const COOKIE: &[u8] = b"pitwall_token";

/// What the page is made of beside its files.
#[derive(Clone, Debug)]
pub struct Page {
    /// The bytes of `/page.json`, finished.
    pub data: watch::Receiver<Arc<[u8]>>,
    /// Who may see it; without one everybody who can connect.
    pub token: Option<Token>,
}

/// The one word that opens the door of a process without a platform.
#[derive(Clone, Debug)]
pub struct Token(Secret);

impl Token {
    /// Takes the word in.
    #[must_use]
    pub fn new(word: &Secret) -> Self {
        Self(word.clone())
    }

    /// True when a `Cookie` header carries the token. It takes as long whatever the header says.
    #[must_use]
    pub fn allows(&self, cookie_header: Option<&[u8]>) -> bool {
        let cookies = cookie_header.unwrap_or_default().split(|&byte| byte == b';');
        let mut values = cookies.filter_map(|cookie| {
            let cookie = cookie.trim_ascii();
            cookie.strip_prefix(COOKIE)?.strip_prefix(b"=")
        });
        values.any(|value| is_equal(value, self.0.expose().as_bytes()))
    }
}

/// Compares every byte, so that the time tells nothing about where two words differ.
fn is_equal(left: &[u8], right: &[u8]) -> bool {
    let differs = left.iter().zip(right).fold(0, |differs, (left, right)| differs | (left ^ right));
    left.len() == right.len() && std::hint::black_box(differs) == 0
}

#[cfg(test)]
mod tests {
    use super::Token;
    use crate::secret::Secret;

    #[test]
    fn only_the_whole_token_in_its_own_cookie_is_allowed() {
        let token = Token::new(&Secret::new("0123456789abcdef"));
        for (header, expected) in [
            ("pitwall_token=0123456789abcdef", true),
            ("a=b; pitwall_token=0123456789abcdef ;c", true),
            ("pitwall_token=0123456789abcde", false),
            ("pitwall_token=0123456789abcdefg", false),
            ("xpitwall_token=0123456789abcdef", false),
            ("pitwall_token", false),
            ("", false),
        ] {
            assert_eq!(token.allows(Some(header.as_bytes())), expected, "{header}");
        }
        assert!(!token.allows(None));
    }
}
