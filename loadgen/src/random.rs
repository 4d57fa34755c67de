//! Repeatable randomness: xoshiro256++, seeded through splitmix64.
//!
//! An own generator, because a library's may change its numbers with a version, and then no seed of
//! an old report could be replayed.

/// A sequence of numbers that its seed decides wholly.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut mixed = seed;
        Self { state: [(); 4].map(|()| splitmix64(&mut mixed)) }
    }

    /// A sequence of its own for part number `part`, however much the other parts draw.
    #[must_use]
    pub fn of_part(seed: u64, part: u64) -> Self {
        let mut mixed = part;
        Self::new(seed ^ splitmix64(&mut mixed))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let number = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        number
    }

    /// A whole number below `bound`, which is not zero.
    ///
    /// The high half of a product instead of a remainder: no division, and a bias far below what
    /// any race could show.
    pub fn below(&mut self, bound: u32) -> u32 {
        let [.., a, b, c, d] = (u64::from(bound) * (self.number() >> 32)).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// A number from 0 to below 1, with 32 random bits.
    pub fn share(&mut self) -> f64 {
        f64::from(self.below(u32::MAX)) / f64::from(u32::MAX)
    }

    /// A number from `low` to below `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    /// True in `probability` of all cases. Draws in any case, so that a changed probability does
    /// not shift everything that follows.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.share() < probability
    }
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generators_give_their_published_numbers() {
        let mut state = 1_234_567;
        assert_eq!(splitmix64(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(splitmix64(&mut state), 3_203_168_211_198_807_973);
        let mut random = Random { state: [1, 2, 3, 4] };
        let numbers = [(); 4].map(|()| random.number());
        assert_eq!(numbers, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn numbers_below_a_bound_are_even() {
        let mut random = Random::new(7);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[random.below(6) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
    }

    #[test]
    fn what_never_happens_does_not_and_what_must_does() {
        let mut random = Random::new(7);
        assert!((0..10_000).all(|_| !random.happens(0.0) && random.happens(1.0)));
        assert!((0..10_000).all(|_| (3.0..4.0).contains(&random.between(3.0, 4.0))));
    }

    #[test]
    fn parts_of_one_seed_differ() {
        let first = |part| Random::of_part(1, part).number();
        assert_ne!(first(0), first(1));
        assert_eq!(first(1), first(1));
    }
}
