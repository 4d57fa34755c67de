//! What passes, taken apart into messages: requests of a client, answers of a server.

use super::postgres::Postgres;
use super::resp::Resp;

/// What is spoken over a connection.
#[derive(Debug)]
pub(super) enum Language {
    /// Bytes.
    Unknown,
    Postgres(Box<Postgres>),
    Redis(Resp),
}

/// Which language a proxy is made for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spoken {
    Unknown,
    Postgres,
    Redis,
}

/// One message of a client.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// The statement that is to be run.
    pub(super) sql: Option<String>,
    /// The words of a command of Redis.
    pub(super) words: Vec<Vec<u8>>,
    pub(super) commits: bool,
    pub(super) begins_copy: bool,
    pub(super) ends_copy: bool,
    /// The number of the answer that will tell the client of it.
    pub(super) answer: u64,
}

/// Whom a message of a server belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The number of the answer it is a part of.
    pub(super) number: u64,
    /// The client will not wait for more of it.
    pub(super) is_last: bool,
}

/// A message at the beginning of some bytes.
#[derive(Debug)]
pub(super) struct Message<T> {
    /// How long it is; more than there is when the rest need not be seen.
    pub(super) bytes: usize,
    pub(super) what: T,
}

/// What some bytes begin with.
pub(super) type Found<T> = Result<Option<Message<T>>, Garbled>;

/// Nobody can say where the next message begins.
#[derive(Debug)]
pub(super) struct Garbled;

impl Language {
    pub(super) fn new(spoken: Spoken) -> Self {
        match spoken {
            Spoken::Unknown => Self::Unknown,
            Spoken::Postgres => Self::Postgres(Box::default()),
            Spoken::Redis => Self::Redis(Resp::default()),
        }
    }

    /// The first message of a client; `None` when more of it must be seen.
    pub(super) fn request(&mut self, bytes: &[u8]) -> Found<Request> {
        match self {
            Self::Unknown => Ok(whole(bytes, Request::default())),
            Self::Postgres(postgres) => postgres.request(bytes),
            Self::Redis(resp) => resp.request(bytes),
        }
    }

    /// The first message of a server; `None` when more of it must be seen.
    pub(super) fn answer(&mut self, bytes: &[u8]) -> Found<Answer> {
        match self {
            Self::Unknown => Ok(whole(bytes, Answer { number: 0, is_last: false })),
            Self::Postgres(postgres) => postgres.answer(bytes),
            Self::Redis(resp) => resp.answer(bytes),
        }
    }
}

fn whole<T>(bytes: &[u8], what: T) -> Option<Message<T>> {
    (!bytes.is_empty()).then_some(Message { bytes: bytes.len(), what })
}
