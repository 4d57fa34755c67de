//! The ways to write that are compared, each over a session of its own.

use engine::rows::{Newest, RowBatch};
use pitwall::durable::session::Session;
use tokio_postgres::Client;

use super::insert::Insert;
use super::psql::Psql;
use super::race::Mixture;
use super::staged;
use crate::postgres::Postgres;

/// Longer than any write.
const DEADLINE_MS: u64 = 60_000;

/// Plans as in a session of ours, so that the rivals' are not worse.
const PLANS: &str = "SET plan_cache_mode = force_generic_plan; SET jit = off; \
                     SET enable_seqscan = off; SET enable_bitmapscan = off";

/// A way to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `\copy` of psql in binary, of the bytes that ours sends: the yardstick.
    Psql,
    /// The same once more, over a session of its own: what the instrument says of nothing.
    PsqlAgain,
    /// The same of the rows as they come.
    PsqlUnsorted,
    /// Ours when every row is proven new.
    Fresh,
    /// Ours when one row of a hundred was written before.
    Repeating,
    /// Ours when nothing is proven and every row is new: as after a start.
    Careful,
    /// Ours when every row was written before.
    CarefulAgain,
    /// The multi-row `INSERT` of the service that pitwall replaces.
    Insert,
    /// The best that can be made of it.
    InsertPrepared,
    /// A temporary table for each batch, then `INSERT ... SELECT`.
    Staged,
}

pub(super) const WAYS: [Way; 10] = [
    Way::Psql,
    Way::PsqlAgain,
    Way::PsqlUnsorted,
    Way::Fresh,
    Way::Repeating,
    Way::Careful,
    Way::CarefulAgain,
    Way::Insert,
    Way::InsertPrepared,
    Way::Staged,
];

impl Way {
    /// What its batches are made of.
    pub(super) fn rows(self) -> Mixture {
        if self == Self::Repeating { Mixture::Repeating } else { Mixture::New }
    }

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Psql => "psql \\copy, binary",
            Self::PsqlAgain => "psql once more",
            Self::PsqlUnsorted => "psql, as they come",
            Self::Fresh => "COPY, all fresh",
            Self::Repeating => "1 % duplicates",
            Self::Careful => "careful, all new",
            Self::CarefulAgain => "careful, all there",
            Self::Insert => "INSERT, as text",
            Self::InsertPrepared => "INSERT, prepared",
            Self::Staged => "temporary table",
        }
    }
}

/// A way to write with its session.
pub(super) struct Side {
    pub(super) way: Way,
    /// The process that serves it.
    pub(super) process: u32,
    means: Means,
}

enum Means {
    Psql(Box<Psql>),
    Ours(Box<Ours>),
    Plain(Box<(Client, Insert)>),
}

/// A writing session with the lists of a lane.
struct Ours {
    session: Session,
    fresh: Vec<u32>,
    suspect: Vec<u32>,
}

impl Side {
    pub(super) async fn open(way: Way, postgres: &Postgres) -> Self {
        let (process, means) = match way {
            Way::Psql | Way::PsqlAgain | Way::PsqlUnsorted => {
                let mut psql = Psql::start(postgres);
                (psql.process(), Means::Psql(Box::new(psql)))
            }
            Way::Fresh | Way::Repeating | Way::Careful | Way::CarefulAgain => {
                let (process, ours) = Ours::open(postgres).await;
                (process, Means::Ours(Box::new(ours)))
            }
            Way::Insert | Way::InsertPrepared | Way::Staged => {
                let client = postgres.connect().await;
                client.batch_execute(PLANS).await.expect("settings");
                let row = client.query_one("SELECT pg_backend_pid()", &[]).await;
                let process: i32 = row.expect("a row").get(0);
                (process.cast_unsigned(), Means::Plain(Box::new((client, Insert::default()))))
            }
        };
        Self { way, process, means }
    }

    /// Makes the batches of a turn ready, as far as that is not part of writing them.
    pub(super) async fn prepare(&mut self, batches: &[RowBatch], newest: &mut Newest) {
        match &mut self.means {
            Means::Psql(psql) => {
                for (number, batch) in batches.iter().enumerate() {
                    let mut rows: Vec<u32> = (0..).take(batch.len()).collect();
                    if self.way != Way::PsqlUnsorted {
                        // Who knows no device sorts all rows, as it sorts the fresh ones.
                        Newest::new().split(batch, &mut Vec::new(), &mut rows);
                    }
                    psql.prepare(number, batch, &rows);
                }
            }
            Means::Ours(ours) if self.way == Way::CarefulAgain => {
                for batch in batches {
                    ours.copy(batch, newest).await;
                }
            }
            Means::Ours(_) | Means::Plain(_) => {}
        }
    }

    /// Writes the batches of a turn, one after the other. `newest` knows what all sides have written.
    pub(super) async fn write(&mut self, batches: &[RowBatch], newest: &mut Newest) {
        for (number, batch) in batches.iter().enumerate() {
            match &mut self.means {
                Means::Psql(psql) => assert_eq!(psql.copy(number), batch.len() as u64),
                Means::Ours(ours) => match self.way {
                    Way::Fresh => ours.copy(batch, newest).await,
                    Way::Repeating => ours.split(batch, newest).await,
                    way => ours.insert(batch, way == Way::Careful).await,
                },
                Means::Plain(plain) => {
                    let (client, insert) = &mut **plain;
                    match self.way {
                        Way::Insert => insert.as_text(client, batch).await,
                        Way::InsertPrepared => insert.prepared(client, batch).await,
                        _ => staged::write(client, batch).await,
                    }
                }
            }
            newest.commit(batch);
        }
    }
}

impl Ours {
    async fn open(postgres: &Postgres) -> (u32, Self) {
        let settings = postgres.url().parse().expect("an address");
        let session = Session::open(&settings, DEADLINE_MS).await.expect("a session");
        // A session names itself, and the last one is ours.
        let text = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pitwall-durable%'
                    ORDER BY backend_start DESC LIMIT 1";
        let row = postgres.connect().await.query_one(text, &[]).await.expect("one of it");
        let process: i32 = row.get(0);
        (process.cast_unsigned(), Self { session, fresh: Vec::new(), suspect: Vec::new() })
    }

    async fn copy(&mut self, batch: &RowBatch, newest: &mut Newest) {
        newest.split(batch, &mut self.fresh, &mut self.suspect);
        assert_eq!(self.fresh.len(), batch.len(), "every row is proven new");
        let stored = self.session.copy(batch, &self.fresh).await.expect("it is well");
        assert_eq!(stored, batch.len() as u64, "every row is stored");
    }

    async fn split(&mut self, batch: &RowBatch, newest: &mut Newest) {
        newest.split(batch, &mut self.fresh, &mut self.suspect);
        assert!(self.suspect.len() <= batch.len().div_ceil(100), "few were written before");
        if !self.fresh.is_empty() {
            let stored = self.session.copy(batch, &self.fresh).await.expect("it is well");
            assert_eq!(stored, self.fresh.len() as u64, "every row is stored");
        }
        if !self.suspect.is_empty() {
            let inserted = self.session.insert(batch, &self.suspect).await.expect("it is well");
            assert_eq!((inserted.new, inserted.present), (0, self.suspect.len() as u64));
        }
    }

    async fn insert(&mut self, batch: &RowBatch, are_new: bool) {
        Newest::new().split(batch, &mut self.fresh, &mut self.suspect);
        let inserted = self.session.insert(batch, &self.suspect).await.expect("it is well");
        let count = batch.len() as u64;
        assert_eq!((inserted.new, inserted.present), (if are_new { count } else { 0 }, count));
    }
}
