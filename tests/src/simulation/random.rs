//! The one source of chance of a world: the same seed gives the same numbers for ever.

/// A splitmix64 generator.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// A generator for one seed; neighbouring seeds give unrelated numbers.
    #[must_use]
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: mix(seed) }
    }

    /// The next 64 bits.
    pub(crate) const fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let wide = (u128::from(self.bits()) * bound as u128) >> 64;
        usize::try_from(wide).expect("below a usize")
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True `parts` times in a thousand.
    pub(crate) fn permille(&mut self, parts: usize) -> bool {
        self.below(1000) < parts
    }

    /// A signed number from `low` to `high`, both included.
    pub(crate) fn signed(&mut self, low: i64, high: i64) -> i64 {
        let span = usize::try_from(high - low).expect("low is not above high");
        low + i64::try_from(self.below(span + 1)).expect("below a span of i64")
    }
}

/// The finalizer of splitmix64: every bit depends on every bit.
#[must_use]
pub(crate) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// Folds bytes into a running hash.
#[must_use]
pub(crate) fn fold(mut hash: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    for &byte in rest {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(hash ^ bytes.len() as u64)
}
