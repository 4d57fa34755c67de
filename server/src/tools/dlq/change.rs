//! Takes dead letters away: back into the stream, or for good.

use engine::rows::EntryId;

use super::letter::Letter;
use crate::stream::{Control, Failure, Malformed};

/// Adds the fields of the entry to its stream and deletes the letter, both or neither: what Redis may
/// refuse comes first.
const REQUEUE: &str = "\
local found = redis.pcall('XRANGE', KEYS[2], ARGV[1], ARGV[1])
if found.err then return found end
if #found == 0 then return '' end
local all, fields = found[1][2], {}
for at = 1, #all, 2 do
  if string.sub(all[at], 1, 4) == 'raw:' then
    fields[#fields + 1] = string.sub(all[at], 5)
    fields[#fields + 1] = all[at + 1]
  end
end
local id = redis.pcall('XADD', KEYS[1], '*', unpack(fields))
if type(id) == 'table' then return id end
redis.call('XDEL', KEYS[2], ARGV[1])
return id";

/// What became of a letter that was to go back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Requeued {
    /// Its entry is in the stream again, under this id.
    Back(EntryId),
    /// It is not there any more.
    Gone,
    /// It stays, for this reason.
    Refused(String),
}

/// Puts the entry of a letter back into its stream.
pub(super) async fn requeue(
    control: &mut Control,
    (stream, key): (&str, &str),
    letter: &Letter,
) -> Result<Requeued, Failure> {
    if let Some(words) = obstacle(letter) {
        return Ok(Requeued::Refused(words));
    }
    let id = letter.id.to_string();
    let added: String = control.script(REQUEUE, &[stream, key], &[&id]).await?;
    if added.is_empty() {
        return Ok(Requeued::Gone);
    }
    let added = EntryId::parse(added.as_bytes()).ok_or(Malformed::Unexpected)?;
    Ok(Requeued::Back(added))
}

/// Why the entry of a letter cannot be put back.
fn obstacle(letter: &Letter) -> Option<String> {
    if letter.fields.is_empty() {
        return Some("it has no fields of an entry".to_owned());
    }
    if letter.is_packed {
        let count = letter.fields.len();
        return Some(format!("its entry had {count} fields, which no entry of a position has"));
    }
    let why = letter.decodes().err().filter(|_| letter.are_fields_lost())?;
    Some(format!(
        "the fields of its entry are lost, and those made from its row are not whole: {why}"
    ))
}

/// Deletes a letter; true when it was there.
pub(super) async fn delete(control: &mut Control, key: &str, id: EntryId) -> Result<bool, Failure> {
    let deleted: u64 = control.call(redis::cmd("XDEL").arg(key).arg(id.to_string())).await?;
    Ok(deleted > 0)
}

/// Deletes all letters up to this one; how many.
pub(super) async fn delete_up_to(
    control: &mut Control,
    key: &str,
    newest: EntryId,
) -> Result<u64, Failure> {
    let next = EntryId { ms: newest.ms, sequence: newest.sequence.saturating_add(1) };
    control.call(redis::cmd("XTRIM").arg(key).arg("MINID").arg(next.to_string())).await
}
