//! The table refuses, swallows or already has rows, or is not as it must be.

use std::path::Path;

use tests::client::page;
use tests::postgres::FAST;
use tests::producer::{ACCEPT, Kind, Mix, REFUSE};

use crate::stage::{Found, Stage, insert};

/// Few enough refused rows to be no storm, whatever else was written.
const REFUSED_MAX: usize = 10;

/// The unique index goes, and duplicates come.
pub(crate) fn index_dropped(program: &Path) -> Found {
    let mut stage = Stage::new(Mix { duplicates: 500, ..Mix::plain(10) }, FAST);
    stage.start(program, &[]);
    stage.produce(50);
    stage.until_drained()?;
    stage.execute("DROP INDEX positions_device_ts");
    stage.produce(50);
    stage.until("it notices, or does not", || stage.is_holding() || stage.is_drained())?;
    stage.judge(0)?;
    stage.execute("CREATE UNIQUE INDEX positions_device_ts ON positions (device_id, ts)");
    stage.until_drained()?;
    stage.judge(0)
}

/// The table is away for a while.
pub(crate) fn table_away(program: &Path) -> Found {
    let mut stage = Stage::new(Mix::plain(11), FAST);
    stage.start(program, &[]);
    stage.produce(50);
    stage.until_drained()?;
    stage.execute("ALTER TABLE positions RENAME TO away");
    stage.produce(50);
    stage.until("it holds", || stage.is_holding())?;
    let letters = stage.letters();
    stage.expect(letters == 0, || format!("{letters} of 50 rows were set aside"))?;
    stage.execute("ALTER TABLE away RENAME TO positions");
    stage.until_drained()?;
    stage.judge(0)
}

/// The table refuses a few rows of many, and a few entries are none.
pub(crate) fn some_refused(program: &Path) -> Found {
    let mut stage = Stage::new(Mix { refused: 30, undecodable: 30, ..Mix::plain(12) }, FAST);
    stage.execute(REFUSE);
    stage.start(program, &[]);
    stage.produce(100);
    let count = |kind| stage.records().iter().filter(|record| record.kind == kind).count();
    let (refused, undecodable) = (count(Kind::Refused), count(Kind::Undecodable));
    assert!(refused > 0 && undecodable > 0 && refused + undecodable < REFUSED_MAX, "the seed");
    stage.until_drained()?;
    stage.judge(0)
}

/// There are more dead letters than there may be.
pub(crate) fn letters_full(program: &Path) -> Found {
    let mut stage = Stage::new(Mix { undecodable: 1_000, ..Mix::plain(13) }, FAST);
    stage.start(program, &[("DEAD_LETTERS_MAX", "2".to_owned())]);
    stage.produce(5);
    let is_told = || page(stage.admin(), "/readyz").contains("DEAD_LETTERS_MAX");
    stage.until("it notices, or does not", || is_told() || stage.is_drained())?;
    stage.judge(0)?;
    stage.kill();
    stage.start(program, &[]);
    stage.until_drained()?;
    stage.judge(0)
}

/// The table refuses a few of many new rows, and not before they are committed.
pub(crate) fn refused_at_commit(program: &Path) -> Found {
    let mut stage = Stage::new(Mix { refused: 30, devices: 10, ..Mix::plain(19) }, FAST);
    stage.start(program, &[]);
    stage.produce(100);
    stage.until_drained()?;
    stage.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN RAISE check_violation; END';
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON positions DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.priority = 2) EXECUTE FUNCTION refuse()",
    );
    stage.produce(100);
    stage.until_drained()?;
    stage.judge(0)
}

/// The table refuses every row, which is not the fault of the rows.
pub(crate) fn all_refused(program: &Path) -> Found {
    let mut stage = Stage::new(Mix { refused: 1_000, ..Mix::plain(14) }, FAST);
    stage.execute(REFUSE);
    stage.start(program, &[]);
    stage.produce(50);
    stage.until("it notices, or does not", || stage.is_holding() || stage.is_drained())?;
    let letters = stage.letters();
    stage.expect(letters <= REFUSED_MAX, || format!("{letters} of 50 rows were set aside"))?;
    stage.execute(ACCEPT);
    stage.until_drained()?;
    stage.judge(0)
}

/// A trigger swallows some rows, and PostgreSQL reports no error.
pub(crate) fn rows_swallowed(program: &Path) -> Found {
    let mut stage = Stage::new(Mix::plain(15), FAST);
    stage.start(program, &[]);
    stage.produce(50);
    stage.until_drained()?;
    stage.execute(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER swallow BEFORE INSERT ON positions FOR EACH ROW
            WHEN (NEW.satellites < 5) EXECUTE FUNCTION swallow()",
    );
    stage.produce(50);
    stage.until("it notices, or does not", || stage.is_holding() || stage.is_drained())?;
    stage.execute("DROP TRIGGER swallow ON positions");
    stage.until_drained()?;
    stage.judge(0)
}

/// Somebody else has stored one of many rows that the program knows to be new.
pub(crate) fn row_there_already(program: &Path) -> Found {
    let mut stage = Stage::new(Mix { devices: 5, ..Mix::plain(16) }, FAST);
    stage.start(program, &[]);
    stage.produce(50);
    stage.until_drained()?;
    stage.meanwhile(|stage| {
        stage.produce(50);
        stage.execute(&insert(&stage.records()[75]));
    });
    stage.until_drained()?;
    stage.judge(0)
}

/// Another writer, who keeps to the order of device and time, has a row of a batch that came in the
/// opposite order, and goes on to the others while the program waits for it.
pub(crate) fn writers_meet(program: &Path) -> Found {
    let mix = Mix { devices: 1, late: 1_000, ..Mix::plain(17) };
    let settings = [FAST, &[("deadlock_timeout", "100ms")]].concat();
    let mut stage = Stage::new(mix, &settings);
    stage.start(program, &[("WRITE_LANES", "1".to_owned())]);
    stage.produce(1);
    stage.until_drained()?;
    for _ in 0..3 {
        let other = stage.session();
        stage.meanwhile(|stage| {
            stage.produce(50);
            let last = insert(stage.records().last().expect("fifty of them"));
            stage.execute_in(&other, &format!("BEGIN; {last}")).unwrap();
        });
        stage.until("the program waits for the other", || stage.waits(300))?;
        let records = stage.records();
        let rest = records[records.len() - 40..].iter().rev().skip(1).map(insert);
        let rest: Vec<String> = rest.collect();
        let met = stage.execute_in(&other, &rest.join("; "));
        // What was met is counted now and not a second later.
        stage.execute_in(&other, "ROLLBACK; SELECT pg_stat_force_next_flush()").unwrap();
        stage.execute_in(&other, "SELECT 1").unwrap();
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'";
        let deadlocks = stage.number(deadlocks);
        let is_met = met.is_err() || deadlocks > 0;
        stage.expect(!is_met, || format!("{deadlocks} deadlocks are counted: {met:?}"))?;
        stage.until_drained()?;
    }
    stage.judge(0)
}
