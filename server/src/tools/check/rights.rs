//! Whether the user of Redis may do what the roles need: each command is tried where it does nothing.
//!
//! Redis looks at the rights before it looks at what a command says. So a command whose arguments can
//! have no effect (a group that is not there, an id that cannot be) tells whether it is allowed.

use redis::RedisError;
use redis::aio::MultiplexedConnection;

use super::Finding;
use crate::config::Roles;
use crate::durable::dead_letter;
use crate::tools::ask::within;

/// A group, consumer and name that nobody has.
const NOBODY: &str = "pitwall-check";

/// A command in a form that does nothing; `{s}` is the stream, `{d}` the dead letters.
type Probe = &'static str;

/// What reading the stream needs, and holding the lease.
const LIVE: &[Probe] = &[
    "XREAD COUNT 1 STREAMS {s} $",
    "XREADGROUP GROUP {n} {n} COUNT 1 STREAMS {s} >",
    "XGROUP CREATE {s} {n} no-id",
    "XGROUP DESTROY {s} {n}",
    "XINFO GROUPS {s}",
    "XRANGE {s} - + COUNT 1",
    "TIME",
    "EVAL return(0) 0",
    "CLIENT SETNAME {n}",
    "GET pitwall:instance:{n}",
    "SET pitwall:instance:{n} 0 PX 0",
    "DEL pitwall:instance:{n}",
    "PTTL pitwall:instance:{n}",
    "EXISTS pitwall:instance:{n}",
];

/// What storing positions needs beside.
const DURABLE: &[Probe] = &[
    "XACK {s} {n} 0-0",
    "XAUTOCLAIM {s} {n} {n} 0 0-0 COUNT 1",
    "XPENDING {s} {n}",
    "XADD {d} NOMKSTREAM 0-0 a b",
    "XLEN {d}",
    "SET pitwall:loss:{n} 0 PX 0",
];

/// What listening to devices needs.
const INGEST: &[Probe] = &["XADD {s} NOMKSTREAM 0-0 a b", "CLIENT SETNAME {n}"];

/// Tries what the roles need, and says what is not allowed.
pub(super) async fn look(
    connection: &mut MultiplexedConnection,
    stream: &str,
    roles: Roles,
) -> Finding {
    let needed =
        [(roles.live || roles.durable, LIVE), (roles.durable, DURABLE), (roles.ingest, INGEST)];
    let probes = needed.iter().filter(|(is_needed, _)| *is_needed).flat_map(|(_, probes)| *probes);
    let dead_letters = dead_letter::key(stream);
    let mut refused = Vec::new();
    for probe in probes {
        let mut command = redis::Cmd::new();
        for word in probe.split(' ') {
            let word = word.replace("{s}", stream).replace("{d}", &dead_letters);
            command.arg(word.replace("{n}", NOBODY));
        }
        let answer = within(async { Ok(is_refused(connection, &command).await) }).await;
        match answer {
            Ok(false) => {}
            Ok(true) => refused.push(of(probe, stream, &dead_letters)),
            Err(words) => {
                let what = format!("Redis does not say what its user may do: {words}.");
                return Finding::warning(what, "Run this again.");
            }
        }
    }
    if refused.is_empty() {
        return Finding::fine("The user of Redis may do what the roles need.");
    }
    Finding::failed(
        format!("The user of Redis may not {}.", refused.join(", ")),
        "Give it the rights that deploy/README.md lists, with ACL SETUSER.",
    )
}

/// True when the rights are missing; whatever else is answered comes from after they were looked at.
async fn is_refused(connection: &mut MultiplexedConnection, command: &redis::Cmd) -> bool {
    let answer: Result<redis::Value, RedisError> = command.query_async(connection).await;
    answer.is_err_and(|error| error.code() == Some("NOPERM"))
}

/// The command and what it is for, as an operator writes it.
fn of(probe: &str, stream: &str, dead_letters: &str) -> String {
    let words: Vec<&str> = probe.split(' ').collect();
    let command = match words[0] {
        "CLIENT" | "XGROUP" | "XINFO" => format!("{}|{}", words[0], words[1]).to_lowercase(),
        word => word.to_lowercase(),
    };
    let key = words.iter().find_map(|word| match *word {
        "{s}" => Some(stream.to_owned()),
        "{d}" => Some(dead_letters.to_owned()),
        word => {
            let prefix = word.strip_suffix("{n}").filter(|prefix| !prefix.is_empty())?;
            Some(format!("{prefix}*"))
        }
    });
    key.map_or_else(|| format!("+{command}"), |key| format!("+{command} on ~{key}"))
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_right_is_told_as_it_is_given() {
        for (probe, expected) in [
            ("TIME", "+time"),
            ("CLIENT SETNAME {n}", "+client|setname"),
            ("XGROUP DESTROY {s} {n}", "+xgroup|destroy on ~race"),
            ("XADD {d} NOMKSTREAM 0-0 a b", "+xadd on ~race:dlq"),
            ("SET pitwall:loss:{n} 0 PX 0", "+set on ~pitwall:loss:*"),
        ] {
            assert_eq!(of(probe, "race", "race:dlq"), expected);
        }
    }
}
