//! Reads the group of the durable plane: first what is pending for this process, then what is new, and
//! what dead consumers have left.
//!
//! An entry is acknowledged only when it is answered for, in the same round trip as the next read.
//! When the lanes have no room nothing more is read: then the stream in Redis is the queue.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use engine::rows::EntryId;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::acks;
use super::claims::{self, Claims};
use super::dead_letter::Fields;
use super::group;
use super::health::Health;
use super::intake::{BEAT, Intake, Origin};
use super::numbers::Numbers;
use crate::context::Context;
use crate::error::Stop;
use crate::shutdown::Stage;
use crate::stream::{
    BULK_BYTES_MAX, Backoff, Class, Control, Entries, Failure, Link, Malformed, REPLY_BYTES_MAX,
    Server, clustered, first_id,
};

/// How long Redis may hold a read that finds nothing.
const BLOCK_MS: u64 = 500;

/// The same while entries wait to be answered for: their acknowledgement goes with the next read.
const BLOCK_BUSY_MS: u64 = 20;

/// How much longer than Redis may hold a read the answer may take.
const ANSWER_MS_MAX: u64 = 1_000;

/// Most entries of one read.
const READ_ENTRIES_MAX: usize = 10_000;

/// Most entries acknowledged at once, some 250 KB; fewer after a failure, so that a wire that is too
/// slow for them does not fail over them for ever.
const ACKS_MAX: usize = 10_000;

/// The fewest.
const ACKS_MIN: usize = 16;

/// How long a connection has to work before the next failure counts as the first one again.
const CALM: Duration = Duration::from_secs(1);

/// How long the last read may take when the process ends: as long as Redis may hold it, and its
/// entries.
pub(super) const LAST_TURN_MS: u64 = BLOCK_MS + 300;

/// How long the database is waited for at the end when it is known to be away: one more try.
const HELD_END: Duration = Duration::from_millis(2_500);

/// How long the last acknowledgements may take.
pub(super) const LAST_ACKS_MS: u64 = 1_500;

/// What is read, and as whom.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) stream: String,
    pub(super) group: String,
    pub(super) consumer: String,
}

/// What is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// What is pending for this process, behind this entry.
    Pending(EntryId),
    /// What nobody has read.
    New,
}

/// The reader.
pub(super) struct Reader {
    context: Context,
    server: Server,
    names: Names,
    intake: Intake,
    /// Entries whose acknowledgement is under way.
    acking: Vec<EntryId>,
    /// How many of them go at once.
    acks_max: usize,
    health: Arc<Health>,
    numbers: Arc<Numbers>,
    claims: Claims,
    link: Option<Link>,
    has_been_open: bool,
    opened: Instant,
    step: Step,
    backoff: Backoff,
    has_had_group: bool,
    /// The newest entry that was read, for whoever looks for what is gone.
    newest: Option<EntryId>,
    /// Reads one entry at a time so often, since one of them makes a reply too long.
    careful_left: usize,
    began: Instant,
    is_busy: bool,
}

impl Reader {
    pub(super) fn new(context: &Context, server: Server, names: Names, intake: Intake) -> Self {
        let now = Instant::now();
        Self {
            claims: Claims::new(context.config.write.claim_threshold_ms),
            health: intake.health.clone(),
            numbers: intake.numbers.clone(),
            context: context.clone(),
            server,
            names,
            intake,
            acking: Vec::new(),
            acks_max: ACKS_MAX,
            link: None,
            has_been_open: false,
            opened: now,
            step: Step::Pending(EntryId::default()),
            backoff: Backoff::default(),
            has_had_group: false,
            newest: None,
            careful_left: 0,
            began: now,
            is_busy: false,
        }
    }

    /// Reads until the process leaves, then waits for what is in flight and acknowledges it.
    ///
    /// # Errors
    /// When only another configuration can help.
    pub(super) async fn run(mut self, end_within: Duration) -> Result<(), Stop> {
        let shutdown = self.context.shutdown.clone();
        let overdue = async {
            shutdown.reached(Stage::Leaving).await;
            sleep(Duration::from_millis(LAST_TURN_MS)).await;
        };
        let served = tokio::select! {
            biased;
            served = self.serve() => served,
            // It waits for room, or for Redis: what it has taken is known.
            () = overdue => Ok(()),
        };
        self.finish(Instant::now() + end_within).await;
        served
    }

