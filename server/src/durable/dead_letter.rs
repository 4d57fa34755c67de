//! Dead letters: the entries that will not be stored, kept with the reason beside their stream.
//!
//! A letter is added and its entry acknowledged in one step, so that it is there exactly once: an
//! entry that is not pending any more is already safe, or is a letter already. Nothing of an entry
//! is left out and nothing of it is looked into; a letter is never trimmed by us.

use engine::rows::EntryId;
use redis::Value;

use crate::log::push_time;
use crate::stream::{Control, Failure, Malformed, Server};

/// The fields of an entry as they are: bytes, in their order, names repeated or not.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The field with the id of the entry.
pub const ENTRY: &str = "entry";

/// The field with the sentence that says why.
pub const REASON: &str = "reason";

/// The field with the SQLSTATE of the refusal, or [`DECODE`].
pub const CODE: &str = "code";

/// The field with the instance that wrote the letter.
pub const INSTANCE: &str = "instance";

/// The field with the time at which it was written.
pub const AT: &str = "at";

/// The field that is there when the entry was trimmed before its fields could be read again.
pub const LOST_FIELDS: &str = "lost_fields";

/// What stands before the name of each field of the entry.
pub const RAW: &[u8] = b"raw:";

/// The field with the fields of the entry that have no field of their own, each name and value as
/// `<length>:<bytes>,`.
pub const RAW_REST: &str = "raw_rest";

/// The code of an entry that cannot be decoded.
pub const DECODE: &str = "decode";

/// Most fields of the entry that get a field of their own. What cannot be decoded may have any
/// number, and Redis passes at most some 8,000 values to a command inside a script: with this it is a
/// quarter of that. No entry that can be decoded comes near it.
pub const FIELDS_APART_MAX: usize = 1_000;
const _: () = assert!(FIELDS_APART_MAX > engine::limits::ENTRY_FIELDS_MAX);

/// Longest reason. It is for people, and what is cut off stands in the fields.
pub const REASON_BYTES_MAX: usize = 1_000;

/// Adds a letter and acknowledges its entry, if the entry is pending and there is room.
///
/// Whatever may be refused (no group, memory, disk, rights, a key of another kind) is refused before
/// the first change: the acknowledgement comes last and needs none of it.
const WRITE: &str = "\
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
if pending.err then return pending end
if #pending == 0 then return 'not pending' end
local count = redis.pcall('XLEN', KEYS[2])
if type(count) == 'table' then return count end
if count >= tonumber(ARGV[3]) then return 'full' end
local letter = redis.pcall('XADD', KEYS[2], '*', unpack(ARGV, 4))
if type(letter) == 'table' then return letter end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return letter";

/// The stream of the letters that belong to this stream.
#[must_use]
pub fn key(stream: &str) -> String {
    format!("{stream}:dlq")
}

/// One entry that will not be stored, with why.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// Which entry.
    pub entry: EntryId,
    /// Why, in one plain sentence; cut at [`REASON_BYTES_MAX`].
    pub reason: &'a str,
    /// The SQLSTATE, or [`DECODE`].
    pub code: &'a str,
    /// The fields of the entry.
    pub fields: &'a [(Vec<u8>, Vec<u8>)],
    /// True when the entry was trimmed before its fields could be read again: those here were made
    /// from its row.
    pub are_fields_lost: bool,
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there under this id, and its entry is acknowledged.
    Added(EntryId),
    /// Nothing was added: the entry is not pending. Somebody else has acknowledged it, or we have,
    /// and did not hear of it.
    NotPending,
    /// Nothing was changed: there are as many letters as may be. The entry is still pending.
    Full,
}

/// Between which streams letters are written, and by whom.
#[derive(Clone, Debug)]
pub struct Names {
    /// The stream of the entries.
    pub stream: String,
    /// The group in which they are pending.
    pub group: String,
    /// Who writes.
    pub instance_id: String,
}

/// Writes dead letters, over a connection of its own.
#[derive(Debug)]
pub struct DeadLetters {
    control: Control,
    names: Names,
    key: String,
    /// With so many letters there is no room for another.
    letters_max: u64,
}

impl DeadLetters {
    /// Not connected yet.
    ///
    /// # Errors
    /// When the server's address cannot be used.
    pub fn new(server: &Server, names: Names, letters_max: u64) -> Result<Self, Failure> {
        let key = key(&names.stream);
        Ok(Self { control: Control::new(server)?, names, key, letters_max })
    }

