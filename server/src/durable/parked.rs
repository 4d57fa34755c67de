//! Entries that cannot be decoded and may not be set aside yet, because too many were: they wait,
//! pending, while what comes behind them is read. What that is like decides whether it is a storm.

use std::collections::VecDeque;

use engine::rows::EntryId;

use super::dead_letter::Fields;

/// Entries that may wait. More are a storm, whatever comes behind them.
const ENTRIES_MAX: usize = 1_000;

/// Bytes of their fields that may wait: such entries may be of any size.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// One that waits.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) entry: EntryId,
    pub(super) reason: String,
    pub(super) fields: Fields,
}

impl Parked {
    fn bytes(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

/// All that wait, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Yard {
    parked: VecDeque<Parked>,
    bytes: usize,
}

impl Yard {
    /// Takes one more; there may be one more than there is room for.
    pub(super) fn push(&mut self, parked: Parked) {
        self.bytes += parked.bytes();
        self.parked.push_back(parked);
    }

    /// The one that has waited the longest.
    pub(super) fn first(&self) -> Option<&Parked> {
        self.parked.front()
    }

    /// The one that has waited the longest is answered for.
    pub(super) fn pop(&mut self) {
        let parked = self.parked.pop_front().expect("what is answered for was there");
        self.bytes -= parked.bytes();
    }

    /// True when nothing more may be read before one is answered for.
    pub(super) fn is_full(&self) -> bool {
        self.parked.len() > ENTRIES_MAX || self.bytes > BYTES_MAX
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.parked.len()
    }

    /// Their entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = EntryId> {
        self.parked.iter().map(|parked| parked.entry)
    }
}

#[cfg(test)]
mod tests {
    use engine::rows::EntryId;

    use super::{BYTES_MAX, ENTRIES_MAX, Parked, Yard};

    fn parked(bytes: usize) -> Parked {
        let fields = vec![(Vec::new(), vec![b'x'; bytes])];
        Parked { entry: EntryId::default(), reason: String::new(), fields }
    }

    #[test]
    fn it_is_full_with_too_many_and_with_too_large_ones_and_has_room_again() {
        for (bytes, count) in [(1, ENTRIES_MAX), (BYTES_MAX / 4, 4)] {
            let mut yard = Yard::default();
            for _ in 0..count {
                yard.push(parked(bytes));
                assert!(!yard.is_full());
            }
            yard.push(parked(bytes));
            assert!(yard.is_full());
            yard.pop();
            assert!(!yard.is_full());
        }
    }
}