    /// Reads until the process leaves. The last read is taken whole, so that nothing of it is left
    /// pending.
    async fn serve(&mut self) -> Result<(), Stop> {
        while self.context.shutdown.stage() < Stage::Leaving {
            self.intake.heartbeat.beat();
            if let Err(failure) = self.turn().await {
                self.suffer(failure).await?;
            }
            self.weigh();
        }
        Ok(())
    }

    /// Everything taken is in a batch or answered for; what is neither is shown.
    fn weigh(&self) {
        let waiting = self.numbers.ledger().waiting();
        let held = (self.intake.lanes.rows() + self.intake.yard.len()) as u64;
        self.numbers.residual.set(waiting.cast_signed() - held.cast_signed());
    }

    async fn turn(&mut self) -> Result<(), Failure> {
        self.connect().await?;
        self.intake.lanes.dispatch();
        self.intake.settle().await;
        if self.intake.lanes.room() == 0 {
            if self.unacknowledged() > 0 {
                return self.acknowledge().await;
            }
            self.intake.lanes.answered(&self.intake.heartbeat).await;
            return Ok(());
        }
        if self.is_busy {
            self.linger().await;
        }
        if self.step == Step::New && self.claims.is_due() {
            self.claim().await
        } else {
            self.read().await
        }
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        if self.link.is_some() {
            return Ok(());
        }
        let name = format!("pitwall-durable-{}", self.context.config.instance_id);
        let open = Link::open(&self.server, &name);
        self.link = Some(meanwhile(&mut self.intake, open).await?);
        if self.has_been_open {
            self.numbers.reconnects.increment();
        }
        self.has_been_open = true;
        self.opened = Instant::now();
        self.begin_again();
        Ok(())
    }

    /// What was delivered to us and never arrived is pending: it comes first. What is in flight is
    /// pending, too, and is known.
    fn begin_again(&mut self) {
        self.step = Step::Pending(EntryId::default());
        self.intake.held = self.held();
        self.is_busy = false;
    }

    /// The entries this process answers for.
    fn held(&self) -> HashSet<EntryId> {
        let mut held = self.intake.in_flight();
        held.extend(&self.acking);
        held
    }

    /// Lets entries gather, so that neither Redis nor PostgreSQL is asked for each by itself.
    async fn linger(&mut self) {
        let until = self.began + Duration::from_millis(self.context.config.write.linger_ms);
        let pause = async {
            sleep_until(until).await;
        };
        meanwhile(&mut self.intake, pause).await;
    }

    async fn read(&mut self) -> Result<(), Failure> {
        let count = self.count();
        let is_waiting = !self.intake.lanes.is_empty() || !self.acking.is_empty();
        let block_ms = if is_waiting { BLOCK_BUSY_MS } else { BLOCK_MS };
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(&self.names.group).arg(&self.names.consumer);
        command.arg("COUNT").arg(count);
        let from = match self.step {
            Step::New => {
                command.arg("BLOCK").arg(block_ms);
                ">".to_owned()
            }
            Step::Pending(from) => from.to_string(),
        };
        command.arg("STREAMS").arg(&self.names.stream).arg(from);
        self.began = Instant::now();
        self.ask(&command.get_packed_command(), block_ms).await?;
        self.has_had_group = true;
        let origin = if self.step == Step::New { Origin::New } else { Origin::Pending };
        let link = self.link.as_ref().expect("it was just asked");
        let entries = Entries::of_read(link.reply())?;
        let (taken, last) = self.intake.take(entries, origin).await?;
        self.has_read(taken, count);
        self.newest = self.newest.max(last);
        if let Step::Pending(from) = self.step {
            self.step = match last {
                Some(last) => Step::Pending(last.max(from)),
                None => {
                    self.intake.held.clear();
                    Step::New
                }
            };
        }
        Ok(())
    }

