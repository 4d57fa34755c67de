//! Reads the stream for viewers, whatever happens to Redis: one read after the other, and after every
//! failure from the last entry on.
//!
//! There are two ways to read. `XREAD` needs nothing but the last id, and works wherever Redis
//! answers at all: on a full disk, on a replica, while writes are paused, while the group is gone or
//! the lease is not ours yet. The group is what the platform sees of us. So every connection begins
//! with `XREAD`; meanwhile the group is placed on another connection, and once that has worked this
//! one places it exactly behind the last entry and reads through it. Nothing is shown twice or
//! missed on the way there or back.
//!
//! Ids are opaque but for two things: the one of the last entry is where reading goes on, and their
//! order helps to tell whether the stream is still the one that was read.

use std::sync::Arc;
use std::time::Duration;

use engine::rows::EntryId;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::extent::Extent;
use super::group::{self, Names};
use super::health::{self, Health};
use super::minute::Minute;
use super::numbers::Numbers;
use crate::context::Context;
use crate::error::Stop;
use crate::stream::{
    Backoff, Class, Entries, Failure, Link, Malformed, Server, clustered, first_id,
};

/// Least time between the beginnings of two reads when the stream is busy, so that batches stay
/// large: a read of one entry costs Redis forty times what an entry of a large one does. Costs that
/// much delay at a few hundred entries a second and more, none below.
const LINGER_MS: u64 = 2;

/// Entries of one read while only the newest of each device is wanted.
const CATCH_UP_ENTRIES: usize = 10_000;

/// How long a read without a group may block: the way back to the group is looked for between two.
const PLAIN_BLOCK_MS_MAX: u64 = 100;

/// How much longer than Redis may hold a read the answer may take.
const ANSWER_MS_MAX: u64 = 1_000;

/// How long a connection has to work before the next failure counts as the first one again.
const CALM_MS: u64 = 1_000;

/// How often Redis's clock is compared with ours.
const CLOCK_MS: u64 = 30_000;

/// What the reading needs to know.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) server: Server,
    pub(super) names: Names,
    pub(super) numbers: Arc<Numbers>,
    pub(super) health: Arc<Health>,
    /// True while the lease on the instance's name, and with it the group, is ours.
    pub(super) is_leased: watch::Receiver<bool>,
}

/// How long Redis may hold a read while the way to the group is looked for.
const PROBE_BLOCK_MS: u64 = 20;

/// The state of reading.
#[derive(Debug)]
pub(super) struct Reading {
    context: Context,
    parts: Parts,
    client_name: String,
    group_command: Vec<u8>,
    link: Option<Link>,
    opened: Instant,
    has_been_open: bool,
    is_grouped: bool,
    grouped_since: Instant,
    /// The last entry that was taken, of this stream; nothing until Redis has said where it ends.
    last: Option<EntryId>,
    looked_at: Option<Instant>,
    extent: Extent,
    clock_ahead_ms: Option<i64>,
    clock_asked: Instant,
    connect_backoff: Backoff,
    group_backoff: Backoff,
    probe: Option<JoinHandle<Result<(), Failure>>>,
    probe_at: Instant,
    /// Found after the read, by whoever took its entries.
    refused: Option<Malformed>,
    /// Entries to be read one at a time, since one of them makes a reply too long.
    careful_left: usize,
    too_long_told: Minute,
    began: Instant,
    is_busy: bool,
}

/// What a read brought; its entries are in [`Reading::entries`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// True when as many came as were asked for.
    pub(super) is_full: bool,
    /// Redis's clock, in epoch milliseconds.
    pub(super) redis_now_ms: i64,
}

