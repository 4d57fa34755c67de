//! Commands of Redis and its replies, found in a stream of bytes.
//!
//! Every command has one reply, in order. Subscriptions and `MONITOR` break that rule and are not
//! understood; what Redis pushes unasked in version 3 of the protocol is no reply.

use super::protocol::{Answer, Found, Garbled, Message, Request};

/// The state of one connection.
#[derive(Debug, Default)]
pub(super) struct Resp {
    asked: u64,
    answered: u64,
}

impl Resp {
    pub(super) fn request(&mut self, bytes: &[u8]) -> Found<Request> {
        let Some((line, mut at)) = line(bytes)? else { return Ok(None) };
        let mut words = Vec::new();
        if line.first() == Some(&b'*') {
            for _ in 0..number(&line[1..])? {
                let Some((header, skipped)) = self::line(&bytes[at..])? else { return Ok(None) };
                let length = header.strip_prefix(b"$").map(number).ok_or(Garbled)??;
                at += skipped;
                let Some(word) = bytes.get(at..at + length) else { return Ok(None) };
                words.push(word.to_vec());
                at += length + 2;
                if at > bytes.len() {
                    return Ok(None);
                }
            }
        } else {
            words.extend(line.split(|&byte| byte == b' ').map(<[u8]>::to_vec));
        }
        let request = Request { words, answer: self.asked, ..Request::default() };
        self.asked += 1;
        Ok(Some(Message { bytes: at, what: request }))
    }

    pub(super) fn answer(&mut self, bytes: &[u8]) -> Found<Answer> {
        let Some(length) = value_bytes(bytes)? else { return Ok(None) };
        let is_last = bytes[0] != b'>';
        let answer = Answer { number: self.answered, is_last };
        self.answered += u64::from(is_last);
        Ok(Some(Message { bytes: length, what: answer }))
    }
}

/// The length of the value that these bytes begin with, whatever is nested in it.
fn value_bytes(bytes: &[u8]) -> Result<Option<usize>, Garbled> {
    let (mut at, mut values_left) = (0, 1);
    while values_left > 0 {
        let Some((line, skipped)) = line(&bytes[at..])? else { return Ok(None) };
        let (kind, rest) = line.split_first().ok_or(Garbled)?;
        let length = || if rest == b"-1" { Ok(None) } else { number(rest).map(Some) };
        at += skipped;
        values_left -= 1;
        match kind {
            b'$' | b'=' | b'!' => at += length()?.map_or(0, |length| length + 2),
            b'*' | b'~' | b'>' => values_left += length()?.unwrap_or(0),
            b'%' => values_left += 2 * length()?.unwrap_or(0),
            // Attributes stand before the value that they belong to.
            b'|' => values_left += 2 * length()?.unwrap_or(0) + 1,
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {}
            _ => return Err(Garbled),
        }
        if at > bytes.len() {
            return Ok(None);
        }
    }
    Ok(Some(at))
}

/// The first line without its end, and what it takes with it.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Garbled> {
    const LINE_BYTES_MAX: usize = 64 * 1024;
    match bytes.windows(2).take(LINE_BYTES_MAX).position(|part| part == b"\r\n") {
        Some(length) => Ok(Some((&bytes[..length], length + 2))),
        None if bytes.len() > LINE_BYTES_MAX => Err(Garbled),
        None => Ok(None),
    }
}

/// A length or a count; Redis has none that does not fit 32 bits.
fn number(text: &[u8]) -> Result<usize, Garbled> {
    let number: u32 =
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Garbled)?;
    usize::try_from(number).map_err(|_| Garbled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The replies in these bytes, which end with a whole one; cut anywhere, they are the same.
    fn check(bytes: &[u8], expected: &[(usize, bool)]) {
        for cut in 0..=bytes.len() {
            let (mut resp, mut found, mut at) = (Resp::default(), Vec::new(), 0);
            for end in [cut, bytes.len()] {
                while let Some(message) = resp.answer(&bytes[at..end]).expect("it is no garbage") {
                    found.push((message.bytes, message.what.is_last));
                    at += message.bytes;
                }
            }
            assert_eq!(found, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_reply_ends_where_its_innermost_value_does() {
        check(b"+OK\r\n:1\r\n-ERR no\r\n", &[(5, true), (4, true), (9, true)]);
        check(b"$-1\r\n*-1\r\n$0\r\n\r\n_\r\n", &[(5, true), (5, true), (6, true), (3, true)]);
        check(b"*2\r\n*2\r\n$1\r\na\r\n*0\r\n%1\r\n+a\r\n,1.5\r\n", &[(33, true)]);
        check(b">1\r\n+a\r\n|1\r\n+a\r\n+b\r\n:7\r\n", &[(8, false), (16, true)]);
    }

    #[test]
    fn a_command_is_found_with_its_words_however_it_is_cut() {
        let bytes = b"*2\r\n$4\r\nXACK\r\n$3\r\na\r\n\r\nPING\r\n";
        for cut in 0..=bytes.len() {
            let (mut resp, mut found, mut at) = (Resp::default(), Vec::new(), 0);
            for end in [cut, bytes.len()] {
                while let Some(message) = resp.request(&bytes[at..end]).expect("it is no garbage") {
                    found.push((message.what.words, message.what.answer));
                    at += message.bytes;
                }
            }
            let expected =
                [(vec![b"XACK".to_vec(), b"a\r\n".to_vec()], 0), (vec![b"PING".to_vec()], 1)];
            assert_eq!(found, expected, "cut at {cut}");
        }
    }
}