    async fn claim(&mut self) -> Result<(), Failure> {
        let Names { stream, group, consumer } = &self.names;
        let command = self.claims.command(stream, group, consumer, self.count());
        self.ask(&command, 0).await?;
        let link = self.link.as_ref().expect("it was just asked");
        let claims::Claimed { after, entries, own, lost } = claims::read(link.reply())?;
        self.intake.take(entries, Origin::Claimed).await?;
        self.numbers.book(|ledger| ledger.taken += lost);
        self.intake.is_lost(lost);
        self.claims.went_on(after);
        if !own.is_empty() {
            let held = self.held();
            if own.iter().any(|entry| !held.contains(entry)) {
                // It was delivered over a connection that had ended already.
                self.begin_again();
            }
        }
        Ok(())
    }

    fn count(&self) -> usize {
        let count = if self.careful_left > 0 { 1 } else { READ_ENTRIES_MAX };
        count.min(self.intake.lanes.room())
    }

    /// Sends the acknowledgements that wait, before a command that only answers.
    async fn acknowledge(&mut self) -> Result<(), Failure> {
        self.ask(&redis::cmd("PING").get_packed_command(), 0).await
    }

    /// Sends a command behind the acknowledgements that wait; the reply is in the link afterwards.
    async fn ask(&mut self, command: &[u8], block_ms: u64) -> Result<(), Failure> {
        // Those of a call that failed, or was given up, may have been taken: they are sent again.
        self.acking.append(&mut self.intake.lanes.acks);
        let count = self.acking.len().min(self.acks_max);
        let before = acks::pack(&self.names.stream, &self.names.group, &self.acking[..count]);
        let within = Duration::from_millis(block_ms + ANSWER_MS_MAX);
        let link = self.link.as_mut().expect("every turn begins with a connection");
        let asked = async {
            let (sum, _) = link.call_behind(&before, command, within).await?;
            Ok::<u64, Failure>(sum)
        };
        let sum = meanwhile(&mut self.intake, asked).await?;
        self.numbers.acks.add(sum);
        self.numbers.acks_missing.add((count as u64).saturating_sub(sum));
        self.acking.drain(..count);
        self.acks_max = (self.acks_max * 2).min(ACKS_MAX);
        Ok(())
    }

    /// A read has worked.
    fn has_read(&mut self, count: usize, asked: usize) {
        let numbers = &self.numbers;
        if count == 0 { &numbers.reads_empty } else { &numbers.reads_full }.increment();
        self.careful_left = if count == 0 { 0 } else { self.careful_left.saturating_sub(1) };
        self.is_busy = self.step == Step::New && count > 0 && count < asked;
        if self.opened.elapsed() >= CALM {
            self.backoff.reset();
        }
        self.health.reads();
    }

    /// A turn has failed: what follows is decided here.
    async fn suffer(&mut self, failure: Failure) -> Result<(), Stop> {
        self.numbers.reads_failed.increment();
        self.acks_max = (self.acks_max / 4).max(ACKS_MIN);
        if failure.class == Class::Clustered {
            return Err(clustered(&failure.words));
        }
        if failure.malformed.is_some_and(Malformed::is_too_long) && self.set_aside_too_long().await
        {
            return Ok(());
        }
        // A reply may still be on its way.
        self.link = None;
        if failure.class == Class::GroupLost {
            return self.make_group().await;
        }
        self.health.cannot_read(&failure.words, failure.class == Class::Hold);
        self.pause().await;
        Ok(())
    }

    /// The group is gone, or was never there: at most one try to make it for each pause.
    async fn make_group(&mut self) -> Result<(), Stop> {
        if self.has_had_group {
            self.has_had_group = false;
            self.numbers.stream_resets.increment();
            let newest = self.newest.take().map_or_else(String::new, |entry| entry.to_string());
            let Names { stream, group, .. } = &self.names;
            self.context.log.warn(
                "the group or its stream is gone; it is made again and read from its beginning",
                &[("stream", stream), ("group", group), ("newest_entry", &newest)],
            );
        }
        self.pause().await;
        let made = async {
            let mut control = Control::new(&self.server)?;
            group::create(&mut control, &self.names.stream, &self.names.group).await
        };
        match meanwhile(&mut self.intake, made).await {
            Ok(_) => {}
            Err(failure) if failure.class == Class::Clustered => {
                return Err(clustered(&failure.words));
            }
            Err(failure) => {
                let words = format!("The group cannot be made. {}", failure.words);
                self.health.cannot_read(&words, failure.class == Class::Hold);
            }
        }
        Ok(())
    }

