//! Why a tool that speaks with Redis did not do what it was asked, in words for whoever asked.

use std::io;

use crate::stream::{Class, Failure};

/// It was not done.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The output cannot be written.
    Output(io::Error),
    /// For this reason, with what to do about it.
    Undone(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        let remedy = match failure.class {
            Class::Cut => "Start Redis, or let REDIS_URL name its host, port and password.",
            Class::Hold => {
                "Set right what Redis names: REDIS_URL, the rights of its user, or the key that is \
                 no stream."
            }
            Class::GroupLost => {
                "The stream or its group is not there: pitwall creates both when it stores \
                 positions. Is REDIS_TELEMETRY_STREAM right?"
            }
            Class::Elsewhere => "Let REDIS_URL name the primary: this Redis takes no writes.",
            Class::Clustered => "Let REDIS_URL name a single Redis, or a primary with replicas.",
            Class::Later | Class::GroupExists => "Nothing was changed; try again later.",
        };
        Self::Undone(format!("{} {remedy}", failure.words))
    }
}
