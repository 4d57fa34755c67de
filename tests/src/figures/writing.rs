//! What a row costs the process of PostgreSQL that writes it, beside `\copy` of psql.
//!
//! Each way to write has a session, and so a process, of its own. They take turns at one table with
//! its indexes and at the rows of one race, in alternating order: so the indexes are as large for
//! all, and what else the machine does meets all. A round gives one ratio. The figure is the time of
//! the process on a core, user and system, which does not depend on who else wants the core; rows a
//! second are told beside and do depend on it.

mod insert;
mod psql;
mod race;
mod report;
mod sides;
mod staged;

use std::time::{Duration, Instant};
use std::{fs, thread};

use engine::rows::{Newest, RowBatch};
use tokio_postgres::Client;

use self::race::{BACK, Mixture, Rows};
use self::report::Rounds;
use self::sides::{Side, WAYS, Way};
use super::say;
use crate::postgres::{FAST, POSITIONS, Postgres};

/// How the rows of a round come.
#[derive(Clone, Copy)]
struct Size {
    row_count: usize,
    /// Batches of a turn.
    batch_count: usize,
    /// Turns of each side in a round, half of them in either order.
    turn_count: usize,
}

/// A round is about a tenth of a second of each process.
const SIZES: [Size; 4] = [
    Size { row_count: 1, batch_count: 20, turn_count: 50 },
    Size { row_count: 100, batch_count: 4, turn_count: 30 },
    Size { row_count: 1_000, batch_count: 1, turn_count: 12 },
    Size { row_count: 10_000, batch_count: 1, turn_count: 2 },
];

/// Each series has an empty table and new sessions.
struct Effort {
    series_count: usize,
    round_count: usize,
}

const USUAL: Effort = Effort { series_count: 3, round_count: 5 };
const QUICK: Effort = Effort { series_count: 2, round_count: 4 };

/// Mixture of the table when a series begins: more than a repeated one may be back.
const BEGUN_ROWS: usize = 20_000;
const _: () = assert!(BEGUN_ROWS > BACK, "every row that is repeated is there");

/// Beside nobody waiting for the disk: what would fall to one process by chance falls to none. Pages
/// stay in memory, files of the log are not filled with zeros because the server is new, and nobody
/// cleans up.
const SETTINGS: [(&str, &str); 5] = [
    ("shared_buffers", "1GB"),
    ("max_wal_size", "16GB"),
    ("checkpoint_timeout", "1h"),
    ("wal_init_zero", "off"),
    ("autovacuum", "off"),
];

/// How long a process may take to rest after it has answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a row took in a round.
#[derive(Clone, Copy, Default)]
struct Used {
    cpu_us: f64,
    wall_us: f64,
}

/// Measures and prints.
///
/// # Panics
/// When something could not be measured.
pub fn run(is_quick: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let effort = if is_quick { QUICK } else { USUAL };
    runtime.expect("a runtime").block_on(measure(&effort));
}

async fn measure(effort: &Effort) {
    let settings = [FAST, &SETTINGS].concat();
    let postgres = Postgres::start(&settings);
    let client = postgres.connect().await;
    client.batch_execute(POSITIONS).await.expect("a table");
    let row = client.query_one("SHOW server_version", &[]).await.expect("a version");
    let settings: Vec<_> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let settings = settings.join(" ");
    say(&format!("PostgreSQL {}: synchronous_commit=on {settings}", row.get::<_, &str>(0)));
    say("CPU: time of the serving process; wall: also depends on who else uses the machine");
    let mut table = Table { rows: Rows::new(), newest: Newest::new() };
    for size in SIZES {
        let mut rounds: Rounds = WAYS.map(|_| Vec::new()).to_vec();
        for _ in 0..effort.series_count {
            let mut sides = begin(&postgres, &client, &mut table).await;
            // Not counted: statements are prepared, pages are met for the first time.
            table.round(&mut sides, Size { turn_count: 1, ..size }).await;
            for _ in 0..effort.round_count {
                let used = table.round(&mut sides, size).await;
                rounds.iter_mut().zip(used).for_each(|(rounds, used)| rounds.push(used));
            }
        }
        for line in report::lines(size.row_count, &rounds) {
            say(&line);
        }
    }
}

/// An empty table, then some rows, and everybody's session.
async fn begin(postgres: &Postgres, client: &Client, table: &mut Table) -> Vec<Side> {
    client.batch_execute("TRUNCATE positions").await.expect("a table");
    let mut batch = RowBatch::new(BEGUN_ROWS / 2);
    let mut psql = Side::open(Way::Psql, postgres).await;
    for _ in 0..2 {
        table.rows.fill(&mut batch, BEGUN_ROWS / 2, Mixture::New);
        let batches = std::slice::from_ref(&batch);
        psql.prepare(batches, &mut table.newest).await;
        psql.write(batches, &mut table.newest).await;
    }
    let mut sides = Vec::new();
    for way in WAYS {
        sides.push(Side::open(way, postgres).await);
    }
    sides
}

/// What all sides share: the rows to come, and what of them is in the table.
struct Table {
    rows: Rows,
    /// What is written, by whomever.
    newest: Newest,
}

impl Table {
    /// Everybody's turns, and what they used.
    async fn round(&mut self, sides: &mut [Side], size: Size) -> Vec<Used> {
        let mut batches: Vec<_> =
            (0..size.batch_count).map(|_| RowBatch::new(size.row_count)).collect();
        let mut used = vec![(Duration::ZERO, Duration::ZERO); sides.len()];
        let mut order: Vec<usize> = (0..sides.len()).collect();
        for _ in 0..size.turn_count {
            for &at in &order {
                let side = &mut sides[at];
                for batch in &mut batches {
                    self.rows.fill(batch, size.row_count, side.way.rows());
                }
                side.prepare(&batches, &mut self.newest).await;
                let (cpu, clock) = (cpu_time(side.process), Instant::now());
                side.write(&batches, &mut self.newest).await;
                used[at].1 += clock.elapsed();
                used[at].0 += cpu_time(side.process) - cpu;
            }
            order.reverse();
        }
        let row_count = size.turn_count * size.batch_count * size.row_count;
        #[expect(clippy::cast_precision_loss, reason = "few rows")]
        let each_us = |time: Duration| time.as_secs_f64() * 1e6 / row_count as f64;
        used.into_iter()
            .map(|(cpu, wall)| Used { cpu_us: each_us(cpu), wall_us: each_us(wall) })
            .collect()
    }
}

/// The time a process was on a core so far, to the nanosecond, once it rests.
fn cpu_time(process: u32) -> Duration {
    let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).expect("it runs");
    let began = Instant::now();
    // After the name, which may hold anything but ends at the last bracket.
    while !read("stat").rsplit(')').next().expect("a bracket").starts_with(" S") {
        assert!(began.elapsed() < PATIENCE, "process {process} does not rest");
        thread::yield_now();
    }
    let schedstat = read("schedstat");
    let time = schedstat.split(' ').next().and_then(|it| it.parse().ok());
    Duration::from_nanos(time.expect("nanoseconds"))
}
