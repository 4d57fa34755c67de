//! A strict reader of JSON by RFC 8259, for messages of a few hundred bytes.
//!
//! It builds nothing: a string is borrowed from the message or, if it has escapes, unescaped into a
//! [`ShortText`]; everything else is checked and passed over. It refuses what is not in the grammar (comments, trailing commas, NaN, a byte
//! order mark), strings that are no text, and nesting beyond [`MESSAGE_DEPTH_MAX`].

use super::refusal::Cause;
use super::text::ShortText;
use crate::limits::MESSAGE_DEPTH_MAX;

/// A value, as far as a request cares.
pub(super) enum Value<'a> {
    Text(Text<'a>),
    Other,
}

/// A string.
pub(super) enum Text<'a> {
    /// It stands in the message as it is.
    Plain(&'a str),
    /// It had escapes; `None` when it is longer than any text we keep.
    Unescaped(Option<ShortText>),
}

impl Text<'_> {
    /// The text, unless it had escapes and is too long.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Unescaped(text) => text.as_ref().map(ShortText::as_str),
        }
    }
}

/// A place in one message.
pub(super) struct Json<'a> {
    message: &'a str,
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Json<'a> {
    pub(super) const fn new(message: &'a str) -> Self {
        Self { message, text: message.as_bytes(), at: 0, depth: 0 }
    }

    /// The next byte that is no white space, not yet used.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), Cause> {
        if self.peek().is_some() { Err(Cause::Malformed) } else { Ok(()) }
    }

    /// One object; `member` is called behind each key and must read the value.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Text<'a>) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        self.list(b'{', b'}', |json| {
            if json.peek() != Some(b'"') {
                return Err(Cause::Malformed);
            }
            let key = json.string()?;
            json.expect(b':')?;
            member(json, key)
        })
    }

    /// One value of any kind.
    pub(super) fn value(&mut self) -> Result<Value<'a>, Cause> {
        match self.peek() {
            Some(b'"') => return self.string().map(Value::Text),
            Some(b'{') => self.object(|json, _| json.value().map(drop))?,
            Some(b'[') => self.list(b'[', b']', |json| json.value().map(drop))?,
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            _ => self.number()?,
        }
        Ok(Value::Other)
    }

    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        self.expect(open)?;
        if self.depth == MESSAGE_DEPTH_MAX {
            return Err(Cause::TooDeep);
        }
        self.depth += 1;
        if self.peek() != Some(close) {
            item(self)?;
            while self.peek() == Some(b',') {
                self.at += 1;
                item(self)?;
            }
        }
        self.depth -= 1;
        self.expect(close)
    }

    fn string(&mut self) -> Result<Text<'a>, Cause> {
        self.expect(b'"')?;
        let plain = self.plain();
        if self.text.get(self.at) == Some(&b'"') {
            self.at += 1;
            return Ok(Text::Plain(plain));
        }
        let mut text = ShortText::new(plain);
        loop {
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text::Unescaped(text));
                }
                Some(b'\\') => {
                    self.at += 1;
                    let mut buffer = [0; 4];
                    let character: &str = self.escaped()?.encode_utf8(&mut buffer);
                    text = text.and_then(|text| text.followed_by(character));
                }
                _ => return Err(Cause::Malformed),
            }
            let plain = self.plain();
            text = text.and_then(|text| text.followed_by(plain));
        }
    }

    /// Passes over what stands for itself in a string.
    fn plain(&mut self) -> &'a str {
        let from = self.at;
        let rest = &self.text[from..];
        let end = rest.iter().position(|byte| matches!(byte, 0..=0x1F | b'"' | b'\\'));
        self.at += end.unwrap_or(rest.len());
        &self.message[from..self.at]
    }

    /// The character behind a backslash.
    fn escaped(&mut self) -> Result<char, Cause> {
        let Some(&byte) = self.text.get(self.at) else { return Err(Cause::Malformed) };
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' => Ok(char::from(byte)),
            b'b' => Ok('\u{8}'),
            b'f' => Ok('\u{c}'),
            b'n' => Ok('\n'),
            b'r' => Ok('\r'),
            b't' => Ok('\t'),
            b'u' => {
                let first = self.code_unit()?;
                if !matches!(first, 0xD800..=0xDBFF) {
                    return char::from_u32(first).ok_or(Cause::Malformed);
                }
                self.exactly(b"\\u")?;
                let second = self.code_unit()?;
                if !matches!(second, 0xDC00..=0xDFFF) {
                    return Err(Cause::Malformed);
                }
                let code_point = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                char::from_u32(code_point).ok_or(Cause::Malformed)
            }
            _ => Err(Cause::Malformed),
        }
    }

    /// Four hexadecimal digits.
    fn code_unit(&mut self) -> Result<u32, Cause> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.text.get(self.at).and_then(|&byte| char::from(byte).to_digit(16));
            unit = unit << 4 | digit.ok_or(Cause::Malformed)?;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), Cause> {
        self.at += usize::from(self.text.get(self.at) == Some(&b'-'));
        if self.text.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Cause> {
        let rest = &self.text[self.at..];
        let digit_bytes = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digit_bytes;
        if digit_bytes == 0 { Err(Cause::Malformed) } else { Ok(()) }
    }

    /// `true`, `false` or `null`. A letter behind it is caught where a comma or an end is expected.
    fn word(&mut self, word: &[u8]) -> Result<(), Cause> {
        self.exactly(word)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Cause> {
        self.peek();
        self.exactly(&[byte])
    }

    fn exactly(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        if !self.text[self.at..].starts_with(bytes) {
            return Err(Cause::Malformed);
        }
        self.at += bytes.len();
        Ok(())
    }
}
