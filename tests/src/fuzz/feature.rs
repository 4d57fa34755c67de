//! Boils down what an input made its target do to one number, the same in every version.

use std::hash::{Hash, Hasher};

/// The feature of an execution: whatever tells it from others, not more.
pub(super) fn feature(done: impl Hash) -> u64 {
    let mut hasher = Fnv::default();
    done.hash(&mut hasher);
    hasher.finish()
}

/// FNV-1a: short, quick on few bytes, and needs no key.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
