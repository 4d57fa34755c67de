//! What there is in Redis: entries, who has them, and dead letters. Nothing here judges.

use std::collections::{HashMap, HashSet};

use engine::rows::EntryId;
use redis::{Connection, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, Value};

use super::{DEAD_LETTERS, GROUP};
use crate::entries::STREAM;
use crate::producer::{Entry, Log, RawField};

/// Entries read at a time.
const PAGE: usize = 1_000;

/// What Redis holds of a stream, a group and its dead letters.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// The newest entry that was given to anybody; nothing was if there is no group.
    pub(super) delivered_up_to: EntryId,
    /// Entries that were given to somebody who has not acknowledged them.
    pub(super) pending: HashSet<EntryId>,
    /// Entries that are still there.
    pub(super) present: HashSet<EntryId>,
    /// Records of which the producer did not know whether they exist, and do: by their place in the
    /// log.
    pub(super) found: HashMap<usize, EntryId>,
    /// Dead letters in their order, or what was found in the place of one.
    pub(super) letters: Vec<Result<Letter, String>>,
}

/// A dead letter.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) entry: EntryId,
    /// An SQLSTATE, or `decode`.
    pub(super) code: String,
    /// The fields of the entry.
    pub(super) raw: Vec<RawField>,
    /// The fields were lost; they are told from what was made of them.
    pub(super) has_lost_fields: bool,
}

impl Sight {
    /// Looks at Redis. What is acknowledged is looked at before anything of which it must be true,
    /// so that a writer may be at work meanwhile.
    pub(super) fn take(redis: &mut Connection, log: &Log) -> Self {
        let mut sight = Self::default();
        if let Some(delivered_up_to) = delivered_up_to(redis) {
            sight.delivered_up_to = delivered_up_to;
            sight.pending = pending(redis);
        }
        let mut unknown = Unknown::of(log);
        for_each_entry(redis, STREAM, |entry, fields| {
            sight.present.insert(entry);
            sight.found.extend(unknown.find(entry, &fields));
        });
        for_each_entry(redis, DEAD_LETTERS, |id, fields| {
            let letter = Letter::read(fields).map_err(|fault| format!("letter {id}: {fault}"));
            if let Ok(letter) = &letter {
                sight.found.extend(unknown.find(letter.entry, &letter.raw));
            }
            sight.letters.push(letter);
        });
        sight
    }

    /// Entries that somebody still has to care for.
    pub(super) fn waiting(&self) -> usize {
        let undelivered = self.present.iter().filter(|&&entry| entry > self.delivered_up_to);
        self.pending.len() + undelivered.count()
    }
}

/// Records that may exist or not, by what their entries would hold.
struct Unknown {
    places: HashMap<Vec<RawField>, Vec<usize>>,
    /// Ids that belong to other records, which may have the same words.
    known: HashSet<EntryId>,
}

impl Unknown {
    fn of(log: &Log) -> Self {
        let mut unknown = Self { places: HashMap::new(), known: HashSet::new() };
        for (place, record) in log.records.iter().enumerate().rev() {
            match record.entry {
                Entry::At(entry) => drop(unknown.known.insert(entry)),
                Entry::Perhaps => {
                    unknown.places.entry(record.fields()).or_default().push(place);
                }
                Entry::Nowhere => {}
            }
        }
        unknown
    }

    /// The record that this entry is, if it is one of them.
    fn find(&mut self, entry: EntryId, fields: &[RawField]) -> Option<(usize, EntryId)> {
        if self.places.is_empty() || self.known.contains(&entry) {
            return None;
        }
        let place = self.places.get_mut(fields)?.pop()?;
        self.known.insert(entry);
        Some((place, entry))
    }
}

