//! Messages of PostgreSQL's protocol, version 3, and what a client asks by them.
//!
//! Statements are told apart by their first word, and several in one text by semicolons: what
//! stands in a literal is taken for a statement, too. Every `Sync` and every simple query has one
//! answer, which ends with `ReadyForQuery`; only a `Sync` during a COPY has none.

use std::collections::HashMap;

use super::protocol::{Answer, Found, Garbled, Message, Request};

/// Codes that a client may send in the place of a version.
const CANCEL: u32 = 80_877_102;
const ENCRYPT: [u32; 2] = [80_877_103, 80_877_104];

/// The state of one connection.
#[derive(Debug, Default)]
pub(super) struct Postgres {
    has_started: bool,
    /// The server's next byte says whether it will encrypt; it is no message.
    awaits_byte: bool,
    asked: u64,
    answered: u64,
    is_in_transaction: bool,
    /// Something was written outside of a transaction and is not yet committed.
    has_written: bool,
    /// The server wants data: since it said so until the client says that it was all.
    copy: Option<Copy>,
    /// The last thing asked was a simple query, whose answer ends without a `Sync`.
    is_simple: bool,
    /// Texts of prepared statements by name, and of portals.
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copy {
    Empty,
    HasData,
}

impl Postgres {
    pub(super) fn request(&mut self, bytes: &[u8]) -> Found<Request> {
        if !self.has_started {
            return self.startup(bytes);
        }
        let Some((kind, length)) = header(bytes)? else { return Ok(None) };
        // Of data nothing but its presence matters.
        let body = match bytes.get(5..length) {
            Some(body) => body,
            None if kind == b'd' => &[],
            None => return Ok(None),
        };
        let mut request = Request::default();
        match kind {
            b'Q' => {
                let sql = text(body).0;
                self.is_simple = true;
                self.asked += 1;
                request.commits = self.run(&sql) | self.commits_by_itself();
                request.sql = Some(sql);
            }
            b'P' => {
                let (name, sql) = two_texts(body);
                self.statements.insert(name.into_bytes(), sql);
            }
            b'B' => {
                let (portal, statement) = two_texts(body);
                let sql = self.statements.get(statement.as_bytes()).cloned().unwrap_or_default();
                self.portals.insert(portal.into_bytes(), sql);
            }
            b'E' => {
                self.is_simple = false;
                let sql = self.portals.get(text(body).0.as_bytes()).cloned().unwrap_or_default();
                request.commits = self.run(&sql);
                request.sql = Some(sql);
            }
            b'S' if self.copy.is_none() => {
                self.is_simple = false;
                self.asked += 1;
                request.commits = self.commits_by_itself();
            }
            b'F' => self.asked += 1,
            b'd' if self.copy == Some(Copy::Empty) => {
                self.copy = Some(Copy::HasData);
                request.begins_copy = true;
            }
            b'c' if self.copy.take().is_some() => {
                request.ends_copy = true;
                self.has_written |= !self.is_in_transaction;
                request.commits = self.is_simple && self.commits_by_itself();
            }
            b'f' => self.copy = None,
            _ => {}
        }
        // What is neither a `Sync` nor a query is answered by the `Sync` that follows.
        let is_counted = matches!(kind, b'Q' | b'S' | b'F') || self.is_simple;
        request.answer = self.asked - u64::from(is_counted);
        Ok(Some(Message { bytes: length, what: request }))
    }

    pub(super) fn answer(&mut self, bytes: &[u8]) -> Found<Answer> {
        let mut answer = Answer { number: self.answered, is_last: false };
        if self.awaits_byte {
            self.awaits_byte = bytes.is_empty();
            return Ok((!bytes.is_empty()).then_some(Message { bytes: 1, what: answer }));
        }
        let Some((kind, length)) = header(bytes)? else { return Ok(None) };
        match kind {
            b'Z' => {
                let Some(status) = bytes.get(5) else { return Ok(None) };
                answer.is_last = true;
                self.answered += 1;
                self.copy = None;
                if self.answered == self.asked {
                    self.is_in_transaction = *status != b'I';
                }
            }
            b'G' => {
                // The client will ask no more than the server has answered: a `Sync` that came
                // with the COPY is overheard.
                self.asked = self.answered + u64::from(self.is_simple);
                self.copy = Some(Copy::Empty);
                answer.is_last = true;
            }
            b'E' => (self.copy, self.has_written) = (None, false),
            _ => {}
        }
        Ok(Some(Message { bytes: length, what: answer }))
    }

