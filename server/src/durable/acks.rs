//! The commands that acknowledge entries, packed to be sent in one go.

use engine::rows::EntryId;

use crate::stream::Before;

/// Ids of one command: Redis serves others between two commands.
const IDS_MAX: usize = 1_000;

/// Commands that acknowledge these entries.
pub(super) fn pack(stream: &str, group: &str, entries: &[EntryId]) -> Before {
    let mut bytes = Vec::new();
    let chunks = entries.chunks(IDS_MAX);
    let count = chunks.len();
    for chunk in chunks {
        let mut command = redis::cmd("XACK");
        command.arg(stream).arg(group);
        for entry in chunk {
            command.arg(entry.to_string());
        }
        command.write_packed_command(&mut bytes);
    }
    Before { bytes, count }
}

#[cfg(test)]
mod tests {
    use engine::rows::EntryId;

    use super::{Before, IDS_MAX, pack};

    #[test]
    fn every_id_is_in_one_command() {
        let entries: Vec<EntryId> =
            (0..2_500).map(|sequence| EntryId { ms: 7, sequence }).collect();
        let Before { bytes, count } = pack("s", "g", &entries);
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!((count, text.matches("XACK").count()), (3, 3));
        assert_eq!(text.matches("\r\n7-").count(), entries.len());
        assert!(text.starts_with(&format!("*{}\r\n", 3 + IDS_MAX)));
        assert_eq!(pack("s", "g", &[]).count, 0);
    }
}
