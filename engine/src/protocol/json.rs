//! A strict reader of JSON by RFC 8259, for messages of a few hundred bytes.
//!
//! It builds nothing: short strings are unescaped into a [`ShortText`], everything else is checked
//! and passed over. It refuses what is not in the grammar (comments, trailing commas, NaN, a byte
//! order mark), strings that are no text, and nesting beyond [`MESSAGE_DEPTH_MAX`].

use super::refusal::Cause;
use super::text::ShortText;
use crate::limits::MESSAGE_DEPTH_MAX;

/// A value, as far as a request cares.
pub(super) enum Value {
    Text(Option<ShortText>),
    Other,
}

/// A place in one message.
pub(super) struct Json<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Json<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0, depth: 0 }
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
        mut member: impl FnMut(&mut Self, Option<ShortText>) -> Result<(), Cause>,
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
    pub(super) fn value(&mut self) -> Result<Value, Cause> {
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

    /// The text of a string, or `None` when it is too long to be kept.
    fn string(&mut self) -> Result<Option<ShortText>, Cause> {
        self.expect(b'"')?;
        let mut text = Some(ShortText::empty());
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.iter().take_while(|byte| !matches!(byte, 0..=0x1F | b'"' | b'\\'));
            let plain_bytes = plain.count();
            text = text.and_then(|text| pushed(text, &rest[..plain_bytes]));
            self.at += plain_bytes + 1;
            match rest.get(plain_bytes) {
                Some(b'"') => return Ok(text),
                Some(b'\\') => {
                    let character = self.escaped()?;
                    let mut buffer = [0; 4];
                    let bytes = character.encode_utf8(&mut buffer).as_bytes();
                    text = text.and_then(|text| pushed(text, bytes));
                }
                _ => return Err(Cause::Malformed),
            }
        }
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

fn pushed(mut text: ShortText, bytes: &[u8]) -> Option<ShortText> {
    text.push(bytes).then_some(text)
}
