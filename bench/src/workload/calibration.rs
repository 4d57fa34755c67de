//! A workload whose figures are known beforehand, to find instruments that see nothing.

use std::hint::black_box;

use super::Meter;

/// Bytes that one round copies. A length that is not known when it is compiled, so it is a call.
pub const COPIED_BYTES: usize = 1_000;

/// Requests for memory of one round.
pub const ALLOCATION_COUNT: u64 = 1;

const ROUND_COUNT: u64 = 1_000;

/// Copies, and asks for memory, once a round.
pub(super) fn run(meter: &mut Meter, repeat: u64) {
    let from = vec![7_u8; COPIED_BYTES];
    let mut to = vec![0_u8; COPIED_BYTES];
    for _ in 0..repeat * ROUND_COUNT {
        meter.measure(|| {
            to.copy_from_slice(black_box(&from));
            black_box(Box::new(black_box(&to)[0]));
            1
        });
    }
}