impl Letter {
    /// Reads a dead letter as strictly as its format is written.
    fn read(fields: Vec<RawField>) -> Result<Self, String> {
        let mut fields = fields.into_iter().peekable();
        let mut next = |name: &str| match fields.next() {
            Some((found, value)) if found == name.as_bytes() => {
                String::from_utf8(value).map_err(|_| format!("`{name}` is no text"))
            }
            other => Err(format!("no `{name}` in its place: {other:?}")),
        };
        let entry = next("entry")?;
        let entry =
            EntryId::parse(entry.as_bytes()).ok_or_else(|| format!("`entry` is {entry}"))?;
        let (reason, code) = (next("reason")?, next("code")?);
        let (instance, at) = (next("instance")?, next("at")?);
        if !reason.ends_with('.') || instance.is_empty() {
            return Err(format!("the reason is {reason:?}, the instance {instance:?}"));
        }
        let is_time = at.len() == 24 && at.starts_with("20") && at.ends_with('Z');
        let is_state = code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_time || !(is_state || code == "decode") {
            return Err(format!("the time is {at:?}, the code {code:?}"));
        }
        let lost = (b"lost_fields".to_vec(), b"1".to_vec());
        let has_lost_fields = fields.next_if_eq(&lost).is_some();
        let mut raw = Vec::new();
        for (name, value) in fields {
            let name =
                name.strip_prefix(b"raw:").ok_or_else(|| format!("an unknown field {name:?}"))?;
            raw.push((name.to_vec(), value));
        }
        Ok(Self { entry, code, raw, has_lost_fields })
    }
}

/// The newest entry that was given to anybody; `None` without stream or group.
pub(super) fn delivered_up_to(redis: &mut Connection) -> Option<EntryId> {
    let groups = redis::cmd("XINFO").arg("GROUPS").arg(STREAM).query(redis);
    let groups: Vec<HashMap<String, Value>> = unless_missing(groups)?;
    let text = |group: &HashMap<String, Value>, name: &str| -> String {
        FromRedisValue::from_redis_value(group[name].clone()).expect("a text")
    };
    let group = groups.iter().find(|group| text(group, "name") == GROUP)?;
    EntryId::parse(text(group, "last-delivered-id").as_bytes())
}

/// How many entries are pending.
pub(super) fn pending_count(redis: &mut Connection) -> usize {
    let summary: Vec<Value> =
        redis::cmd("XPENDING").arg(STREAM).arg(GROUP).query(redis).expect("the group is there");
    FromRedisValue::from_redis_value(summary[0].clone()).expect("a count")
}

/// True when an entry follows this one.
pub(super) fn is_followed(redis: &mut Connection, entry: EntryId) -> bool {
    !page(redis, STREAM, &format!("({entry}"), 1).is_empty()
}

fn pending(redis: &mut Connection) -> HashSet<EntryId> {
    let mut pending = HashSet::new();
    let mut from = "-".to_owned();
    loop {
        let mut command = redis::cmd("XPENDING");
        command.arg(STREAM).arg(GROUP).arg(&from).arg("+").arg(PAGE);
        let page: Vec<(String, String, u64, u64)> = command.query(redis).expect("the group stays");
        let Some((last, ..)) = page.last() else { return pending };
        from = format!("({last}");
        pending.extend(page.iter().map(|(id, ..)| id_of(id)));
    }
}

fn for_each_entry(redis: &mut Connection, key: &str, mut see: impl FnMut(EntryId, Vec<RawField>)) {
    let mut from = "-".to_owned();
    loop {
        let page = page(redis, key, &from, PAGE);
        let Some((last, _)) = page.last() else { return };
        from = format!("({last}");
        for (id, fields) in page {
            see(id_of(&id), fields);
        }
    }
}

fn page(
    redis: &mut Connection,
    key: &str,
    from: &str,
    count: usize,
) -> Vec<(String, Vec<RawField>)> {
    let mut command = redis::cmd("XRANGE");
    command.arg(key).arg(from).arg("+").arg("COUNT").arg(count);
    command.query(redis).expect("Redis shows a stream")
}

/// `None` when Redis says that there is no such key.
fn unless_missing<T>(answer: RedisResult<T>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError) => None,
        Err(error) => panic!("Redis does not show its groups: {error}"),
    }
}

fn id_of(text: &str) -> EntryId {
    EntryId::parse(text.as_bytes()).expect("Redis gives ids")
}
