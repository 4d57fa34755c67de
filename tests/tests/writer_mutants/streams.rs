//! Redis forgets, trims, or holds what a dead consumer has left.

use std::path::Path;

use tests::client::page;
use tests::entries::STREAM;
use tests::oracle::GROUP;
use tests::postgres::FAST;
use tests::producer::{Entry, Mix};

use crate::stage::{Found, INSTANCE, Stage};

/// Redis loses everything, and entries come before the group is there again.
pub(crate) fn redis_emptied(program: &Path) -> Found {
    let mut stage = Stage::new(Mix::plain(7), FAST);
    stage.start(program, &[]);
    stage.produce(50);
    stage.until_drained()?;
    stage.meanwhile(|stage| {
        stage.ask(&["FLUSHALL"]);
        stage.produce(50);
    });
    stage.until_drained()?;
    stage.judge(0)
}

/// Entries are trimmed before they are read. How many is told, and that nothing waits.
pub(crate) fn trimmed_unread(program: &Path) -> Found {
    let mut stage = Stage::new(Mix::plain(8), FAST);
    stage.start(program, &[]);
    stage.produce(50);
    stage.until_drained()?;
    stage.meanwhile(|stage| {
        stage.produce(100);
        stage.ask(&["XTRIM", STREAM, "MAXLEN", "=", "40"]);
    });
    stage.until_drained()?;
    let trimmed = stage.verdict().trimmed;
    let is_told = || told(&stage, "processor_lost_trimmed_total") == Some(trimmed);
    stage.until(&format!("{trimmed} lost entries are told"), is_told)?;
    let lag = told(&stage, "processor_consumer_lag");
    stage.expect(lag == Some(0), || format!("nothing waits, and {lag:?} is told"))?;
    stage.judge(trimmed)
}

/// A consumer dies with entries, the program has some from a life before, and of both some are trimmed
/// before they are asked for again.
pub(crate) fn trimmed_while_pending(program: &Path) -> Found {
    let mut stage = Stage::new(Mix::plain(9), FAST);
    stage.ask(&["XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM"]);
    stage.produce(40);
    for (consumer, count) in [(INSTANCE, "5"), ("dead", "5"), (INSTANCE, "10"), ("dead", "10")] {
        let read = ["XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count, "STREAMS", STREAM, ">"];
        stage.ask(&read);
    }
    // Those of the dead one have rested for an hour.
    let records = stage.records();
    let entries = records[5..10].iter().chain(&records[20..30]).map(|record| match record.entry {
        Entry::At(entry) => entry.to_string(),
        Entry::Perhaps | Entry::Nowhere => panic!("Redis has taken it"),
    });
    let entries: Vec<String> = entries.collect();
    let mut claim = vec!["XCLAIM", STREAM, GROUP, "dead", "0"];
    claim.extend(entries.iter().map(String::as_str));
    claim.extend(["IDLE", "3600000", "JUSTID"]);
    stage.ask(&claim);
    stage.ask(&["XTRIM", STREAM, "MAXLEN", "=", "30"]);
    stage.start(program, &[]);
    stage.until_drained()?;
    stage.judge(10)?;
    let lost = told(&stage, "processor_lost_pending_trimmed_total");
    stage.expect(lost == Some(10), || format!("10 entries are lost, and {lost:?} is told"))
}

fn told(stage: &Stage, name: &str) -> Option<u64> {
    page(stage.admin(), "/metrics")
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}
