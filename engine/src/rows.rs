//! The durable batch: what the database is about to get, and which of it is proven new.
//!
//! A [`RowBatch`] holds rows in the form in which the database stores them: attributes are
//! rewritten once, when a row is pushed, however often the batch is then encoded or split. Rows
//! keep the order in which they were pushed, and the id of their entry for the acknowledgement.
//! Nothing here is dropped, merged or reordered: every row pushed is in exactly one part of
//! [`Newest::split`], and whoever refuses a row says so to its caller.

mod newest;

use std::fmt;

use crate::decode::write_for_database;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, DEVICE_ID_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::position::Position;

pub use newest::Newest;

/// The id of an entry in its stream: carried from reading to acknowledging, never interpreted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The part before the dash.
    pub ms: u64,
    /// The part after the dash.
    pub sequence: u64,
}

impl EntryId {
    /// Reads `<ms>-<sequence>`, both decimal, the only form in which Redis writes an id.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|&byte| byte == b'-')?;
        Some(Self { ms: decimal(&text[..dash])?, sequence: decimal(&text[dash + 1..])? })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.ms, self.sequence)
    }
}

/// One row as the durable path pushes it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Which entry to acknowledge when this row is safe.
    pub entry: EntryId,
    /// The IMEI, exactly as decoded.
    pub device_id: &'a str,
    /// The fix; its device index plays no part here.
    pub position: Position,
    /// The `attributes` object of the payload, as `decode` accepted it.
    pub attributes: &'a [u8],
    /// True when the entry may have been written before: it came from a pending list, or was
    /// claimed.
    pub redelivered: bool,
}

/// Which bound of the batch was reached. The row was not taken: write the batch, clear it, push
/// again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFull {
    /// The batch holds as many rows as it was made for.
    Rows,
    /// The text of the row does not fit beside that of the others.
    Bytes,
}

impl fmt::Display for BatchFull {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Rows => "the batch has no room for another row",
            Self::Bytes => "the batch has no room for the text of this row",
        })
    }
}

impl std::error::Error for BatchFull {}

/// Rows on their way to the database, in parallel arrays over one arena of text.
///
/// Bounded by the rows it was made for and by [`BATCH_BYTES_MAX`]. [`RowBatch::clear`] keeps the
/// memory: a batch that has been full once allocates nothing any more.
#[derive(Debug)]
pub struct RowBatch {
    entries: Vec<EntryId>,
    positions: Vec<Position>,
    /// Where the text of each row lies.
    texts: Vec<Text>,
    /// Device id and attributes of each row, one behind the other.
    arena: Vec<u8>,
    /// Between 1 and [`BATCH_ROWS_MAX`].
    rows_max: usize,
}

/// Where the text of one row lies in the arena: the device id first, the attributes behind it.
#[derive(Clone, Copy, Debug)]
struct Text {
    start: u32,
    attributes_bytes: u32,
    device_id_bytes: u8,
    redelivered: bool,
}

/// What a row costs in a batch, without its text.
pub(crate) const ROW_BYTES: usize =
    size_of::<EntryId>() + size_of::<Position>() + size_of::<Text>();
const _: () = assert!(ROW_BYTES == 76, "the cost that limits.rs gives for BATCH_ROWS_MAX");

impl RowBatch {
    /// An empty batch for at most `rows_max` rows, 1 to [`BATCH_ROWS_MAX`].
    ///
    /// # Panics
    /// When `rows_max` is outside that range: the configuration must have refused it.
    #[must_use]
    pub fn new(rows_max: usize) -> Self {
        assert!((1..=BATCH_ROWS_MAX).contains(&rows_max), "rows_max is 1 to BATCH_ROWS_MAX");
        Self {
            entries: Vec::with_capacity(rows_max),
            positions: Vec::with_capacity(rows_max),
            texts: Vec::with_capacity(rows_max),
            arena: Vec::new(),
            rows_max,
        }
    }

    /// Takes a row, or says which bound stands against it; then nothing has changed.
    ///
    /// # Panics
    /// When the texts are longer than `decode` lets through: such a row would never fit, and
    /// would stop the writer for ever.
    pub fn push(&mut self, row: &Row<'_>) -> Result<(), BatchFull> {
        assert!(row.device_id.len() <= DEVICE_ID_BYTES_MAX, "decode bounds the device id");
        assert!(row.attributes.len() <= PAYLOAD_BYTES_MAX, "decode bounds the attributes");
        if self.texts.len() == self.rows_max {
            return Err(BatchFull::Rows);
        }
        let start = self.arena.len();
        // Rewritten attributes are never longer than what they were, so this bounds both.
        if row.device_id.len() + row.attributes.len() > BATCH_BYTES_MAX - start {
            return Err(BatchFull::Bytes);
        }
        self.arena.extend_from_slice(row.device_id.as_bytes());
        write_for_database(row.attributes, &mut self.arena);
        let attributes_bytes = self.arena.len() - start - row.device_id.len();
        assert!(attributes_bytes <= row.attributes.len(), "rewriting does not lengthen");
        self.texts.push(Text {
            start: u32::try_from(start).expect("BATCH_BYTES_MAX fits u32"),
            attributes_bytes: u32::try_from(attributes_bytes).expect("PAYLOAD_BYTES_MAX fits u32"),
            device_id_bytes: u8::try_from(row.device_id.len())
                .expect("DEVICE_ID_BYTES_MAX fits u8"),
            redelivered: row.redelivered,
        });
        self.entries.push(row.entry);
        self.positions.push(row.position);
        Ok(())
    }

    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.positions.clear();
        self.texts.clear();
        self.arena.clear();
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// True when no row is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Bytes of text held, of [`BATCH_BYTES_MAX`].
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.arena.len()
    }

    /// The ids to acknowledge, one per row, in row order.
    #[must_use]
    pub fn entries(&self) -> &[EntryId] {
        &self.entries
    }

    /// The fixes, one per row, in row order.
    #[must_use]
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// The device id of a row; valid UTF-8, given back as bytes because that is how it is compared
    /// and sent.
    ///
    /// # Panics
    /// Like the other accessors by row, when there is no such row.
    #[must_use]
    #[inline]
    pub fn device_id(&self, row: u32) -> &[u8] {
        let text = self.texts[row as usize];
        &self.arena[text.start as usize..][..usize::from(text.device_id_bytes)]
    }

    /// The attributes of a row as the `jsonb` column gets them.
    #[must_use]
    #[inline]
    pub fn attributes(&self, row: u32) -> &[u8] {
        let text = self.texts[row as usize];
        let start = text.start as usize + usize::from(text.device_id_bytes);
        &self.arena[start..][..text.attributes_bytes as usize]
    }

    /// True when the entry of a row may have been written before.
    #[must_use]
    pub fn redelivered(&self, row: u32) -> bool {
        self.texts[row as usize].redelivered
    }
}

/// A whole decimal number; no sign, no blanks, not empty.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then_some(())?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests;
