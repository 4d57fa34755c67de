//! Somebody dies at the worst moment: the program, PostgreSQL, a session, a connection.

use std::path::Path;

use tests::postgres::FAST;
use tests::producer::{Mix, REFUSE};
use tests::proxy::{Ending, Event, Moment, Proxy, Rule};
use tokio_postgres::Client;

use crate::stage::{Found, Stage, insert};

/// Keeps everybody from writing, not from reading.
const HOLD: &str = "BEGIN; LOCK TABLE positions IN SHARE MODE";

/// The sessions of the program.
const SESSIONS: &str = "FROM pg_stat_activity WHERE application_name LIKE 'pitwall-durable%'";

/// The program is killed while it has entries that PostgreSQL does not take. The next one of its name
/// has to store them, and long before they could be claimed.
pub(crate) fn killed_with_entries(program: &Path) -> Found {
    let mut stage = Stage::new(Mix::plain(1), FAST);
    stage.start(program, &[]);
    stage.produce(100);
    stage.until_drained()?;
    let hold = hold(&stage);
    stage.produce(100);
    stage.until("the program has all entries", || stage.undelivered() == 0)?;
    // An acknowledgement goes with the next read: two reads later none is on its way.
    let reads = || stage.metric("processor_consumer_reads_total{result=\"empty\"}").unwrap_or(0.0);
    let reads_before = reads();
    stage.until("it goes on reading", || reads() >= reads_before + 2.0)?;
    stage.kill();
    end_sessions(&stage)?;
    stage.execute_in(&hold, "ROLLBACK").unwrap();
    stage.start(program, &[]);
    stage.until_drained()?;
    stage.judge(0)
}

/// A session ends while it writes, and nobody tells what has become of the rows.
pub(crate) fn session_ended(program: &Path) -> Found {
    let mut stage = Stage::new(Mix::plain(2), FAST);
    stage.start(program, &[]);
    for _ in 0..2 {
        let hold = hold(&stage);
        stage.produce(50);
        stage.until("the program writes", || stage.waits(0))?;
        end_sessions(&stage)?;
        stage.execute_in(&hold, "ROLLBACK").unwrap();
        stage.until_drained()?;
    }
    stage.judge(0)
}

/// What PostgreSQL has only in its memory stays there for long, so that hardly anybody is saved by luck
/// when it is killed.
const LAZY: [(&str, &str); 1] = [("wal_writer_delay", "10s")];

/// PostgreSQL is killed when everything has been acknowledged.
pub(crate) fn postgres_killed(program: &Path) -> Found {
    let mut stage = Stage::new(Mix::plain(3), &LAZY);
    stage.start(program, &[("WRITE_LANES", "1".to_owned())]);
    for _ in 0..3 {
        stage.produce(50);
        stage.until_drained()?;
        stage.kill_postgres();
        stage.judge(0)?;
    }
    Ok(())
}

/// The same, and the rows were there already: by another writer, who has not waited for the disk.
pub(crate) fn postgres_killed_behind_another(program: &Path) -> Found {
    let mut stage = Stage::new(Mix::plain(4), &LAZY);
    stage.start(program, &[]);
    for _ in 0..3 {
        stage.meanwhile(|stage| {
            stage.produce(5);
            let records = stage.records();
            let rows = records[records.len() - 5..].iter().map(insert).collect::<Vec<_>>();
            stage.execute(&format!("SET synchronous_commit = off; {}", rows.join("; ")));
        });
        stage.until_drained()?;
        stage.kill_postgres();
        stage.judge(0)?;
    }
    Ok(())
}

/// Redis has taken a dead letter, and the connection ends before the program hears of it.
pub(crate) fn letter_unheard(program: &Path) -> Found {
    let mut stage = Stage::new(Mix { refused: 100, ..Mix::plain(5) }, FAST);
    stage.execute(REFUSE);
    let proxy = Proxy::to_redis(stage.redis.port());
    let letter = Event::command_with("EVAL", ":dlq");
    let trap = proxy.trap(Rule::new(letter, Moment::Answered, Ending::Reset));
    stage.start(program, &through(&proxy));
    stage.produce(20);
    stage.until("a letter is written", || trap.struck() == 1)?;
    stage.until_drained()?;
    stage.judge(0)
}

/// Redis has given entries, and the connection ends before the program hears of them. They are pending
/// for it, and have to be asked for over the next one.
pub(crate) fn reply_unheard(program: &Path) -> Found {
    let mut stage = Stage::new(Mix::plain(6), FAST);
    let proxy = Proxy::to_redis(stage.redis.port());
    stage.start(program, &through(&proxy));
    let read = Event::command_with("XREADGROUP", ">");
    let trap = proxy.trap(Rule::new(read, Moment::Answered, Ending::Reset).times(usize::MAX));
    stage.produce(50);
    stage.until("all is given", || stage.undelivered() == 0)?;
    assert!(trap.struck() > 0, "none was heard");
    proxy.heal();
    stage.until_drained()?;
    stage.judge(0)
}

fn through(proxy: &Proxy) -> [(&'static str, String); 1] {
    [("REDIS_URL", format!("redis://127.0.0.1:{}", proxy.port()))]
}

fn hold(stage: &Stage) -> Client {
    let session = stage.session();
    stage.execute_in(&session, HOLD).unwrap();
    session
}

/// Ends the sessions of the program and waits until they have gone.
fn end_sessions(stage: &Stage) -> Found {
    let pids: Vec<String> = stage.texts(&format!("SELECT pid::text {SESSIONS}"));
    let pids = format!("ARRAY[{}]::integer[]", pids.join(", "));
    stage.execute(&format!("SELECT pg_terminate_backend(pid) FROM unnest({pids}) AS pid"));
    let left = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ({pids})");
    stage.until("its sessions have ended", || stage.number(&left) == 0)
}
