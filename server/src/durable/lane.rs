//! One lane of the writer: takes a batch, and keeps at it until every row of it is answered for.
//!
//! A row is answered for when it is committed, was there already, or lies in the dead letters. While
//! the database is away or not as it must be, the lane holds: it tries the same rows again and again,
//! sets nothing aside, and says why. It decides by the class of an error and by nothing else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::rows::{EntryId, Newest, RowBatch};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::dead_letter::{DeadLetter, DeadLetters, Written};
use super::health::{HOLD, Health, LaneState, Trouble};
use super::numbers::Numbers;
use super::rebuilt;
use super::session::Session;
use super::storm::Storm;
use super::work::{Way, Work};
use crate::clock::microseconds;
use crate::database::{Class, DatabaseError};
use crate::stream::{self, Backoff};

/// The longest pause between two tries while the database is away.
const PAUSE_MS_MAX: u64 = 2_000;

/// How old the last look at the table may be when rows are written, and how often it is looked at
/// while there is nothing to write.
const LOOK_MS: u64 = 5_000;

/// After a piece that was as large as may be, the next may be larger by this part of it.
const GROWTH: usize = 8;

/// How often a piece may meet rows that it leaves out before its rows are written one by one.
const CONFLICTS_MAX: u32 = 3;

/// What to do about rows that the database refuses, too many to be set aside.
const STORM_REMEDY: &str = "Look for the constraint or the trigger that the reason names, and at what \
                            was set aside with `pitwall dlq list`. If all of them may be set aside, \
                            start with WRITE_STORM_PERCENT=100.";

/// What to do about rows that vanish.
const SWALLOWED_REMEDY: &str = "Look with `\\d+ positions` for a trigger or a rule that keeps rows out, \
                                and take it away.";

/// What a lane needs.
pub(super) struct Parts {
    pub(super) number: usize,
    /// Absent when `POSTGRES_URL` could not be read.
    pub(super) settings: Option<tokio_postgres::Config>,
    pub(super) deadline_ms: u64,
    pub(super) health: Arc<Health>,
    pub(super) numbers: Arc<Numbers>,
    pub(super) storm: Arc<Mutex<Storm>>,
    pub(super) letters: DeadLetters,
}

/// A batch that is answered for.
pub(super) struct Done {
    /// By which lane.
    pub(super) lane: usize,
    /// The batch, to be acknowledged and filled again.
    pub(super) batch: RowBatch,
    /// Rows that were stored.
    pub(super) inserted: u64,
    /// Rows that were there.
    pub(super) duplicate: u64,
    /// Entries that lie in the dead letters, and are acknowledged by that.
    pub(super) dead: Vec<EntryId>,
}

/// One lane.
pub(super) struct Lane {
    parts: Parts,
    newest: Newest,
    session: Option<Session>,
    /// The name of the session before, over which something was still to come.
    given_up: Option<String>,
    /// When the table was last found as it must be.
    looked: Instant,
    backoff: Backoff,
    /// So many rows can be written in the time there is, as far as is known.
    rows_max: usize,
    /// Refused rows that had to wait since a row was last stored.
    postponed: usize,
    fresh: Vec<u32>,
    suspect: Vec<u32>,
}

/// Why a try has failed.
enum Failed {
    /// The database, or the way to it.
    Database(DatabaseError),
    /// It said that it had stored rows which are not there.
    Short,
}

