//! What is answered to a request: a status, a few header lines, a body; the connection closes.

use std::fmt::Write as _;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// One plain sentence for whoever sent it.
    pub sentence: &'static str,
    /// The methods that are answered, for one that is not.
    methods: &'static str,
}

impl Refusal {
    /// A refusal with this status and sentence.
    #[must_use]
    pub const fn new(status: u16, sentence: &'static str) -> Self {
        Self { status, sentence, methods: "GET" }
    }

    /// A refusal of a request's method, with those that would be answered.
    #[must_use]
    pub const fn of_method(sentence: &'static str, methods: &'static str) -> Self {
        Self { status: 405, sentence, methods }
    }
}

/// An answer that ends the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    content_type: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

impl Answer {
    /// An answer with a body of this type.
    #[must_use]
    pub const fn new(status: u16, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, headers: Vec::new(), body }
    }

    /// Adds a header line.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The bytes to send.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        let mut text = String::with_capacity(256 + self.body.len());
        let (status, length) = (self.status, self.body.len());
        let content_type = self.content_type;
        write!(
            text,
            "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n",
            phrase(status)
        )
        .expect("text grows");
        for (name, value) in self.headers {
            write!(text, "{name}: {value}\r\n").expect("text grows");
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        text.into_bytes()
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let body = format!("{}\n", refusal.sentence);
        let answer = Self::new(refusal.status, "text/plain; charset=utf-8", body);
        match refusal.status {
            405 => answer.with("Allow", refusal.methods),
            426 => answer.with("Upgrade", "websocket").with("Sec-WebSocket-Version", "13"),
            _ => answer,
        }
    }
}

const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Answer",
    }
}
