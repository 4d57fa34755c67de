//! The moments in the writer's work at which it, or a server, is killed, as they pass on the wire.

use crate::oracle::DEAD_LETTERS;
use crate::proxy::{Event, Moment};

/// What is asked of Redis or PostgreSQL, and when exactly.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// How it is called.
    pub(super) name: String,
    pub(super) event: Event,
    pub(super) moment: Moment,
    /// Whether Redis is asked, or PostgreSQL.
    pub(super) is_of_redis: bool,
    /// It is asked only over a new connection.
    pub(super) is_first: bool,
}

const NEW_REDIS: &str = "the name of a connection to Redis";

const NEW_POSTGRES: &str = "the settings of a session";

/// Each of the three moments of each thing that is asked.
pub(super) fn all() -> Vec<Point> {
    let redis = [
        ("the read", Event::command("XREADGROUP")),
        ("the acknowledgement", Event::command("XACK")),
        ("the claim", Event::command_with("EVAL", "XAUTOCLAIM")),
        ("the dead letter", Event::command_with("EVAL", DEAD_LETTERS)),
        ("the look at a refused entry", Event::command("XRANGE")),
        (NEW_REDIS, Event::command("CLIENT")),
    ];
    let postgres = [
        ("the first data of COPY", Event::CopyBegun),
        ("the end of COPY", Event::CopyEnded),
        ("any commit", Event::Commit),
        ("BEGIN", Event::sql("BEGIN")),
        ("INSERT", Event::sql("INSERT")),
        ("the count", Event::sql("SELECT count")),
        ("COMMIT", Event::sql("COMMIT")),
        (NEW_POSTGRES, Event::sql("SET")),
    ];
    let redis = redis.into_iter().map(|(name, event)| (name, event, true));
    let all = redis.chain(postgres.into_iter().map(|(name, event)| (name, event, false)));
    all.flat_map(|(what, event, is_of_redis)| {
        [
            (Moment::Before, "before"),
            (Moment::Behind, "behind"),
            (Moment::Answered, "at the answer to"),
        ]
        .map(|(moment, when)| Point {
            name: format!("{when} {what}"),
            event: event.clone(),
            moment,
            is_of_redis,
            is_first: [NEW_REDIS, NEW_POSTGRES].contains(&what),
        })
    })
    .collect()
}
