//! The loss meter: how much waits for the writer, how much was trimmed before it came, and how long
//! the rest is safe.
//!
//! [`meter`] reckons; here Redis is asked, at one moment for everything. What is not known is never
//! shown as 0.

pub mod mark;

pub mod meter;

mod numbers;

use std::sync::Arc;

use engine::rows::EntryId;

use self::mark::Mark;
use self::meter::{Extent, Group, Meter, Reading, Sample};
use crate::stream::{Control, Failure, Malformed, Server};

pub use self::numbers::{Danger, Numbers, danger};

/// How often a sample is taken.
pub const PAUSE_MS: u64 = 5_000;

/// How often while ever more waits.
pub const PAUSE_GROWING_MS: u64 = 2_000;

/// Entries that are counted in one step: about a millisecond of Redis's time.
const COUNT_PAGE: u64 = 1_000;

/// Steps of one count; what waits beyond them is not counted. Ten milliseconds of Redis's time in
/// each sample.
const COUNT_PAGES_MAX: u64 = 10;

/// Which life of Redis this is: a restart, and a change of its role, begin another one.
pub(super) const LIFE: &str = "\
local function said(section, name)
  local info = redis.pcall('INFO', section)
  if type(info) ~= 'string' then return '' end
  return string.match(info, name .. ':([^\\r\\n]*)') or ''
end
local run = said('server', 'run_id')
if run ~= '' then run = run .. said('replication', 'master_replid') end
";

/// Everything at one moment: version, life, the stream, the group, the mark. What there is not is
/// empty.
const SAMPLE: &str = "\
local function named(list)
  local found = {}
  for at = 1, #list, 2 do found[list[at]] = list[at + 1] end
  return found
end
local function text(value)
  if type(value) == 'number' then return string.format('%.0f', value) end
  return value or ''