impl Reading {
    /// Nothing has been read, nothing is connected.
    pub(super) fn new(context: &Context, parts: Parts) -> Self {
        let now = Instant::now();
        let live = &context.config.live;
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(&parts.names.group).arg(&parts.names.consumer);
        command.arg("COUNT").arg(live.batch_entries_max).arg("BLOCK").arg(live.block_ms);
        command.arg("NOACK").arg("STREAMS").arg(&parts.names.stream).arg(">");
        Self {
            client_name: format!("pitwall-live-{}", context.config.instance_id),
            group_command: command.get_packed_command(),
            context: context.clone(),
            parts,
            link: None,
            opened: now,
            has_been_open: false,
            is_grouped: false,
            grouped_since: now,
            last: None,
            looked_at: None,
            extent: Extent::default(),
            clock_ahead_ms: None,
            clock_asked: now,
            connect_backoff: Backoff::default(),
            group_backoff: Backoff::default(),
            probe: None,
            probe_at: now,
            refused: None,
            careful_left: 0,
            too_long_told: Minute::default(),
            began: now,
            is_busy: false,
        }
    }

    /// Reads until something was read. Waits as long as that takes, through every failure.
    ///
    /// # Errors
    /// When only another configuration can help.
    pub(super) async fn next(&mut self, is_catching_up: bool) -> Result<Read, Stop> {
        loop {
            match self.turn(is_catching_up).await {
                Ok(Some(read)) => return Ok(read),
                Ok(None) => {}
                Err(failure) => self.suffer(failure).await?,
            }
        }
    }

