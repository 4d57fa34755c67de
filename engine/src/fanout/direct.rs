//! Which viewers a round may send to without looking at them: a bit each.
//!
//! A send leaves the caches full of the kernel's things, so a look at a viewer costs several trips to
//! far memory, as much as all the rest of the round. The bits of 1,000 viewers are two cache lines.
//!
//! A viewer is in here only while it [is clear](crate::viewer::Viewer::is_clear). Whatever ends that
//! takes it out at once; a round that looked and found it clear puts it in again.

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Direct {
    words: Vec<u64>,
}

impl Direct {
    /// True when the viewer at `index` needs no look.
    pub(crate) fn contains(&self, index: u32) -> bool {
        let (word, bit) = place(index);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The viewer at `index` was looked at and is clear.
    pub(crate) fn insert(&mut self, index: u32) {
        let (word, bit) = place(index);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
    }

    /// The viewer at `index` has to be looked at.
    pub(crate) fn remove(&mut self, index: u32) {
        let (word, bit) = place(index);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
    }

    /// Bytes on the heap.
    pub(crate) const fn heap_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

const fn place(index: u32) -> (usize, u64) {
    ((index / u64::BITS) as usize, 1 << (index % u64::BITS))
}

#[cfg(test)]
mod tests {
    use super::Direct;

    #[test]
    fn each_viewer_has_a_bit_of_its_own() {
        let mut direct = Direct::default();
        for index in [0, 63, 64, 99_999] {
            assert!(!direct.contains(index));
            direct.insert(index);
            assert!(direct.contains(index));
            assert!(!direct.contains(index + 1));
        }
        direct.remove(63);
        direct.remove(1_000_000);
        let there: Vec<u32> = (0..100_100).filter(|&index| direct.contains(index)).collect();
        assert_eq!(there, [0, 64, 99_999]);
    }
}