end
local answer = {said('server', 'redis_version'), run, text(redis.call('GET', KEYS[2]))}
if redis.call('EXISTS', KEYS[1]) == 0 then return answer end
local stream = redis.pcall('XINFO', 'STREAM', KEYS[1])
if stream.err then return stream end
stream = named(stream)
local head = stream['first-entry']
for _, value in ipairs({stream['entries-added'] or '', stream['length'],
    stream['last-generated-id'], head and head[1] or '', stream['max-deleted-entry-id'] or ''}) do
  answer[#answer + 1] = text(value)
end
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then return groups end
for _, group in ipairs(groups) do
  group = named(group)
  if group['name'] == ARGV[1] then
    answer[#answer + 1] = group['last-delivered-id']
    answer[#answer + 1] = text(group['entries-read'])
    answer[#answer + 1] = text(group['pending'])
  end
end
return answer";

/// Counts some entries behind one, up to another; also says where it has come to.
const COUNT: &str = "\
local found = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], ARGV[2], 'COUNT', ARGV[3])
return {#found, #found > 0 and found[#found][1] or ARGV[1]}";

/// Remembers, unless another instance has meanwhile.
const REMEMBER: &str = "\
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1";

/// Takes samples, over a connection of its own.
#[derive(Debug)]
pub struct Loss {
    control: Control,
    stream: String,
    group: String,
    key: String,
    meter: Meter,
    numbers: Arc<Numbers>,
    undelivered_before: Option<u64>,
    is_growing: bool,
}

impl Loss {
    /// Has taken none yet.
    ///
    /// # Errors
    /// When the server's address cannot be used.
    pub fn new(server: &Server, stream: &str, group: &str) -> Result<Self, Failure> {
        Ok(Self {
            control: Control::new(server)?,
            stream: stream.to_owned(),
            group: group.to_owned(),
            key: Mark::key(stream, group),
            meter: Meter::new(),
            numbers: Arc::default(),
            undelivered_before: None,
            is_growing: false,
        })
    }

    /// What was read last, for the page of metrics.
    #[must_use]
    pub fn numbers(&self) -> Arc<Numbers> {
        self.numbers.clone()
    }

    /// How long to wait until the next sample.
    #[must_use]
    pub const fn pause_ms(&self) -> u64 {
        if self.is_growing { PAUSE_GROWING_MS } else { PAUSE_MS }
    }

    /// Takes a sample. Milliseconds count from anywhere and never go back.
    ///
    /// # Errors
    /// When Redis cannot be reached, refuses, or does not answer in time. Nothing is known then.
    pub async fn sample(&mut self, now_ms: u64) -> Result<Reading, Failure> {
        let read = self.read(now_ms).await;
        let reading = read.as_ref().copied().unwrap_or_default();
        self.is_growing = match (self.undelivered_before, reading.undelivered) {
            (Some(before), Some(now)) => now > before,
            _ => false,
        };
        self.undelivered_before = reading.undelivered;
        self.numbers.set(reading);
        read
    }

    async fn read(&mut self, now_ms: u64) -> Result<Reading, Failure> {
        let (mut sample, found) = self.ask().await?;
        if self.meter.needs_count(&sample) {
            sample.counted = self.count(&sample).await?;
        }
        let reading = self.meter.sample(now_ms, &sample);
        let mark = self.meter.mark().map(Mark::to_string);
        if let Some(mark) = mark.filter(|mark| *mark != found) {
            // Where it cannot be remembered there, we still remember it ourselves.
            self.control.script::<i64>(REMEMBER, &[&self.key], &[&found, &mark]).await.ok();
        }
        Ok(reading)
    }

    /// A sample, and the text of the mark that was found.
    async fn ask(&mut self) -> Result<(Sample, String), Failure> {
        let (text, keys) = (format!("{LIFE}{SAMPLE}"), [self.stream.as_str(), &self.key]);
        let answer: Vec<String> = self.control.script(&text, &keys, &[&self.group]).await?;
        let sample = sample_of(&answer).ok_or(Malformed::Unexpected)?;
        Ok((sample, answer.into_iter().nth(2).unwrap_or_default()))
    }

    /// Counts what is still to be delivered; nothing when it is too much, or has changed meanwhile.
    async fn count(&mut self, sample: &Sample) -> Result<Option<u64>, Failure> {
        let (Some(stream), Some(group)) = (sample.stream, sample.group) else { return Ok(None) };
        let (mut after, mut total) = (group.delivered.to_string(), 0);
        let (last, page) = (stream.last.to_string(), COUNT_PAGE.to_string());
        for _ in 0..COUNT_PAGES_MAX {
            let (count, reached): (u64, String) =
                self.control.script(COUNT, &[&self.stream], &[&after, &last, &page]).await?;
            (after, total) = (reached, total + count);
            if count < COUNT_PAGE {
                let (now, _) = self.ask().await?;
                return Ok(Some(total).filter(|_| is_range_kept(sample, &now)));
            }
        }
        Ok(None)
    }
}

/// True when nothing that was still to be delivered in the one sample had gone in the other.
fn is_range_kept(before: &Sample, after: &Sample) -> bool {
    let (Some(then), Some(now), Some(group)) = (before.stream, after.stream, before.group) else {
        return false;
    };
    let is_all_kept = then.removed().is_some() && then.removed() == now.removed();
    let is_head_kept = now.head.is_some_and(|head| head <= group.delivered);
    let is_none_deleted = now.deleted == then.deleted && now.deleted <= group.delivered;
    before.run == after.run && (is_all_kept || (is_head_kept && is_none_deleted))
}

/// Reads the answer of [`SAMPLE`].
fn sample_of(answer: &[String]) -> Option<Sample> {
    let [version, run, mark, rest @ ..] = answer else { return None };
    let stream = match rest {
        [] => None,
        [added, length, last, head, deleted, ..] => Some(Extent {
            added: optional(added, |text| text.parse().ok())?,
            length: length.parse().ok()?,
            last: id(last)?,
            head: optional(head, id)?,
            deleted: optional(deleted, id)?.unwrap_or_default(),
        }),
        _ => return None,
    };
    let group = match rest.get(5..).unwrap_or_default() {
        [] => None,
        [delivered, read, pending] => Some(Group {
            delivered: id(delivered)?,
            read: optional(read, |text| text.parse().ok())?,
            pending: pending.parse().ok()?,
        }),
        _ => return None,
    };
    Some(Sample {
        run: run.clone(),
        counts_deliveries: version.starts_with("7.0."),
        stream,
        group,
        mark: Mark::parse(mark),
        counted: None,
    })
}

fn id(text: &str) -> Option<EntryId> {
    EntryId::parse(text.as_bytes())
}

/// A value that may be empty; nothing when it is neither.
fn optional<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text.is_empty() { Some(None) } else { parse(text).map(Some) }
}
