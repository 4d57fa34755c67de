//! Creates the group of the writer, so that nothing that is in the stream is passed over and what was
//! trimmed before does not count as lost.

use crate::stream::{Class, Control, Failure};

use super::loss::LIFE;
use super::loss::mark::Mark;

/// Creates the group at the first entry of the stream, and the stream if there is none. That what is
/// gone counts as read, and that nothing was lost yet, is remembered with it.
///
/// The group is refused before anything is changed, if it is; whether the mark may be written
/// decides nothing.
const CREATE: &str = "\
local added, length = 0, 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local stream = redis.pcall('XINFO', 'STREAM', KEYS[1])
  if stream.err then return stream end
  added = nil
  for at = 1, #stream, 2 do
    if stream[at] == 'entries-added' then added = stream[at + 1] end
    if stream[at] == 'length' then length = stream[at + 1] end
  end
end
local created
if added then
  local gone = string.format('%.0f', added - length)
  created = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM', 'ENTRIESREAD', gone)
  if not created.err then
    local mark = string.format('run:%s %.0f %s 0-0 0 0 0', run, added, gone)
    redis.pcall('SET', KEYS[2], mark)
  end
end
if not added or (created.err and string.find(created.err, '^%-?ERR ')) then
  created = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
  if not created.err then redis.pcall('DEL', KEYS[2]) end
end
return created";

/// Makes sure that the group exists; true when it did not. A new one begins at 0, never at `$`.
///
/// # Errors
/// When Redis cannot be reached, refuses, or does not answer in time.
pub async fn create(control: &mut Control, stream: &str, group: &str) -> Result<bool, Failure> {
    let (text, key) = (format!("{LIFE}{CREATE}"), Mark::key(stream, group));
    let created = control.script::<redis::Value>(&text, &[stream, &key], &[group]).await;
    match created {
        Err(failure) if failure.class == Class::GroupExists => Ok(false),
        result => result.map(|_| true),
    }
}
