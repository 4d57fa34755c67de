//! The head of an HTTP/1.1 request, read strictly: what two readers could understand in two ways is
//! refused, and so is everything that a viewer's browser or an operator's tool does not send.
//!
//! It holds what has come of the head and nothing else, at most [`HeadLimits::bytes_max`], looks at
//! each byte once however the head is cut, and refuses as soon as it sees why.

use std::fmt;
use std::ops::Range;

use super::Refusal;

/// How much a head may have.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes, the empty line included.
    pub bytes_max: usize,
    /// Header lines.
    pub headers_max: usize,
}

/// Reads one head.
pub struct HeadReader {
    limits: HeadLimits,
    bytes: Vec<u8>,
    /// Where the line begins that is being read.
    line_begin: usize,
    /// Method and target, once their line is whole.
    request: Option<(Range<usize>, Range<usize>)>,
    headers: Vec<Header>,
    /// Kept, so that bytes behind a broken head are never taken for another.
    refusal: Option<Refusal>,
}

/// What a proxy adds to requests that it passes on.
const PROXY_HEADERS: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"];

/// Where a header's name and its value lie.
type Header = (Range<usize>, Range<usize>);

/// A whole head, and what was sent behind it. Nothing of it is printed: it holds the cookie.
pub struct Head {
    bytes: Box<[u8]>,
    method: Range<usize>,
    target: Range<usize>,
    headers: Box<[Header]>,
    /// Bytes behind the head.
    pub rest: Vec<u8>,
}

const MALFORMED: Refusal = Refusal::new(400, "This is not a well-formed HTTP/1.1 request.");
const TOO_LARGE: Refusal = Refusal::new(431, "The head of the request is too large.");
const OTHER_VERSION: Refusal = Refusal::new(505, "Only HTTP/1.1 is spoken here.");

impl HeadReader {
    /// A reader of which nothing has been read.
    #[must_use]
    pub const fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            bytes: Vec::new(),
            line_begin: 0,
            request: None,
            headers: Vec::new(),
            refusal: None,
        }
    }

    /// Takes bytes in; gives the head when it is whole. After a head the reader is as new, after a
    /// refusal it stays with it.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<Option<Head>, Refusal> {
        let consumed = match self.refusal {
            Some(refusal) => Err(refusal),
            None => self.consume(input),
        };
        if let Err(refusal) = consumed {
            *self = Self::new(self.limits);
            self.refusal = Some(refusal);
        }
        Ok(consumed?.map(|count| self.finish(&input[count..])))
    }

    /// How many bytes belong to the head, if it is whole with them.
    fn consume(&mut self, input: &[u8]) -> Result<Option<usize>, Refusal> {
        for (at, &byte) in input.iter().enumerate() {
            if self.bytes.len() >= self.limits.bytes_max {
                return Err(TOO_LARGE);
            }
            let follows_return = self.bytes.last() == Some(&b'\r');
            if follows_return != (byte == b'\n') || is_forbidden(byte) {
                return Err(MALFORMED);
            }
            self.bytes.push(byte);
            if byte == b'\n' && self.end_line()? {
                return Ok(Some(at + 1));
            }
        }
        Ok(None)
    }

    /// True when the line that has ended was the empty one behind the head.
    fn end_line(&mut self) -> Result<bool, Refusal> {
        let line = self.line_begin..self.bytes.len() - 2;
        self.line_begin = self.bytes.len();
        if self.request.is_none() {
            // An empty line here has no meaning that all readers share.
            self.request = Some(request_line(&self.bytes, line)?);
            return Ok(false);
        }
        if line.is_empty() {
            return Ok(true);
        }
        if self.headers.len() >= self.limits.headers_max {
            return Err(TOO_LARGE);
        }
        self.headers.push(header(&self.bytes, line)?);
        Ok(false)
    }

    fn finish(&mut self, rest: &[u8]) -> Head {
        let Self { bytes, request, headers, .. } = std::mem::replace(self, Self::new(self.limits));
        let (method, target) = request.expect("the first line of a whole head is its request line");
        Head { bytes: bytes.into(), method, target, headers: headers.into(), rest: rest.to_vec() }
    }
}

impl fmt::Debug for HeadReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.len();
        formatter.debug_struct("HeadReader").field("bytes", &bytes).finish_non_exhaustive()
    }
}

impl Head {
    /// The method, in upper case.
    #[must_use]
    pub fn method(&self) -> &str {
        self.text(&self.method)
    }

    /// What is asked for, as sent.
    #[must_use]
    pub fn target(&self) -> &str {
        self.text(&self.target)
    }

    /// The values of all header lines of this name, in lower case, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        let is_named =
            move |(own, _): &&Header| self.bytes[own.clone()].eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().filter(is_named).map(|(_, value)| &self.bytes[value.clone()])
    }

    /// The value of a header that may come once; twice is refused.
    pub fn once<'a>(&'a self, name: &'a str) -> Result<Option<&'a [u8]>, Refusal> {
        let mut values = self.all(name);
        let value = values.next();
        if values.next().is_some() { Err(MALFORMED) } else { Ok(value) }
    }

    /// True when a proxy has passed it on: whoever is at the other end speaks for somebody else.
    #[must_use]
    pub fn is_forwarded(&self) -> bool {
        PROXY_HEADERS.iter().any(|name| self.all(name).next().is_some())
    }

    fn text(&self, range: &Range<usize>) -> &str {
        std::str::from_utf8(&self.bytes[range.clone()]).expect("the request line is visible ASCII")
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.headers.len();
        formatter.debug_struct("Head").field("headers", &count).finish_non_exhaustive()
    }
}

/// Control characters but the tabulator and the two that end lines.
const fn is_forbidden(byte: u8) -> bool {
    matches!(byte, 0..=8 | 11 | 12 | 14..=31 | 127)
}

fn request_line(bytes: &[u8], line: Range<usize>) -> Result<(Range<usize>, Range<usize>), Refusal> {
    let text = &bytes[line.clone()];
    let mut parts = text.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(MALFORMED);
    };
    let is_method = !method.is_empty() && method.iter().all(u8::is_ascii_uppercase);
    let is_target = !target.is_empty() && target.iter().all(u8::is_ascii_graphic);
    if !is_method || !is_target {
        return Err(MALFORMED);
    }
    match version {
        b"HTTP/1.1" => {}
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(OTHER_VERSION);
        }
        _ => return Err(MALFORMED),
    }
    let method = line.start..line.start + method.len();
    let target = method.end + 1..method.end + 1 + target.len();
    Ok((method, target))
}

/// A header line: a token, a colon right behind it, a value without the spaces around it. A line that
/// begins with a space has no token, so folded lines are refused.
fn header(bytes: &[u8], line: Range<usize>) -> Result<Header, Refusal> {
    let text = &bytes[line.clone()];
    let colon = text.iter().position(|&byte| byte == b':').ok_or(MALFORMED)?;
    if colon == 0 || !text[..colon].iter().copied().all(is_token) {
        return Err(MALFORMED);
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = &text[colon + 1..];
    let before = value.iter().take_while(|byte| is_space(byte)).count();
    let after = value[before..].iter().rev().take_while(|byte| is_space(byte)).count();
    let name = line.start..line.start + colon;
    Ok((name, line.start + colon + 1 + before..line.end - after))
}

/// The characters of a token, RFC 9110, 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests;