    /// The entries of the last read.
    ///
    /// # Errors
    /// When the reply is not one of entries; see [`Self::refuse`].
    pub(super) fn entries(&self) -> Result<Entries<'_>, Malformed> {
        self.link.as_ref().map_or(Ok(Entries::NONE), |link| Entries::of_read(link.reply()))
    }

    /// All entries of the last read have been taken: so many, the last of this id.
    pub(super) fn accept(&mut self, last: EntryId, count: u64) {
        self.extent.grow(self.last, last, count);
        self.last = Some(last);
        self.careful_left = self.careful_left.saturating_sub(1);
    }

    /// The last read was not understood; it counts as not read.
    pub(super) const fn refuse(&mut self, malformed: Malformed) {
        self.refused = Some(malformed);
    }

    /// One read, and what has to come before it.
    async fn turn(&mut self, is_catching_up: bool) -> Result<Option<Read>, Failure> {
        if let Some(malformed) = self.refused.take() {
            return Err(malformed.into());
        }
        self.connect().await?;
        if !self.is_grouped && self.look_at_stream_is_due() {
            self.look_at_stream().await?;
        }
        if !self.is_grouped && !self.find_way_to_group().await? {
            return Ok(None);
        }
        if self.is_busy {
            sleep_until(self.began + Duration::from_millis(LINGER_MS)).await;
        }
        self.read(is_catching_up).await
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        if self.link.is_none() {
            self.is_grouped = false;
            self.looked_at = None;
            self.link = Some(Link::open(&self.parts.server, &self.client_name).await?);
            self.opened = Instant::now();
            if self.has_been_open {
                self.parts.numbers.reconnects.increment();
            }
            self.has_been_open = true;
            self.clock_ahead_ms = None;
        }
        let is_stale = self.clock_asked.elapsed() >= Duration::from_millis(CLOCK_MS);
        if self.clock_ahead_ms.is_none() || is_stale {
            self.clock_asked = Instant::now();
            let within = Duration::from_millis(ANSWER_MS_MAX);
            let asked = link(&mut self.link).clock_ahead_ms(within).await;
            self.clock_ahead_ms = Some(match asked {
                // Who may not ask takes the two clocks for equal.
                Err(failure) if failure.class == Class::Hold => 0,
                result => result?,
            });
        }
        Ok(())
    }

    /// Without a group nobody tells that the stream was deleted and begun anew: look.
    fn look_at_stream_is_due(&self) -> bool {
        let rests = Duration::from_millis(CALM_MS);
        self.looked_at.is_none_or(|at| !self.is_busy && at.elapsed() >= rests)
    }

    async fn look_at_stream(&mut self) -> Result<(), Failure> {
        self.looked_at = Some(Instant::now());
        let mut command = redis::cmd("XINFO");
        let command = command.arg("STREAM").arg(&self.parts.names.stream).get_packed_command();
        let asked = link(&mut self.link).call(&command, Duration::from_millis(ANSWER_MS_MAX)).await;
        let seen = match asked {
            Ok(reply) => Extent::of_stream(reply)?,
            Err(failure) if failure.words.contains("no such key") => Extent::default(),
            Err(failure) => return Err(failure),
        };
        let known = std::mem::replace(&mut self.extent, seen);
        let Some(last) = self.last else {
            self.last = Some(seen.end);
            return Ok(());
        };
        if last > seen.end || seen.added < known.added {
            self.last = Some(EntryId::default());
            self.parts.numbers.stream_resets.increment();
            self.context.log.warn(
                "the stream has begun anew: what it holds is read from its start",
                &[("last_seen_id", &last.to_string()), ("ends_at", &seen.end.to_string())],
            );
        }
        Ok(())
    }

    /// Goes over to the group when that has become possible. False when the link was given up.
    async fn find_way_to_group(&mut self) -> Result<bool, Failure> {
        let last = self.last.unwrap_or_default();
        let Some(probe) = &mut self.probe else {
            let is_due = self.careful_left == 0 && Instant::now() >= self.probe_at;
            if is_due && *self.parts.is_leased.borrow() {
                let (server, names) = (self.parts.server.clone(), self.parts.names.clone());
                self.probe = Some(tokio::spawn(group::place(server, names, last)));
            }
            return Ok(true);
        };
        if !probe.is_finished() {
            return Ok(true);
        }
        let found = probe.await.expect("placing the group does not panic");
        self.probe = None;
        let placed = match found {
            Err(failure) => Err(failure),
            Ok(()) => {
                // The stream may have begun anew while the group was placed. From now on the group
                // goes when the stream goes, which Redis tells.
                self.look_at_stream().await?;
                let last = self.last.unwrap_or_default();
                let command = group::place_command(&self.parts.names, last);
                let within = Duration::from_millis(ANSWER_MS_MAX);
                link(&mut self.link).call(&command, within).await.map(drop).inspect_err(|_| {
                    // Whatever it was: its answer must not be taken for that of a read.
                    self.link = None;
                })
            }
        };
        match placed {
            Ok(()) => self.is_grouped(),
            Err(failure) if failure.class == Class::Clustered => return Err(failure),
            Err(failure) => self.is_plain(&failure),
        }
        Ok(self.link.is_some())
    }

    async fn read(&mut self, is_catching_up: bool) -> Result<Option<Read>, Failure> {
        let live = &self.context.config.live;
        self.began = Instant::now();
        let mut asked = live.batch_entries_max;
        let mut block_ms = live.block_ms;
        let plain;
        let command = if self.is_grouped && !is_catching_up {
            &self.group_command
        } else {
            if self.careful_left > 0 {
                asked = 1;
            } else if is_catching_up {
                asked = asked.max(CATCH_UP_ENTRIES);
            }
            if !self.is_grouped {
                // The way to the group is taken between two reads: it may be open any moment.
                let is_soon = self.probe.is_some() || !*self.parts.is_leased.borrow();
                block_ms = block_ms.min(if is_soon { PROBE_BLOCK_MS } else { PLAIN_BLOCK_MS_MAX });
            }
            plain = self.command(asked, block_ms);
            &plain
        };
        let within = Duration::from_millis(block_ms + ANSWER_MS_MAX);
        let reply = link(&mut self.link).call(command, within).await?;
        let count = Entries::of_read(reply)?.count_left();
        let redis_now_ms = crate::clock::wall_ms() + self.clock_ahead_ms.unwrap_or(0);
        self.has_read(count, asked);
        Ok((count > 0).then_some(Read { is_full: count >= asked, redis_now_ms }))
    }

    fn command(&self, asked: usize, block_ms: u64) -> Vec<u8> {
        let names = &self.parts.names;
        let mut command = redis::cmd(if self.is_grouped { "XREADGROUP" } else { "XREAD" });
        if self.is_grouped {
            command.arg("GROUP").arg(&names.group).arg(&names.consumer);
        }
        command.arg("COUNT").arg(asked).arg("BLOCK").arg(block_ms);
        if self.is_grouped {
            command.arg("NOACK").arg("STREAMS").arg(&names.stream).arg(">");
        } else {
            let last = self.last.unwrap_or_default().to_string();
            command.arg("STREAMS").arg(&names.stream).arg(last);
        }
        command.get_packed_command()
    }

    /// A read has worked.
    fn has_read(&mut self, count: usize, asked: usize) {
        let numbers = &self.parts.numbers;
        if count == 0 {
            numbers.reads_empty.increment();
            numbers.set_lag(Some(0));
            self.careful_left = 0;
        } else {
            numbers.reads_full.increment();
        }
        self.is_busy = count > 0 && count < asked;
        let is_calm = self.opened.elapsed() >= Duration::from_millis(CALM_MS);
        if is_calm {
            self.connect_backoff.reset();
        }
        if self.is_grouped && self.grouped_since.elapsed() >= Duration::from_millis(CALM_MS) {
            self.group_backoff.reset();
        }
        if self.is_grouped {
            self.parts.health.reads(health::Reading::Grouped);
        } else {
            self.parts.health.reads_without_group();
        }
    }

    fn is_grouped(&mut self) {
        self.is_grouped = true;
        self.grouped_since = Instant::now();
        self.parts.numbers.is_grouped.set(1);
        self.parts.numbers.group_joins.increment();
        // The first read may take as long as nothing comes; placing the group has shown that it works.
        self.parts.health.reads(health::Reading::Grouped);
    }

    /// Reads without the group, and looks for it again after a while.
    fn is_plain(&mut self, failure: &Failure) {
        let was_grouped = std::mem::replace(&mut self.is_grouped, false);
        self.parts.numbers.is_grouped.set(0);
        self.looked_at = None;
        self.probe_at = Instant::now() + Duration::from_millis(self.group_backoff.next_ms());
        if was_grouped && failure.class == Class::GroupLost {
            // It will be created again at once; what keeps it from that is told then.
            let fields = [("reason", &*failure.words)];
            self.context
                .log
                .warn("the group of this instance is lost; it is created again", &fields);
            return self.parts.health.reads_without_group();
        }
        let reason = format!("Reading through the group is not possible. {}", failure.words);
        self.parts.health.reads(health::Reading::Plain(Some(reason)));
    }

    /// A read, or what comes before it, has failed: what follows is decided here.
    async fn suffer(&mut self, failure: Failure) -> Result<(), Stop> {
        self.parts.numbers.reads_failed.increment();
        if failure.class == Class::Clustered {
            return Err(clustered(&failure.words));
        }
        let is_refusal = !matches!(failure.class, Class::Cut | Class::Elsewhere);
        if self.is_grouped && is_refusal {
            self.is_plain(&failure);
            return Ok(());
        }
        let has_stepped_over = failure.malformed.is_some_and(Malformed::is_too_long)
            && self.step_over_what_is_too_long();
        self.link = None;
        if self.is_grouped && failure.class == Class::Elsewhere {
            self.is_plain(&failure);
            return Ok(());
        }
        self.is_grouped = false;
        self.parts.numbers.is_grouped.set(0);
        self.parts.numbers.set_lag(None);
        if !has_stepped_over {
            let is_held = failure.class == Class::Hold;
            self.parts.health.reads(health::Reading::Down(failure.words, is_held));
            sleep(Duration::from_millis(self.connect_backoff.next_ms())).await;
        }
        Ok(())
    }

    /// An entry that no reply may hold would keep us from all that follow: finds it, by reading one
    /// entry at a time, and goes past it. True when it went past one.
    fn step_over_what_is_too_long(&mut self) -> bool {
        let was_careful = self.careful_left > 0;
        if !was_careful {
            self.careful_left = self.context.config.live.batch_entries_max.max(CATCH_UP_ENTRIES);
            return false;
        }
        let first = self.link.as_ref().and_then(|link| first_id(link.fragment()));
        let Some(first) = first.filter(|first| Some(*first) > self.last) else { return false };
        self.accept(first, 1);
        self.parts.numbers.decode_errors.increment();
        if self.too_long_told.is_over(self.context.clock) {
            let words = "an entry is too long to be read and is not shown; others may follow within the minute";
            self.context.log.error(words, &[("id", &first.to_string())]);
        }
        true
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(probe) = &self.probe {
            probe.abort();
        }
    }
}

fn link(link: &mut Option<Link>) -> &mut Link {
    link.as_mut().expect("every turn begins with a connection")
}
