//! Entries that a dead consumer has left: when they are looked for, and what Redis answers.

use std::time::Duration;

use engine::rows::EntryId;
use tokio::time::Instant;

use crate::stream::{Cursor, Entries, Malformed};

/// Between two rounds, at most.
const ROUND_MAX: Duration = Duration::from_secs(15);

/// Most entries of one look: a millisecond of Redis's time or two.
const ENTRIES_MAX: usize = 1_000;

/// Takes over what others have left, one entry after the other.
///
/// Left to itself, `XAUTOCLAIM` forgets every entry that was trimmed away, also one that somebody
/// alive has just read and is about to store. So each entry is looked at first: one that rests with
/// another consumer is claimed, or was trimmed and is lost; one that rests with ourselves is told.
const CLAIM: &str = "\
local resting =
  redis.pcall('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], ARGV[4], '+', ARGV[5])
if resting.err then return resting end
local claimed, own, lost = {}, {}, 0
for _, found in ipairs(resting) do
  local id, consumer = found[1], found[2]
  if consumer == ARGV[2] then
    own[#own + 1] = id
  else
    local answer =
      redis.pcall('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], id, 'COUNT', 1)
    if answer.err then return answer end
    if answer[2][1] then
      claimed[#claimed + 1] = answer[2][1]
    else
      redis.call('XACK', KEYS[1], ARGV[1], id)
      lost = lost + 1
    end
  end
end
local is_last = #resting < tonumber(ARGV[5])
return {is_last and '-' or '(' .. resting[#resting][1], claimed, own, lost}";

/// The rounds through what is pending for others.
#[derive(Debug)]
pub(super) struct Claims {
    threshold: Duration,
    due: Instant,
    /// Behind which entry the round goes on; nothing at its beginning.
    after: Option<EntryId>,
}

/// What a look has brought.
#[derive(Debug)]
pub(super) struct Claimed<'a> {
    /// Behind which entry to look next; nothing when the round is over.
    pub(super) after: Option<EntryId>,
    /// Entries that are ours now.
    pub(super) entries: Entries<'a>,
    /// Entries that have rested with ourselves: in flight for long, or never arrived.
    pub(super) own: Vec<EntryId>,
    /// Entries that were trimmed away while they were pending: Redis has forgotten them.
    pub(super) lost: u64,
}

impl Claims {
    /// Entries are left when they have rested that long. The first look is due at once.
    pub(super) fn new(threshold_ms: u64) -> Self {
        let threshold = Duration::from_millis(threshold_ms);
        Self { threshold, due: Instant::now(), after: None }
    }

    /// True when it is time to look.
    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// The command that looks.
    pub(super) fn command(
        &self,
        stream: &str,
        group: &str,
        consumer: &str,
        count: usize,
    ) -> Vec<u8> {
        let threshold_ms = u64::try_from(self.threshold.as_millis()).unwrap_or(u64::MAX);
        let from = self.after.map_or_else(|| "-".to_owned(), |entry| format!("({entry}"));
        let mut command = redis::cmd("EVAL");
        command.arg(CLAIM).arg(1).arg(stream).arg(group).arg(consumer);
        command.arg(threshold_ms).arg(from).arg(count.min(ENTRIES_MAX));
        command.get_packed_command()
    }

    /// A look has come so far.
    pub(super) fn went_on(&mut self, after: Option<EntryId>) {
        self.after = after;
        if after.is_none() {
            self.due = Instant::now() + (self.threshold / 4).min(ROUND_MAX);
        }
    }
}

/// Reads the answer.
///
/// # Errors
/// When it has another shape.
pub(super) fn read(mut reply: Cursor<'_>) -> Result<Claimed<'_>, Malformed> {
    let id = |text: &[u8]| EntryId::parse(text).ok_or(Malformed::Unexpected);
    if reply.array()? != Some(4) {
        return Err(Malformed::Unexpected);
    }
    let after = match reply.text()?.ok_or(Malformed::Unexpected)? {
        b"-" => None,
        text => Some(id(text.strip_prefix(b"(").ok_or(Malformed::Unexpected)?)?),
    };
    let entries = Entries::of_list(reply)?;
    reply.skip()?;
    let mut own = Vec::new();
    for _ in 0..reply.array()?.ok_or(Malformed::Unexpected)? {
        own.push(id(reply.text()?.ok_or(Malformed::Unexpected)?)?);
    }
    let lost = u64::try_from(reply.integer()?).map_err(|_| Malformed::Unexpected)?;
    Ok(Claimed { after, entries, own, lost })
}