    /// A client's first message has no kind; it may ask for encryption before it starts.
    fn startup(&mut self, bytes: &[u8]) -> Found<Request> {
        let Some(head) = bytes.first_chunk::<8>() else { return Ok(None) };
        let [length, code] = [0, 4]
            .map(|at| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        let length = length as usize;
        if !(8..10_000).contains(&length) {
            return Err(Garbled);
        }
        if bytes.len() < length {
            return Ok(None);
        }
        self.awaits_byte = ENCRYPT.contains(&code);
        self.has_started = !self.awaits_byte && code != CANCEL;
        self.asked += u64::from(self.has_started);
        Ok(Some(Message { bytes: length, what: Request::default() }))
    }

    /// Follows the statements of a text; true when one of them is a commit.
    fn run(&mut self, sql: &str) -> bool {
        let mut commits = false;
        for statement in sql.split(';') {
            let statement = statement.trim_start().to_ascii_uppercase();
            let first = statement.split(|c: char| !c.is_ascii_alphabetic()).next();
            match first.unwrap_or_default() {
                "BEGIN" | "START" => self.is_in_transaction = true,
                "COMMIT" | "END" => (self.is_in_transaction, commits) = (false, true),
                "ROLLBACK" | "ABORT" if !statement.contains(" TO ") => {
                    self.is_in_transaction = false;
                }
                "INSERT" | "UPDATE" | "DELETE" | "MERGE" => {
                    self.has_written |= !self.is_in_transaction;
                }
                _ => {}
            }
        }
        commits
    }

    /// True when the server commits now what was written outside of a transaction.
    fn commits_by_itself(&mut self) -> bool {
        std::mem::take(&mut self.has_written) && !self.is_in_transaction
    }
}

/// The kind of a message and its whole length.
fn header(bytes: &[u8]) -> Result<Option<(u8, usize)>, Garbled> {
    let Some(&[kind, a, b, c, d]) = bytes.first_chunk::<5>() else { return Ok(None) };
    let length = i32::from_be_bytes([a, b, c, d]);
    let length = usize::try_from(length).ok().filter(|length| *length >= 4).ok_or(Garbled)?;
    Ok(Some((kind, 1 + length)))
}

/// The text up to the first NUL, and what follows it.
fn text(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let rest = bytes.get(end + 1..).unwrap_or_default();
    (String::from_utf8_lossy(&bytes[..end]).into_owned(), rest)
}

fn two_texts(bytes: &[u8]) -> (String, String) {
    let (first, rest) = text(bytes);
    (first, text(rest).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("short");
        [&[kind], &length.to_be_bytes()[..], body].concat()
    }

    /// A session that has started, and has asked and heard nothing.
    fn session() -> Postgres {
        let mut postgres = Postgres::default();
        // Encryption is asked for and refused first.
        assert!(!asks(&mut postgres, &[0, 0, 0, 8, 4, 210, 22, 47]).commits);
        assert!(!hears(&mut postgres, b"N").is_last);
        asks(&mut postgres, &[0, 0, 0, 9, 0, 3, 0, 0, 0]);
        hears(&mut postgres, &message(b'R', &[0; 4]));
        assert!(hears(&mut postgres, &message(b'Z', b"I")).is_last);
        postgres
    }

    fn asks(postgres: &mut Postgres, bytes: &[u8]) -> Request {
        for cut in 0..bytes.len() {
            let is_data = bytes[0] == b'd' && cut >= 5;
            assert!(is_data || matches!(postgres.request(&bytes[..cut]), Ok(None)), "cut at {cut}");
        }
        let message = postgres.request(bytes).ok().flatten().expect("it is whole");
        assert_eq!(message.bytes, bytes.len());
        message.what
    }

    fn hears(postgres: &mut Postgres, bytes: &[u8]) -> Answer {
        let message = postgres.answer(bytes).ok().flatten().expect("it is whole");
        assert_eq!(message.bytes, bytes.len());
        message.what
    }

    #[test]
    fn a_copy_by_a_simple_query_commits_with_its_end() {
        let mut postgres = session();
        let query = asks(&mut postgres, &message(b'Q', b"COPY t FROM STDIN\0"));
        assert!(!query.commits);
        hears(&mut postgres, &message(b'G', &[0, 0, 0]));
        let data = message(b'd', b"1\n");
        assert!(asks(&mut postgres, &data).begins_copy);
        assert!(!asks(&mut postgres, &data).begins_copy);
        let end = asks(&mut postgres, &message(b'c', b""));
        assert!(end.ends_copy && end.commits && end.answer == query.answer);
        let done = hears(&mut postgres, &message(b'C', b"COPY 1\0"));
        assert_eq!((done.number, done.is_last), (end.answer, false));
        assert!(hears(&mut postgres, &message(b'Z', b"I")).is_last);
        assert!(asks(&mut postgres, &message(b'Q', b"insert into t values (1)\0")).commits);
    }

    #[test]
    fn a_sync_that_comes_with_a_copy_has_no_answer() {
        let mut postgres = session();
        asks(&mut postgres, &message(b'P', b"s\0COPY t FROM STDIN\0\0\0"));
        asks(&mut postgres, &message(b'B', b"\0s\0\0\0\0\0\0\0"));
        let execute = asks(&mut postgres, &message(b'E', b"\0\0\0\0\0"));
        assert_eq!(execute.sql.as_deref(), Some("COPY t FROM STDIN"));
        assert!(!asks(&mut postgres, &message(b'S', b"")).commits);
        let invited = hears(&mut postgres, &message(b'G', &[0, 0, 0]));
        assert!(invited.is_last && invited.number == execute.answer);
        asks(&mut postgres, &message(b'd', b"1\n"));
        assert!(!asks(&mut postgres, &message(b'S', b"")).commits);
        let end = asks(&mut postgres, &message(b'c', b""));
        let sync = asks(&mut postgres, &message(b'S', b""));
        assert!(end.ends_copy && !end.commits && sync.commits && sync.answer == end.answer);
        assert_eq!(hears(&mut postgres, &message(b'Z', b"I")).number, sync.answer);
    }
}
