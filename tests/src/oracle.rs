//! Judges what has become of what was produced, and believes neither the writer nor its counters.
//!
//! It compares three things: the producer's [`Log`], what Redis holds (the stream, what its group
//! was given and has not acknowledged, the dead letters), and the rows of the table. From these it
//! tells the fate of every record:
//!
//! 1. an entry that was given to the group and is not pending any more has its row, or is the
//!    duplicate of a row, or has its dead letter;
//! 2. there is one row of a device and time;
//! 3. entries added = rows + duplicates + dead letters + trimmed + pending + undelivered.
//!
//! One thing cannot be seen from outside: whether an entry that is in the stream no more was
//! acknowledged first. It counts as trimmed, and a test says how many of these it expects: none,
//! unless it has the stream trimmed or lets Redis forget.

mod sight;
mod table;
mod verdict;

use std::collections::HashMap;

use engine::rows::EntryId;
use redis::Connection;
use tokio_postgres::Client;

pub use verdict::{Verdict, Wrong};

use crate::producer::{Entry, Kind, Log, Record};
use sight::{Letter, Sight};
use table::Table;

/// The writer's group.
pub const GROUP: &str = "processor";

/// Where the dead letters are.
pub const DEAD_LETTERS: &str = "telemetry:teltonika:dlq";

/// Judges. A writer may be at work meanwhile; what it has not done yet is pending or undelivered. The
/// log must be whole: nobody produces meanwhile.
///
/// # Panics
/// When Redis or the database does not answer.
pub async fn judge(log: &Log, redis_port: u16, database: &Client) -> Verdict {
    let mut verdict = Verdict::default();
    let sight = Sight::take(&mut connect(redis_port), log);
    let table = Table::read(log, database, &mut verdict).await;
    let letters = letters(log, &sight, &mut verdict);
    verdict.letters = sight.letters.len() as u64;
    verdict.waiting = sight.waiting() as u64;
    for (place, record) in log.records.iter().enumerate() {
        let entry = match record.entry {
            Entry::At(entry) => Some(entry),
            Entry::Perhaps => sight.found.get(&place).copied(),
            Entry::Nowhere => continue,
        };
        let group = table.group(record).filter(|group| group.rows > 0);
        let is_standing = group.is_some_and(|group| group.stands == Some(place));
        let is_first = group.is_some_and(|group| group.records[0] == place);
        verdict.later_stands += u64::from(is_standing && !is_first);
        let Some(entry) = entry else {
            verdict.added += u64::from(is_standing);
            verdict.stored += u64::from(is_standing);
            verdict.absent += u64::from(!is_standing);
            continue;
        };
        verdict.added += 1;
        if letters.contains_key(&entry) {
            verdict.dead_lettered += 1;
            if is_standing {
                verdict.add(Wrong::StoredAndDeadLettered, || told(entry, record));
            }
        } else if is_standing {
            verdict.stored += 1;
        } else if group.is_some() {
            verdict.duplicates += 1;
        } else if sight.pending.contains(&entry) {
            verdict.pending += 1;
        } else if !sight.present.contains(&entry) {
            verdict.trimmed += 1;
        } else if entry > sight.delivered_up_to {
            verdict.undelivered += 1;
        } else {
            verdict.add(Wrong::AcknowledgedButLost, || told(entry, record));
        }
    }
    verdict
}

/// True when the group was given every entry and has acknowledged all of them.
///
/// # Panics
/// When Redis does not answer.
#[must_use]
pub fn is_drained(redis_port: u16) -> bool {
    let mut redis = connect(redis_port);
    let delivered_up_to = sight::delivered_up_to(&mut redis);
    delivered_up_to.is_some_and(|entry| {
        !sight::is_followed(&mut redis, entry) && sight::pending_count(&mut redis) == 0
    })
}

fn connect(port: u16) -> Connection {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"));
    let client = client.expect("the address of a server");
    client.get_connection().expect("a running server answers")
}

/// The dead letters by their entries, each of them looked at.
fn letters<'a>(log: &Log, sight: &'a Sight, verdict: &mut Verdict) -> HashMap<EntryId, &'a Letter> {
    let records: HashMap<EntryId, &Record> = log
        .records
        .iter()
        .enumerate()
        .filter_map(|(place, record)| match record.entry {
            Entry::At(entry) => Some((entry, record)),
            Entry::Perhaps => sight.found.get(&place).map(|&entry| (entry, record)),
            Entry::Nowhere => None,
        })
        .collect();
    let mut letters = HashMap::new();
    for letter in &sight.letters {
        let letter = match letter {
            Ok(letter) => letter,
            Err(fault) => {
                verdict.add(Wrong::DeadLetterGarbled, || fault.clone());
                continue;
            }
        };
        let entry = letter.entry;
        if letters.insert(entry, letter).is_some() {
            verdict.add(Wrong::DeadLetterTwice, || entry.to_string());
        }
        let Some(record) = records.get(&entry) else {
            verdict.add(Wrong::DeadLetterOfNothing, || entry.to_string());
            continue;
        };
        if !matches!(record.kind, Kind::Undecodable | Kind::Refused) {
            let told = || format!("{} for {}", told(entry, record), letter.code);
            verdict.add(Wrong::GoodDeadLettered, told);
        }
        if !is_true(letter, record) {
            verdict.add(Wrong::DeadLetterGarbled, || {
                format!("{} has {letter:?}", told(entry, record))
            });
        }
    }
    letters
}

/// True when a dead letter tells the fields of its entry, and why it is one.
fn is_true(letter: &Letter, record: &Record) -> bool {
    let is_undecodable = record.kind == Kind::Undecodable;
    let is_told = if letter.has_lost_fields {
        // Told from the row, so in other words; who it was must be right.
        let device_id = (b"device_id".to_vec(), record.device_id().into_bytes());
        let names = letter.raw.iter().map(|(name, _)| &name[..]);
        !is_undecodable
            && letter.raw.contains(&device_id)
            && names.eq([&b"device_id"[..], b"ts", b"codec", b"payload"])
    } else {
        letter.raw == record.fields()
    };
    is_told && is_undecodable == (letter.code == "decode")
}

fn told(entry: EntryId, record: &Record) -> String {
    let Record { number, kind, ts_ms, .. } = record;
    format!("{entry} (record {number}, {kind:?}, {} at {ts_ms})", record.device_id())
}
