//! Takes away the live groups of instances that are gone: nobody else does, and each is listed by
//! every tool that looks at the stream.
//!
//! A group is taken only if its instance holds no lease, all its consumers have been silent for long,
//! and entries wait for it: whoever is alive is handed them at once, while a consumer that waits on a
//! silent stream looks as idle as a dead one. All is looked at in one step that nobody can come
//! between.

use std::collections::{BTreeMap, HashMap};

use crate::lease;
use crate::stream::{Control, Failure};

/// How long a consumer must have been silent to be gone.
pub const IDLE_MS_MAX: u64 = 600_000;

/// How often groups are looked at.
pub const COLLECT_MS: u64 = 600_000;

/// 0: somebody may live there. 1: destroyed. 2: entries wait, but nobody has ever read through it, so
/// nothing tells for how long.
const COLLECT: &str = "\
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local waiting = redis.call('XRANGE', KEYS[1], '(' .. ARGV[3], '+', 'COUNT', 1)
if #waiting == 0 then return 0 end
local consumers = redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if #consumers == 0 and ARGV[4] ~= 'again' then return 2 end
for _, consumer in ipairs(consumers) do
  for at = 1, #consumer, 2 do
    if consumer[at] == 'idle' and consumer[at + 1] <= tonumber(ARGV[2]) then return 0 end
  end
end
return redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])";

/// Looks for groups that were left behind.
#[derive(Debug)]
pub struct Collector {
    stream: String,
    /// Group names begin with it; the instance's name follows.
    prefix: String,
    own_group: String,
    idle_ms_max: u64,
    /// Groups without a consumer at the last look, and where they stood: one that still stands there
    /// at the next is gone, too.
    unread: BTreeMap<String, String>,
}

impl Collector {
    /// Has not looked yet.
    #[must_use]
    pub fn new(stream: &str, group_prefix: &str, own_group: &str, idle_ms_max: u64) -> Self {
        Self {
            stream: stream.to_owned(),
            prefix: format!("{group_prefix}-"),
            own_group: own_group.to_owned(),
            idle_ms_max,
            unread: BTreeMap::new(),
        }
    }

    /// Looks once; the names of the groups that were destroyed.
    ///
    /// # Errors
    /// When Redis cannot be asked; what is left is looked at the next time.
    pub async fn collect(&mut self, control: &mut Control) -> Result<Vec<String>, Failure> {
        let command = redis::cmd("XINFO").arg("GROUPS").arg(&self.stream).take();
        let groups = match control.call::<Vec<HashMap<String, redis::Value>>>(&command).await {
            Err(failure) if failure.words.contains("no such key") => Vec::new(),
            groups => groups?,
        };
        let mut destroyed = Vec::new();
        let mut unread = BTreeMap::new();
        for group in &groups {
            let (Some(name), Some(last)) = (text(group, "name"), text(group, "last-delivered-id"))
            else {
                continue;
            };
            let Some(instance_id) = name.strip_prefix(&self.prefix) else { continue };
            if name == self.own_group {
                continue;
            }
            let keys = [&*self.stream, &*lease::key(instance_id)];
            let again = if self.unread.get(&name) == Some(&last) { "again" } else { "first" };
            let arguments = [&*name, &*self.idle_ms_max.to_string(), &*last, again];
            match control.script::<i64>(COLLECT, &keys, &arguments).await? {
                1 => destroyed.push(name),
                2 => drop(unread.insert(name, last)),
                _ => {}
            }
        }
        self.unread = unread;
        Ok(destroyed)
    }
}

fn text(group: &HashMap<String, redis::Value>, field: &str) -> Option<String> {
    match group.get(field)? {
        redis::Value::BulkString(text) => String::from_utf8(text.clone()).ok(),
        _ => None,
    }
}
