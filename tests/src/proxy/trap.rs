//! Traps: what a client asks of a server, recognised as it passes, can be what ends a connection.

use std::sync::Arc;

use super::fault::Ending;
use super::protocol::Request;
use super::turn::Shared;

/// Something that a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// PostgreSQL is asked to commit: by `COMMIT` or `END`, or by the end of a COPY, INSERT, UPDATE,
    /// DELETE or MERGE outside of a transaction.
    Commit,
    /// The first data of a COPY.
    CopyBegun,
    /// The end of the data of a COPY.
    CopyEnded,
    /// PostgreSQL is to run a statement that begins like this, in either case.
    Sql(String),
    /// Redis is to run this command, in either case.
    Command {
        /// Its first word.
        name: String,
        /// What one of its other words contains; anything if empty.
        mention: String,
    },
}

impl Event {
    /// A statement that begins like this.
    #[must_use]
    pub fn sql(beginning: &str) -> Self {
        Self::Sql(beginning.to_owned())
    }

    /// A command of Redis.
    #[must_use]
    pub fn command(name: &str) -> Self {
        Self::command_with(name, "")
    }

    /// A command of Redis that mentions something, such as a key.
    #[must_use]
    pub fn command_with(name: &str, mention: &str) -> Self {
        Self::Command { name: name.to_owned(), mention: mention.to_owned() }
    }

    fn is_in(&self, request: &Request) -> bool {
        match self {
            Self::Commit => request.commits,
            Self::CopyBegun => request.begins_copy,
            Self::CopyEnded => request.ends_copy,
            Self::Sql(beginning) => request.sql.as_deref().is_some_and(|sql| {
                let start = sql.trim_start().get(..beginning.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(beginning))
            }),
            Self::Command { name, mention } => {
                let Some((first, others)) = request.words.split_first() else { return false };
                let mentions = |word: &Vec<u8>| {
                    word.windows(mention.len()).any(|part| part == mention.as_bytes())
                };
                first.eq_ignore_ascii_case(name.as_bytes())
                    && (mention.is_empty() || others.iter().any(mentions))
            }
        }
    }
}

/// When a trap ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the server hears of it: it is certain not to have happened.
    Before,
    /// When it has been passed on, as far as it has come: nobody knows whether it has happened.
    Behind,
    /// When the server has answered and before the client hears of it: it is certain to have been
    /// done or refused. Answers to what was asked earlier still pass.
    Answered,
}

/// What a trap waits for and does. It strikes once, the first time, unless told otherwise.
#[derive(Clone, Debug)]
pub struct Rule {
    event: Event,
    moment: Moment,
    ending: Ending,
    skip: usize,
    every: usize,
    times: usize,
}

impl Rule {
    /// Ends the connection in this way when this is asked.
    #[must_use]
    pub const fn new(event: Event, moment: Moment, ending: Ending) -> Self {
        Self { event, moment, ending, skip: 0, every: 1, times: 1 }
    }

    /// Lets this many pass first.
    #[must_use]
    pub fn skip(self, skip: usize) -> Self {
        Self { skip, ..self }
    }

    /// Strikes at every so-maniest from there, which is at least 1.
    #[must_use]
    pub fn every(self, every: usize) -> Self {
        Self { every, ..self }
    }

    /// Strikes so often at most; 0 only counts.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }
}

/// A trap in the proxy's hands. Dropping this does not disarm it.
#[derive(Debug)]
pub struct Trap {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
}

impl Trap {
    /// How often the event has passed, whether it was let pass or not.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.shared.state().traps[self.number].seen
    }

    /// How many connections it has ended. With [`Moment::Answered`], all of them were answered.
    #[must_use]
    pub fn struck(&self) -> usize {
        self.shared.state().traps[self.number].struck
    }

    /// Waits until it has ended so many connections.
    ///
    /// # Panics
    /// When that does not come true in time; so does [`Self::wait_until_seen`].
    pub fn wait_until_struck(&self, count: usize) {
        self.shared.wait("a trap strikes", |state| state.traps[self.number].struck >= count);
    }

    /// Waits until the event has passed so often.
    pub fn wait_until_seen(&self, count: usize) {
        self.shared.wait("an event passes", |state| state.traps[self.number].seen >= count);
    }

    /// It strikes no more; it goes on counting.
    pub fn disarm(&self) {
        self.shared.change(|state| state.traps[self.number].disarm());
    }
}

/// A trap as the proxy keeps it.
#[derive(Debug)]
pub(super) struct Armed {
    rule: Rule,
    seen: usize,
    /// Connections it has chosen; some may have ended in another way first.
    chosen: usize,
    struck: usize,
}

/// What is to happen to a connection, and on whose account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strike {
    pub(super) moment: Moment,
    pub(super) ending: Ending,
    trap: usize,
}

impl Armed {
    pub(super) const fn new(rule: Rule) -> Self {
        Self { rule, seen: 0, chosen: 0, struck: 0 }
    }

    pub(super) const fn disarm(&mut self) {
        self.rule.times = 0;
    }

    /// Counts the request if it is meant; true when its connection is to end.
    fn chooses(&mut self, request: &Request) -> bool {
        if !self.rule.event.is_in(request) {
            return false;
        }
        self.seen += 1;
        let is_due = self.seen.checked_sub(self.rule.skip + 1);
        let is_due = is_due.is_some_and(|beyond| beyond.is_multiple_of(self.rule.every));
        let chooses = is_due && self.chosen < self.rule.times;
        self.chosen += usize::from(chooses);
        chooses
    }
}

/// Shows a request to every trap; the first one that wants the connection has it.
pub(super) fn strike(traps: &mut [Armed], request: &Request) -> Option<Strike> {
    let mut strike = None;
    for (number, trap) in traps.iter_mut().enumerate() {
        if trap.chooses(request) && strike.is_none() {
            let Rule { moment, ending, .. } = trap.rule;
            strike = Some(Strike { moment, ending, trap: number });
        }
    }
    strike
}

/// Notes that a strike has been carried out.
pub(super) fn note(traps: &mut [Armed], strike: Strike) {
    traps[strike.trap].struck += 1;
}
