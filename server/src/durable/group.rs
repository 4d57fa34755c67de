//! The group of the durable plane: made where nothing that can still be read is left out.

use crate::stream::{Class, Control, Failure};

/// Makes the group at the stream's beginning, never at its end: what was added before it existed is
/// read, too. What had been trimmed away by then is not counted as unread: nobody could have read it.
const CREATE: &str = "\
local trimmed = 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  local of = {}
  for at = 1, #info, 2 do of[info[at]] = info[at + 1] end
  trimmed = (of['entries-added'] or of['length']) - of['length']
end
return redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM', 'ENTRIESREAD', trimmed)";

/// Makes the group if there is none.
///
/// # Errors
/// When Redis cannot be reached, or refuses.
pub(super) async fn create(
    control: &mut Control,
    stream: &str,
    group: &str,
) -> Result<(), Failure> {
    let made: Result<redis::Value, Failure> = control.script(CREATE, &[stream], &[group]).await;
    match made {
        Err(failure) if failure.class == Class::GroupExists => Ok(()),
        result => result.map(drop),
    }
}
