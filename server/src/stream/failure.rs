//! What a failure in speaking with Redis calls for: its class, and words for people.

use std::{fmt, io};

use super::reply::Malformed;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The connection is of no use any more: cut, silent for too long, or without sense. Connect
    /// again, after a while.
    Cut,
    /// Redis cannot do it now. Try again, after a while.
    Later,
    /// This server may not do it; another one may. Connect again and resolve the name anew.
    Elsewhere,
    /// The group, or its stream, is gone. Create it again, after a while.
    GroupLost,
    /// The group is there already, which was wanted.
    GroupExists,
    /// Only a person can help: hold, say so, look again from time to time.
    Hold,
    /// This Redis is a cluster, which this version does not know.
    Clustered,
}

/// Classes by the first word of an error. A word that is not here means [`Class::Later`].
const CLASSES: [(&str, Class); 23] = [
    ("LOADING", Class::Later),
    ("MASTERDOWN", Class::Later),
    ("CLUSTERDOWN", Class::Later),
    ("TRYAGAIN", Class::Later),
    ("BUSY", Class::Later),
    ("MISCONF", Class::Later),
    ("OOM", Class::Later),
    ("NOREPLICAS", Class::Later),
    ("READONLY", Class::Elsewhere),
    ("NOGROUP", Class::GroupLost),
    ("UNBLOCKED", Class::GroupLost),
    ("BUSYGROUP", Class::GroupExists),
    ("WRONGTYPE", Class::Hold),
    ("NOAUTH", Class::Hold),
    ("WRONGPASS", Class::Hold),
    ("NOPERM", Class::Hold),
    ("NOPROTO", Class::Hold),
    ("DENIED", Class::Hold),
    ("-DENIED", Class::Hold),
    ("NOSCRIPT", Class::Later),
    ("MOVED", Class::Clustered),
    ("ASK", Class::Clustered),
    ("CROSSSLOT", Class::Clustered),
];

/// How Redis begins to say that a script needs a right which its user has not got.
const SCRIPT_REFUSED: &str = "ERR The user executing the script can't";

/// How Redis begins to say that it has become a replica while a read was waiting: the group is still
/// there, only elsewhere.
const ROLE_CHANGED: &str = "UNBLOCKED force unblock";

/// Longest part of Redis's own words that is passed on.
const WORDS_BYTES_MAX: usize = 200;

/// Something went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is to be done.
    pub class: Class,
    /// What happened, without secrets.
    pub words: String,
    /// How the bytes were wrong, when that is what went wrong.
    pub malformed: Option<Malformed>,
}

impl Class {
    /// The class of an error by the text with which Redis tells it.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if text.starts_with(SCRIPT_REFUSED) {
            return Self::Hold;
        }
        if text.starts_with(ROLE_CHANGED) {
            return Self::Elsewhere;
        }
        let word = text.split([' ', '\r', '\n']).next().unwrap_or_default();
        let known = CLASSES.iter().find(|(prefix, _)| *prefix == word);
        known.map_or(Self::Later, |(_, class)| *class)
    }
}

impl Failure {
    /// Redis refused, in these words.
    #[must_use]
    pub fn refused(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&text[..text.len().min(WORDS_BYTES_MAX)]);
        let words = format!("Redis answered \"{}\".", text.trim_end());
        Self { class: Class::of(&text), words, malformed: None }
    }

    /// Redis did not answer in time.
    #[must_use]
    pub fn timeout(what: &str, within_ms: u64) -> Self {
        let words = format!("Redis did not {what} within {within_ms} ms.");
        Self { class: Class::Cut, words, malformed: None }
    }

    /// The same, needing a person: what went wrong was the log-in or the choice of the database.
    #[must_use]
    pub fn held(mut self) -> Self {
        if matches!(self.class, Class::Later) && !self.words.contains("\"LOADING") {
            self.class = Class::Hold;
        }
        self
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let words = format!("The connection to Redis failed: {error}.");
        Self { class: Class::Cut, words, malformed: None }
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        let words = format!("What Redis sent cannot be read: {malformed}.");
        Self { class: Class::Cut, words, malformed: Some(malformed) }
    }
}

impl From<redis::RedisError> for Failure {
    fn from(error: redis::RedisError) -> Self {
        if let Some(code) = error.code() {
            let text = format!("{code} {}", error.detail().unwrap_or_default());
            return Self::refused(text.as_bytes());
        }
        let class = match error.kind() {
            redis::ErrorKind::AuthenticationFailed | redis::ErrorKind::InvalidClientConfig => {
                Class::Hold
            }
            _ => Class::Cut,
        };
        let words = format!("The connection to Redis failed: {}.", error.category());
        Self { class, words, malformed: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::{Class, Failure};
    use crate::stream::Malformed;

    fn check(text: &str, expected: Class) {
        let failure = Failure::refused(text.as_bytes());
        assert_eq!(failure.class, expected, "{text}");
        assert!(failure.words.contains(text.split(' ').next().unwrap()), "{failure}");
    }

    #[test]
    fn what_redis_really_says_has_a_class() {
        check("LOADING Redis is loading the dataset in memory", Class::Later);
        check(
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set",
            Class::Later,
        );
        check("CLUSTERDOWN Hash slot not served", Class::Later);
        check("TRYAGAIN Multiple keys request during rehashing of slot", Class::Later);
        check("BUSY Redis is busy running a script.", Class::Later);
        check("MISCONF Redis is configured to save RDB snapshots", Class::Later);
        check("OOM command not allowed when used memory > 'maxmemory'.", Class::Later);
        check("NOREPLICAS Not enough good replicas to write.", Class::Later);
        check("READONLY You can't write against a read only replica.", Class::Elsewhere);
        check("NOGROUP No such key 's' or consumer group 'g'", Class::GroupLost);
        check("UNBLOCKED the stream key no longer exists", Class::GroupLost);
        check(
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> \
             replica?)",
            Class::Elsewhere,
        );
        check("BUSYGROUP Consumer Group name already exists", Class::GroupExists);
        check("WRONGTYPE Operation against a key holding the wrong kind of value", Class::Hold);
        check("NOAUTH Authentication required.", Class::Hold);
        check("WRONGPASS invalid username-password pair or user is disabled.", Class::Hold);
        check("NOPERM this user has no permissions to run the 'xread' command", Class::Hold);
        check("ERR The user executing the script can't run this command", Class::Hold);
        check("MOVED 3999 127.0.0.1:6381", Class::Clustered);
        check("ERR max number of clients reached", Class::Later);
        check("BUSYGROUPS is another word", Class::Later);
        check("", Class::Later);
    }

    #[test]
    fn a_refused_log_in_needs_a_person_but_loading_does_not() {
        let held = |text: &str| Failure::refused(text.as_bytes()).held().class;
        assert_eq!(held("ERR invalid password"), Class::Hold);
        assert_eq!(held("ERR DB index is out of range"), Class::Hold);
        assert_eq!(held("LOADING Redis is loading the dataset in memory"), Class::Later);
    }

    #[test]
    fn words_are_short_whatever_redis_sends() {
        let failure = Failure::refused(&[0xff; 4000]);
        assert!(failure.words.len() < 1000);
        assert_eq!(failure.class, Class::Later);
        assert!(Failure::from(Malformed::BulkTooLong).to_string().contains("1048576"));
    }
}
