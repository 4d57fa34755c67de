//! What PostgreSQL refuses, sorted by what is to be done about it.

use std::error::Error as _;
use std::{fmt, io};

use tokio_postgres::error::SqlState;

/// What a refusal calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It passes: the same again, on a new connection if need be.
    Transient,
    /// The server is there and cannot work: wait.
    Outage,
    /// Tables, rights or settings are not as they must be: somebody has to change something.
    Schema,
    /// What was asked or sent is at fault, whatever the server does.
    Poison,
    /// A row was there although such rows were to be left out: again, and then one by one.
    Conflict,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Transient, Self::Outage, Self::Schema, Self::Poison, Self::Conflict];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Outage => "outage",
            Self::Schema => "schema",
            Self::Poison => "poison",
            Self::Conflict => "conflict",
        }
    }

    /// What an operator can do.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Transient => {
                "See that PostgreSQL runs and that POSTGRES_URL leads to it; it is tried again by \
                 itself."
            }
            Self::Outage => {
                "Look into PostgreSQL's own log: its disk may be full, or it may be a standby; it \
                 is tried again by itself."
            }
            Self::Schema => {
                "Run `pitwall check`: it names the table, the right or the setting that is not as \
                 it must be."
            }
            Self::Poison => "Report this: pitwall sent what it should not send.",
            Self::Conflict => {
                "Look into PostgreSQL's own log: a unique index or a compressed chunk may be broken."
            }
        }
    }
}

/// SQLSTATEs and what they call for. The longest beginning that fits counts.
const CLASSES: [(&str, Class); 26] = [
    ("08", Class::Transient),
    ("40", Class::Transient),
    ("53200", Class::Transient),
    ("53300", Class::Transient),
    ("55", Class::Transient),
    ("57", Class::Transient),
    ("25", Class::Outage),
    ("53", Class::Outage),
    ("58", Class::Outage),
    ("F0", Class::Outage),
    ("XX", Class::Outage),
    ("0A", Class::Schema),
    ("26", Class::Schema),
    ("28", Class::Schema),
    ("2B", Class::Schema),
    ("3D", Class::Schema),
    ("3F", Class::Schema),
    ("42", Class::Schema),
    ("HV", Class::Schema),
    ("P0", Class::Schema),
    // What a trigger says of a row that it does not like.
    ("P0001", Class::Poison),
    ("21", Class::Poison),
    ("22", Class::Poison),
    ("23", Class::Poison),
    ("23505", Class::Conflict),
    ("54", Class::Poison),
];

/// What a SQLSTATE calls for; an unknown one is waited out.
fn classify(code: &str) -> Class {
    CLASSES
        .iter()
        .filter(|(beginning, _)| code.starts_with(beginning))
        .max_by_key(|(beginning, _)| beginning.len())
        .map_or(Class::Outage, |&(_, class)| class)
}

/// Why PostgreSQL did not answer. Its words hold no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseError {
    /// What it calls for.
    pub class: Class,
    /// The SQLSTATE, when the server itself has spoken.
    pub code: Option<SqlState>,
    /// What is the case.
    pub words: String,
    /// Our own deadline has passed.
    pub(crate) is_deadline: bool,
}

impl DatabaseError {
    /// An error of our own side of the connection.
    pub(crate) fn local(class: Class, words: &str) -> Self {
        Self { class, code: None, words: words.to_owned(), is_deadline: false }
    }

    /// The server did not answer in time.
    pub(crate) fn deadline(within_ms: u64) -> Self {
        let words = format!("PostgreSQL did not answer within {within_ms} ms.");
        Self { is_deadline: true, ..Self::local(Class::Transient, &words) }
    }

    /// True when the session cannot be used any more, whether or not its end was seen yet.
    pub(crate) fn ends_session(&self) -> bool {
        match &self.code {
            Some(code) => code.code().starts_with("08") || code.code().starts_with("57P"),
            None => self.class == Class::Transient,
        }
    }

    /// True when it was too much for the time there was: less may work.
    pub(crate) fn took_too_long(&self) -> bool {
        match &self.code {
            Some(code) => *code == SqlState::QUERY_CANCELED,
            None => self.is_deadline,
        }
    }

    /// True when the server has forgotten a prepared statement, or its result looks different now.
    pub(super) fn outdates_statement(&self) -> bool {
        let stale = [SqlState::FEATURE_NOT_SUPPORTED, SqlState::INVALID_SQL_STATEMENT_NAME];
        self.code.as_ref().is_some_and(|code| stale.contains(code))
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(refusal) = error.as_db_error() {
            let code = refusal.code().clone();
            let words = format!("PostgreSQL says {}: {}", code.code(), refusal.message());
            return Self {
                class: classify(code.code()),
                code: Some(code),
                words,
                is_deadline: false,
            };
        }
        let mut words = error.to_string();
        // What is neither the server's word nor the network's is a setting or a type that differs.
        let mut class = if error.is_closed() { Class::Transient } else { Class::Schema };
        let mut cause = error.source();
        while let Some(inner) = cause {
            if inner.is::<io::Error>() {
                class = Class::Transient;
            }
            words.push_str(": ");
            words.push_str(&inner.to_string());
            cause = inner.source();
        }
        Self { class, code: None, words, is_deadline: false }
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words)
    }
}

impl std::error::Error for DatabaseError {}

#[cfg(test)]
mod tests {
    use super::{CLASSES, Class, classify};

    #[test]
    fn every_sqlstate_calls_for_what_the_table_says() {
        let table = [
            ("08006 40001 40P01 55P03 57014 57P01 57P02 57P03 57P04 53300 53200", Class::Transient),
            ("53100 58030 25006 XX000 XX001 XX002 99999", Class::Outage),
            ("42P01 42703 42804 42P10 42501 3D000 3F000 28P01 28000 42883", Class::Schema),
            ("22003 22008 22021 22P02 22P05 23502 23514 54000 54001 21000 P0001", Class::Poison),
            ("23505", Class::Conflict),
        ];
        for (codes, class) in table {
            for code in codes.split(' ') {
                assert_eq!(classify(code), class, "{code}");
            }
        }
    }

    #[test]
    fn no_beginning_stands_twice() {
        for (at, (beginning, _)) in CLASSES.iter().enumerate() {
            assert!(CLASSES[at + 1..].iter().all(|(other, _)| other != beginning), "{beginning}");
        }
    }
}
