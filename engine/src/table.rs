//! A table with stable places: what is removed leaves its place to the next that comes.
//!
//! Each place counts how often it was given away, so that an answer meant for the one who left does
//! not reach the one who came.

/// Places for `T`, found by index in two steps.
///
/// They lie in chunks that never move: a table of 100,000 viewers grows without copying them, and
/// without the half-empty room that a doubling list would hold.
#[derive(Debug)]
pub struct Table<T> {
    chunks: Vec<Vec<Place<T>>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    held: Option<T>,
}

/// Places of one chunk, as a power of two. 64 places of a viewer are 14 KiB.
const CHUNK_SHIFT: u32 = 6;
const CHUNK_PLACES: usize = 1 << CHUNK_SHIFT;

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new() }
    }
}

impl<T> Table<T> {
    /// Puts `held` at a free place and says where.
    pub fn insert(&mut self, held: T) -> u32 {
        if let Some(index) = self.free.pop() {
            self.place_mut(index).expect("free places exist").held = Some(held);
            return index;
        }
        let index = self.places();
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_PLACES => {
                chunk.push(Place { generation: 0, held: Some(held) });
            }
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK_PLACES);
                chunk.push(Place { generation: 0, held: Some(held) });
                self.chunks.push(chunk);
            }
        }
        index
    }

    /// Takes what is at `index`, if anything, and frees the place.
    pub fn remove(&mut self, index: u32) -> Option<T> {
        let place = self.place_mut(index)?;
        let held = place.held.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(index);
        Some(held)
    }

    /// What is at `index`.
    #[must_use]
    #[inline]
    pub fn at(&self, index: u32) -> Option<&T> {
        self.place(index)?.held.as_ref()
    }

    /// What is at `index`, to be changed.
    #[must_use]
    #[inline]
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.place_mut(index)?.held.as_mut()
    }

    /// How often the place was given away before.
    #[must_use]
    #[inline]
    pub fn generation(&self, index: u32) -> u32 {
        self.place(index).map_or(0, |place| place.generation)
    }

    /// Number of places, free ones included: the bound of every index.
    #[must_use]
    pub fn places(&self) -> u32 {
        let full = self.chunks.len().saturating_sub(1) * CHUNK_PLACES;
        let count = full + self.chunks.last().map_or(0, Vec::len);
        u32::try_from(count).expect("tables are bounded far below 2^32")
    }

    /// Number of things held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places() as usize - self.free.len()
    }

    /// Everything held, with its index.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let places = self.chunks.iter().flatten();
        (0_u32..).zip(places).filter_map(|(index, place)| Some((index, place.held.as_ref()?)))
    }

    #[inline]
    fn place(&self, index: u32) -> Option<&Place<T>> {
        self.chunks.get((index >> CHUNK_SHIFT) as usize)?.get(index as usize % CHUNK_PLACES)
    }

    #[inline]
    fn place_mut(&mut self, index: u32) -> Option<&mut Place<T>> {
        self.chunks.get_mut((index >> CHUNK_SHIFT) as usize)?.get_mut(index as usize % CHUNK_PLACES)
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_freed_place_is_given_away_under_a_new_generation() {
        let mut table = Table::default();
        let first = table.insert('a');
        let second = table.insert('b');
        assert_eq!(table.remove(first), Some('a'));
        assert_eq!(table.remove(first), None);
        assert_eq!(table.insert('c'), first);
        assert_eq!((table.generation(first), table.generation(second)), (1, 0));
        assert_eq!(table.iter().collect::<Vec<_>>(), [(0, &'c'), (1, &'b')]);
        assert_eq!((table.count(), table.places()), (2, 2));
    }
}
