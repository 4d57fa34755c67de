//! Takes away the live groups of instances that are gone: nobody else does, and each is listed by
//! every tool that looks at the stream.
//!
//! A group is taken only if its instance holds no lease and all its consumers have been silent for
//! long; both are looked at in one step that nobody can come between.

use std::collections::BTreeSet;

use super::lease;
use crate::stream::{Control, Failure};

/// How long a consumer must have been silent to be gone.
pub const IDLE_MS_MAX: u64 = 600_000;

/// How often groups are looked at.
pub const COLLECT_MS: u64 = 600_000;

/// 0: somebody lives there. 1: destroyed. 2: nobody has ever read through it, so nothing tells how
/// old it is.
const COLLECT: &str = "\
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local consumers = redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if #consumers == 0 and ARGV[3] ~= 'again' then return 2 end
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
    /// Groups without a consumer at the last look: one seen so twice is gone, too.
    empty: BTreeSet<String>,
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
            empty: BTreeSet::new(),
        }
    }

    /// Looks once; the names of the groups that were destroyed.
    ///
    /// # Errors
    /// When Redis cannot be asked; what is left is looked at the next time.
    pub async fn collect(&mut self, control: &mut Control) -> Result<Vec<String>, Failure> {
        let command = redis::cmd("XINFO").arg("GROUPS").arg(&self.stream).take();
        let groups: Vec<std::collections::HashMap<String, redis::Value>> =
            control.call(&command).await?;
        let names = groups.iter().filter_map(|group| match group.get("name")? {
            redis::Value::BulkString(name) => String::from_utf8(name.clone()).ok(),
            _ => None,
        });
        let mut destroyed = Vec::new();
        let mut empty = BTreeSet::new();
        for group in names {
            let Some(instance_id) = group.strip_prefix(&self.prefix) else { continue };
            if group == self.own_group {
                continue;
            }
            let keys = [&*self.stream, &*lease::key(instance_id)];
            let again = if self.empty.contains(&group) { "again" } else { "first" };
            let arguments = [&*group, &*self.idle_ms_max.to_string(), again];
            match control.script::<i64>(COLLECT, &keys, &arguments).await? {
                1 => destroyed.push(group),
                2 => drop(empty.insert(group)),
                _ => {}
            }
        }
        self.empty = empty;
        Ok(destroyed)
    }
}