    async fn pause(&mut self) {
        let pause = sleep(Duration::from_millis(self.backoff.next_ms()));
        meanwhile(&mut self.intake, pause).await;
    }

    /// An entry that no reply may hold would keep us from all that follow: finds it, by reading one
    /// entry at a time, and sets it aside. True when it did.
    async fn set_aside_too_long(&mut self) -> bool {
        if self.careful_left == 0 {
            self.careful_left = READ_ENTRIES_MAX;
            return false;
        }
        let found = self.link.as_ref().and_then(|link| first_id(link.fragment()));
        self.link = None;
        let Some(entry) = found else { return false };
        let Ok(Some(fields)) = self.intake.letters.fields(entry).await else { return false };
        // A length may also have been garbled on its way.
        if !is_too_long(&fields) {
            return false;
        }
        self.numbers.records.increment();
        self.numbers.book(|ledger| ledger.taken += 1);
        let reason = "The entry is longer than pitwall reads.".to_owned();
        self.intake.cannot_decode(entry, reason, fields).await;
        true
    }

    /// The end: nothing more is read, what is in flight is written and acknowledged.
    async fn finish(mut self, deadline: Instant) {
        // A read may be under way, and its reply would be taken for another.
        self.link = None;
        let began = Instant::now();
        loop {
            self.intake.lanes.dispatch();
            let is_hopeless = self.health.is_held() && began.elapsed() >= HELD_END;
            if self.intake.lanes.rows() == 0 || is_hopeless || Instant::now() >= deadline {
                break;
            }
            let look = Instant::now() + BEAT / 4;
            tokio::select! {
                () = self.intake.lanes.answered(&self.intake.heartbeat) => {}
                () = sleep_until(look.min(deadline)) => {}
            }
        }
        self.acknowledge_last(deadline + Duration::from_millis(LAST_ACKS_MS)).await;
        self.weigh();
        let (rows, acks) = (self.numbers.ledger().waiting(), self.unacknowledged() as u64);
        if rows + acks > 0 {
            let words =
                "entries are left pending in Redis; whoever reads the group next writes them";
            let (rows, acks) = (rows.to_string(), acks.to_string());
            let fields = [("unwritten", &*rows), ("written_unacknowledged", &*acks)];
            self.context.log.warn(words, &fields);
        }
    }

    async fn acknowledge_last(&mut self, deadline: Instant) {
        while self.unacknowledged() > 0 && Instant::now() < deadline {
            let within = deadline.saturating_duration_since(Instant::now());
            let tried = timeout(within, async {
                self.connect().await?;
                self.acknowledge().await
            });
            if !matches!(tried.await, Ok(Ok(()))) {
                self.link = None;
                sleep(Duration::from_millis(self.backoff.next_ms().min(250))).await;
            }
        }
    }

    fn unacknowledged(&self) -> usize {
        self.intake.lanes.acks.len() + self.acking.len()
    }
}

/// True when no reply may hold these fields. The length of each value takes a line of its own.
fn is_too_long(fields: &Fields) -> bool {
    const LINES_BYTES: usize = "$1048576\r\n\r\n".len();
    let mut bytes = 0;
    for text in fields.iter().flat_map(|(name, value)| [name, value]) {
        if text.len() > BULK_BYTES_MAX {
            return true;
        }
        bytes += text.len() + LINES_BYTES;
    }
    bytes > REPLY_BYTES_MAX
}

/// Waits for something while the lanes' answers are taken and the heart beats.
async fn meanwhile<T>(intake: &mut Intake, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = intake.lanes.answered(&intake.heartbeat) => {}
        }
    }
}