impl From<DatabaseError> for Failed {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl Lane {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            newest: Newest::new(),
            session: None,
            given_up: None,
            looked: Instant::now(),
            backoff: Backoff::default(),
            rows_max: usize::MAX,
            postponed: 0,
            fresh: Vec::new(),
            suspect: Vec::new(),
        }
    }

    /// Writes batch after batch until none will come.
    pub(super) async fn run(
        mut self,
        mut batches: mpsc::Receiver<RowBatch>,
        done: mpsc::Sender<Done>,
    ) {
        self.look().await;
        loop {
            let due = self.looked + Duration::from_millis(LOOK_MS);
            let batch = tokio::select! {
                biased;
                batch = batches.recv() => batch,
                () = sleep_until(due) => {
                    self.look().await;
                    continue;
                }
            };
            let Some(batch) = batch else { return };
            let written = self.write(batch).await;
            self.parts.health.lane_is(self.parts.number, LaneState::Idle);
            if done.send(written).await.is_err() {
                return;
            }
        }
    }

    /// Looks at the table while there is nothing to write, so that what is wrong is told before it
    /// matters.
    async fn look(&mut self) {
        let number = self.parts.number;
        match self.ready(Duration::ZERO).await {
            Ok(_) => {
                self.parts.health.lane_works(number);
                self.parts.health.lane_is(number, LaneState::Idle);
            }
            Err(error) => self.hold(&error),
        }
        // Not sooner again, whatever came out.
        self.looked = Instant::now();
    }

    async fn write(&mut self, batch: RowBatch) -> Done {
        self.parts.health.lane_is(self.parts.number, LaneState::Writing);
        self.parts.numbers.batch(batch.len());
        self.newest.split(&batch, &mut self.fresh, &mut self.suspect);
        let mut work = Work::new(&self.fresh, &self.suspect, self.rows_max);
        let mut done =
            Done { lane: self.parts.number, batch, inserted: 0, duplicate: 0, dead: Vec::new() };
        while let Some((rows, way)) = work.piece() {
            let count = rows.len() as u64;
            match self.attempt(&done.batch, rows, way).await {
                Ok(inserted) => {
                    if rows.len() >= self.rows_max {
                        self.rows_max = self.rows_max.saturating_add(self.rows_max / GROWTH + 1);
                    }
                    work.done();
                    done.inserted += inserted;
                    done.duplicate += count - inserted;
                    self.works(count);
                }
                Err(failed) => self.suffer(failed, &mut work, &mut done).await,
            }
        }
        self.newest.commit(&done.batch);
        let answered = done.inserted + done.duplicate + done.dead.len() as u64;
        assert_eq!(answered, done.batch.len() as u64, "every row is answered for");
        done
    }

    /// One try; says how many of the rows are new.
    async fn attempt(&mut self, batch: &RowBatch, rows: &[u32], way: Way) -> Result<u64, Failed> {
        let began = Instant::now();
        let deadline_ms = self.parts.deadline_ms;
        let session = self.ready(Duration::from_millis(LOOK_MS)).await?;
        let tried = timeout(Duration::from_millis(deadline_ms), async {
            match way {
                Way::Copy => {
                    let stored = session.copy(batch, rows).await?;
                    Ok((stored, stored == rows.len() as u64))
                }
                Way::Careful => {
                    let inserted = session.insert(batch, rows).await?;
                    Ok((inserted.new, inserted.present == rows.len() as u64))
                }
            }
        });
        let elapsed = |_| Err(DatabaseError::deadline(deadline_ms));
        let tried = tried.await.unwrap_or_else(elapsed);
        if way == Way::Copy && tried.as_ref().is_err_and(|error| error.code.is_some()) {
            // The library ends a COPY that was refused before it had begun as if it had: then the
            // server answers once more than it was asked, and every answer that follows is taken
            // for that of the request before.
            self.session = None;
        }
        let histogram = match way {
            Way::Copy => &self.parts.numbers.copy,
            Way::Careful => &self.parts.numbers.careful,
        };
        histogram.observe_us(microseconds(began.elapsed()));
        match tried? {
            (new, true) => Ok(new),
            (_, false) => Err(Failed::Short),
        }
    }

    /// The session, made if there is none, with a table that was found right not longer ago than that.
    async fn ready(&mut self, age_max: Duration) -> Result<&Session, DatabaseError> {
        let deadline_ms = self.parts.deadline_ms;
        let made = timeout(Duration::from_millis(deadline_ms), self.open(age_max)).await;
        made.unwrap_or_else(|_elapsed| {
            let words = format!("PostgreSQL let nobody in within {deadline_ms} ms.");
            Err(DatabaseError::local(Class::Transient, &words))
        })?;
        let session = self.session.as_ref().expect("it was just made");
        self.parts.health.warns(session.warning());
        Ok(session)
    }

    async fn open(&mut self, age_max: Duration) -> Result<(), DatabaseError> {
        let session = match self.session.take().filter(|session| !session.is_closed()) {
            Some(mut session) => {
                if self.looked.elapsed() >= age_max {
                    session.verify().await?;
                    self.looked = Instant::now();
                }
                session
            }
            None => {
                let settings = self.parts.settings.as_ref().ok_or_else(|| {
                    let words = "POSTGRES_URL is not an address of PostgreSQL.";
                    DatabaseError::local(Class::Schema, words)
                })?;
                let session = Session::open(settings, self.parts.deadline_ms).await?;
                if let Some(name) = &self.given_up {
                    session.end_other(name).await?;
                }
                self.given_up = None;
                self.looked = Instant::now();
                session
            }
        };
        self.session = Some(session);
        Ok(())
    }

    /// Rows are safe.
    fn works(&mut self, rows: u64) {
        self.backoff.reset();
        self.postponed = 0;
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        self.parts.storm.lock().unwrap_or_else(PoisonError::into_inner).stored(rows);
        self.parts.health.lane_works(self.parts.number);
    }

    /// A try has failed: what is tried next is decided here.
    async fn suffer(&mut self, failed: Failed, work: &mut Work, done: &mut Done) {
        let error = match failed {
            Failed::Short => return self.is_short(work).await,
            Failed::Database(error) => error,
        };
        self.parts.numbers.retries(error.class).increment();
        let is_over = error.ends_session();
        if is_over && let Some(session) = self.session.take() {
            self.given_up = Some(session.name().to_owned());
            session.cancel();
        }
        match error.class {
            Class::Poison => {
                // A table that has changed refuses rows as if they were at fault.
                if let Err(error) = self.ready(Duration::ZERO).await {
                    self.parts.numbers.retries(error.class).increment();
                    self.hold(&error);
                    sleep(HOLD).await;
                } else if !work.halve() {
                    self.refuse(&error, work, done).await;
                }
            }
            Class::Conflict => {
                let is_same = work.carefully() || work.conflict() < CONFLICTS_MAX;
                if !is_same && !work.take_apart() {
                    self.refuse(&error, work, done).await;
                }
            }
            Class::Outage | Class::Schema => {
                // What is set right may count for new sessions alone.
                self.session = None;
                self.hold(&error);
                sleep(HOLD).await;
            }
            Class::Transient => {
                // Nobody knows whether the rows are there when the session ended over them.
                if is_over {
                    work.carefully();
                }
                if error.took_too_long() {
                    let rows = work.piece().map_or(1, |(rows, _)| rows.len());
                    self.rows_max = rows.div_ceil(2);
                    work.limit(self.rows_max);
                }
                self.hold(&error);
                let pause_ms = self.backoff.next_ms().min(PAUSE_MS_MAX);
                sleep(Duration::from_millis(pause_ms)).await;
            }
        }
    }

    /// The database has said that rows were stored, and they are not there.
    async fn is_short(&mut self, work: &mut Work) {
        self.parts.numbers.short_writes.increment();
        if work.carefully() || work.take_apart() {
            return;
        }
        let words = "PostgreSQL says that it has stored a row of positions, and the row is not there: \
                     a trigger, a rule or a fault of the table swallows it.";
        // A statement that a rule made empty stays so for as long as its session lives.
        self.session = None;
        self.hold_until(Class::Schema, words.to_owned(), SWALLOWED_REMEDY);
        sleep(HOLD).await;
    }

    fn hold(&self, error: &DatabaseError) {
        self.hold_until(error.class, error.words.clone(), error.class.remedy());
    }

    fn hold_until(&self, class: Class, words: String, remedy: &str) {
        let trouble = Trouble { class, words, remedy: remedy.to_owned() };
        self.parts.health.lane_holds(self.parts.number, trouble);
    }

    /// A single row is refused: it goes to the dead letters, unless too many do.
    async fn refuse(&mut self, error: &DatabaseError, work: &mut Work, done: &mut Done) {
        let storm = {
            let mut storm = self.parts.storm.lock().unwrap_or_else(PoisonError::into_inner);
            (!storm.refuse()).then(|| storm.words())
        };
        if let Some(words) = storm {
            // What else there is may be good, and then there are fewer bad ones among all.
            self.postponed += 1;
            if work.postpone() && self.postponed <= work.len() {
                return;
            }
            let words = format!("{words} The last one: {}", error.words);
            self.hold_until(Class::Schema, words, STORM_REMEDY);
            return sleep(HOLD).await;
        }
        let (rows, _) = work.piece().expect("a single row was tried");
        let row = rows[0];
        let code = error.code.as_ref().map_or("", |code| code.code());
        while let Err(trouble) = self.set_aside(&done.batch, row, &error.words, code).await {
            let pause = trouble.pause(&mut self.backoff);
            self.parts.health.lane_holds(self.parts.number, trouble);
            sleep(pause).await;
        }
        work.done();
        self.parts.numbers.refused.increment();
        done.dead.push(done.batch.entries()[row as usize]);
        self.parts.health.lane_works(self.parts.number);
    }

    async fn set_aside(
        &mut self,
        batch: &RowBatch,
        row: u32,
        reason: &str,
        code: &str,
    ) -> Result<(), Trouble> {
        let entry = batch.entries()[row as usize];
        let found = self.parts.letters.fields(entry).await.map_err(|it| Trouble::letter(&it))?;
        let are_fields_lost = found.is_none();
        let fields = found.unwrap_or_else(|| rebuilt::fields(batch, row));
        let reason = format!("{}.", reason.trim_end_matches('.'));
        let letter = DeadLetter { entry, reason: &reason, code, fields: &fields, are_fields_lost };
        match self.parts.letters.write(&letter).await {
            Ok(Written::Added(_)) => {
                self.parts.numbers.acks.increment();
                Ok(())
            }
            // Another instance has answered for it meanwhile, or the whole group is gone: it is made
            // again only when something is read, for which there must be room.
            Ok(Written::NotPending) => Ok(()),
            Err(failure) if failure.class == stream::Class::GroupLost => Ok(()),
            Ok(Written::Full) => Err(Trouble::letters_full()),
            Err(failure) => Err(Trouble::letter(&failure)),
        }
    }
}