    /// Adds a letter and acknowledges its entry, both or neither.
    ///
    /// # Errors
    /// When Redis cannot be reached, refuses, or does not answer in time. It may have done it then:
    /// write the same letter again, and it is there once.
    pub async fn write(&mut self, letter: &DeadLetter<'_>) -> Result<Written, Failure> {
        let command = self.command(letter);
        match self.control.call::<String>(&command).await?.as_str() {
            "not pending" => Ok(Written::NotPending),
            "full" => Ok(Written::Full),
            id => EntryId::parse(id.as_bytes())
                .map(Written::Added)
                .ok_or_else(|| Malformed::Unexpected.into()),
        }
    }

    /// The fields of an entry; nothing when it was trimmed.
    ///
    /// # Errors
    /// When Redis cannot be reached, refuses, or does not answer in time.
    pub async fn fields(&mut self, entry: EntryId) -> Result<Option<Fields>, Failure> {
        let id = entry.to_string();
        let mut command = redis::cmd("XRANGE");
        command.arg(&self.names.stream).arg(&id).arg(&id);
        let found: Vec<(Value, Vec<Vec<u8>>)> = self.control.call(&command).await?;
        Ok(found.into_iter().next().map(|(_, values)| pairs(values)))
    }

    fn command(&self, letter: &DeadLetter<'_>) -> redis::Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(WRITE).arg(2).arg(&self.names.stream).arg(&self.key);
        command.arg(&self.names.group).arg(letter.entry.to_string()).arg(self.letters_max);
        let at = time(crate::clock::wall_ms());
        command.arg(ENTRY).arg(letter.entry.to_string());
        command.arg(REASON).arg(cut(letter.reason)).arg(CODE).arg(letter.code);
        command.arg(INSTANCE).arg(&self.names.instance_id).arg(AT).arg(at);
        if letter.are_fields_lost {
            command.arg(LOST_FIELDS).arg("1");
        }
        let (apart, rest) = letter.fields.split_at(letter.fields.len().min(FIELDS_APART_MAX));
        for (name, value) in apart {
            command.arg([RAW, name].concat()).arg(value);
        }
        if !rest.is_empty() {
            command.arg(RAW_REST).arg(packed(rest));
        }
        command
    }
}

/// Names and values in turn, as pairs.
pub(crate) fn pairs(values: Vec<Vec<u8>>) -> Fields {
    let mut values = values.into_iter();
    let mut fields = Vec::new();
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        fields.push((name, value));
    }
    fields
}

/// The fields that [`RAW_REST`] holds; nothing when it is not as it was written.
pub(crate) fn unpacked(mut bytes: &[u8]) -> Option<Fields> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let colon = bytes.iter().position(|&byte| byte == b':')?;
        let length: usize = str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
        let rest = &bytes[colon + 1..];
        let comma = rest.get(length).filter(|&&byte| byte == b',');
        comma?;
        values.push(rest[..length].to_vec());
        bytes = &rest[length + 1..];
    }
    values.len().is_multiple_of(2).then(|| pairs(values))
}

fn packed(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in fields.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(text.len().to_string().bytes());
        bytes.push(b':');
        bytes.extend(text);
        bytes.push(b',');
    }
    bytes
}

fn time(epoch_ms: i64) -> String {
    let mut text = String::new();
    push_time(&mut text, epoch_ms);
    text
}

/// As much of a sentence as is kept.
fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::{REASON_BYTES_MAX, cut, packed, unpacked};

    #[test]
    fn d1_fields_beyond_those_with_a_place_are_packed_whole() {
        let fields = [(b"a".to_vec(), b"1:,\0".to_vec()), (Vec::new(), b"xy".to_vec())];
        assert_eq!(packed(&fields), b"1:a,4:1:,\0,0:,2:xy,");
        assert_eq!(unpacked(&packed(&fields)).unwrap(), fields);
        for wrong in ["1:a,", "1:a,2:b,", "x:a,1:b,", "1:ab1:c,", "9999999999999999999999:a,", "1"]
        {
            assert_eq!(unpacked(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "ü".repeat(REASON_BYTES_MAX);
        assert_eq!(cut(&format!("x{long}")).len(), REASON_BYTES_MAX - 1);
    }
}
