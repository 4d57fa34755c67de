//! An answer with a body that nobody copies: a file in the program, or bytes that are shared.

use std::fmt::Write as _;
use std::sync::Arc;

use super::Method;
use super::places::Place;

/// A body that is not longer leaves with the head in one piece, into the kernel's buffer, and waits
/// for nobody.
const SHORT_BYTES_MAX: usize = 1_024;

/// Header lines that every answer has: it is what it says it is, it tells no other site where its
/// reader is, and no other site's page may use or frame it.
const USUAL: &str = "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n\
    Connection: close\r\n";

/// An answer on its way.
#[derive(Debug)]
pub struct Reply {
    head: String,
    is_kept: bool,
    body: Body,
    /// Its place among those that are delivered, given back with the last byte. None for a short one.
    pub(super) place: Option<Place>,
}

#[derive(Debug)]
enum Body {
    None,
    Static(&'static [u8]),
    Shared(Arc<[u8]>),
}

impl Reply {
    /// A file of the program.
    pub(super) fn file(content_type: &str, bytes: &'static [u8]) -> Self {
        Self::new(200, "OK", content_type, Body::Static(bytes))
    }

    /// Bytes that change from time to time.
    pub(super) fn data(content_type: &str, bytes: Arc<[u8]>) -> Self {
        Self::new(200, "OK", content_type, Body::Shared(bytes))
    }

    /// A sentence about why there is nothing else.
    pub(super) fn words(status: u16, words: &'static str) -> Self {
        let phrase = if status == 401 { "Unauthorized" } else { "Not Found" };
        Self::new(status, phrase, "text/plain; charset=utf-8", Body::Static(words.as_bytes()))
    }

    /// It is done, or known already: there is nothing to say.
    pub(super) fn nothing(status: u16) -> Self {
        let phrase = if status == 304 { "Not Modified" } else { "No Content" };
        let head = format!("HTTP/1.1 {status} {phrase}\r\n");
        Self { head, is_kept: false, body: Body::None, place: None }
    }

    fn new(status: u16, phrase: &str, content_type: &str, body: Body) -> Self {
        let mut head = format!("HTTP/1.1 {status} {phrase}\r\nContent-Type: {content_type}\r\n");
        let length = body.bytes().len();
        write!(head, "Content-Length: {length}\r\n").expect("text grows");
        Self { head, is_kept: false, body, place: None }
    }

    /// Adds a header line.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.is_kept |= name == "Cache-Control";
        write!(self.head, "{name}: {value}\r\n").expect("text grows");
        self
    }

    /// The whole answer.
    pub(super) fn finished(mut self, method: Method) -> Self {
        if !self.is_kept {
            self.head.push_str("Cache-Control: no-store\r\n");
        }
        self.head.push_str(USUAL);
        self.head.push_str("\r\n");
        if method == Method::Head {
            self.body = Body::None;
        }
        self
    }

    /// True when it may take a while until it is sent.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.body.bytes().len() > SHORT_BYTES_MAX
    }

    /// The bytes to send first, and those to send behind them.
    #[must_use]
    pub fn parts(&self) -> (&[u8], &[u8]) {
        (self.head.as_bytes(), self.body.bytes())
    }
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Static(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}
