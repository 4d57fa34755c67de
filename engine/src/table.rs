//! A table with stable places: what is removed leaves its place to the next that comes.
//!
//! Each place counts how often it was given away, so that an answer meant for the one who left does
//! not reach the one who came.

/// Places for `T`, found by index in one step.
#[derive(Debug)]
pub struct Table<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    held: Option<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Table<T> {
    /// Puts `held` at a free place and says where.
    pub fn insert(&mut self, held: T) -> u32 {
        if let Some(index) = self.free.pop() {
            self.places[index as usize].held = Some(held);
            return index;
        }
        let index = u32::try_from(self.places.len()).expect("tables are bounded far below 2^32");
        self.places.push(Place { generation: 0, held: Some(held) });
        index
    }

    /// Takes what is at `index`, if anything, and frees the place.
    pub fn remove(&mut self, index: u32) -> Option<T> {
        let place = self.places.get_mut(index as usize)?;
        let held = place.held.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(index);
        Some(held)
    }

    /// What is at `index`.
    #[must_use]
    pub fn at(&self, index: u32) -> Option<&T> {
        self.places.get(index as usize)?.held.as_ref()
    }

    /// What is at `index`, to be changed.
    #[must_use]
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.places.get_mut(index as usize)?.held.as_mut()
    }

    /// How often the place was given away before.
    #[must_use]
    pub fn generation(&self, index: u32) -> u32 {
        self.places.get(index as usize).map_or(0, |place| place.generation)
    }

    /// Number of places, free ones included: the bound of every index.
    #[must_use]
    pub fn places(&self) -> u32 {
        u32::try_from(self.places.len()).expect("tables are bounded far below 2^32")
    }

    /// Number of things held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Everything held, with its index.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0_u32..).zip(&self.places).filter_map(|(index, place)| Some((index, place.held.as_ref()?)))
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
