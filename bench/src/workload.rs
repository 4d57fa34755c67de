//! What is counted: a table of fixed workloads, each measured in calls of one function that the
//! instruments know by name.
//!
//! A workload prepares outside of [`Meter::measure`] and does inside of it exactly what it says it
//! measures. Adding one is a row of [`WORKLOADS`] and a function.

pub mod calibration;
mod entries;
pub mod fan_out;
pub mod joining;
mod positions;

use crate::counting::allocations_during;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name on the command line and in the table of ceilings.
    pub name: &'static str,
    /// What its figures are divided by.
    pub unit: &'static str,
    /// True if the bytes it copies are counted too, by running it twice more.
    pub counts_copies: bool,
    /// Prepares, and measures `repeat` times.
    pub run: fn(&mut Meter, repeat: u64),
}

/// Everything that is counted, in the order of the report.
pub const WORKLOADS: &[Workload] = &[
    Workload { name: CALIBRATION, unit: "round", counts_copies: true, run: calibration::run },
    Workload { name: "decode", unit: "entry", counts_copies: false, run: entries::decode },
    Workload {
        name: "apply-10",
        unit: "position",
        counts_copies: false,
        run: |meter, repeat| positions::apply(meter, repeat, 10),
    },
    Workload {
        name: "apply-500",
        unit: "position",
        counts_copies: false,
        run: |meter, repeat| positions::apply(meter, repeat, 500),
    },
    Workload {
        name: "apply-50000",
        unit: "position",
        counts_copies: false,
        run: |meter, repeat| positions::apply(meter, repeat, 50_000),
    },
    Workload {
        name: "rounds-1x16",
        unit: "frame",
        counts_copies: false,
        run: |meter, repeat| fan_out::rounds(meter, repeat, 1, 16),
    },
    Workload {
        name: "rounds-100x16",
        unit: "frame",
        counts_copies: false,
        run: |meter, repeat| fan_out::rounds(meter, repeat, 100, 16),
    },
    Workload {
        name: "rounds-1000x1",
        unit: "frame",
        counts_copies: false,
        run: |meter, repeat| fan_out::rounds(meter, repeat, 1000, 1),
    },
    Workload {
        name: "rounds-1000x16",
        unit: "frame",
        counts_copies: true,
        run: |meter, repeat| fan_out::rounds(meter, repeat, 1000, 16),
    },
    Workload {
        name: "rounds-10000x16",
        unit: "frame",
        counts_copies: false,
        run: |meter, repeat| fan_out::rounds(meter, repeat, 10_000, 16),
    },
    Workload {
        name: "catching-up",
        unit: "frame",
        counts_copies: false,
        run: fan_out::catching_up,
    },
    Workload { name: "snapshot-500", unit: "entry", counts_copies: false, run: joining::snapshot },
    Workload {
        name: "subscribe-500",
        unit: "viewer",
        counts_copies: false,
        run: joining::subscribe,
    },
    Workload { name: "row", unit: "row", counts_copies: false, run: entries::push },
    Workload { name: "copy", unit: "row", counts_copies: false, run: entries::copy },
];

/// The workload whose figures are known: it shows that the instruments see what there is.
pub const CALIBRATION: &str = "calibration";

/// What one run of a workload did, as far as the process itself can say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// How often what the figures are divided by was done.
    pub unit_count: u64,
    /// Requests for memory inside of [`Meter::measure`].
    pub allocation_count: u64,
    /// Sends, where there are any.
    pub send_count: u64,
    /// Bytes written to make what was sent, each frame once.
    pub encoded_bytes: u64,
}

impl Meter {
    /// Measures `run`, which says how many units it did.
    ///
    /// # Panics
    /// When the program has not installed the counting allocator.
    pub fn measure(&mut self, mut run: impl FnMut() -> u64) {
        let (unit_count, allocations) = allocations_during(|| instrumented(&mut run));
        self.unit_count += unit_count;
        self.allocation_count += allocations.count;
    }
}

/// Instruments count what happens inside of this function and nothing else.
///
/// The name is [`INSTRUMENTED`], so it is not inlined and not generic.
#[inline(never)]
fn instrumented(run: &mut dyn FnMut() -> u64) -> u64 {
    // If the call were the last thing, it would become a jump that leaves the function first.
    std::hint::black_box(run())
}

/// The pattern by which instruments find [`instrumented`].
pub const INSTRUMENTED: &str = "bench::workload::instrumented*";

#[cfg(test)]
mod tests {
    use super::{Meter, WORKLOADS};
    use crate::counting::CountingAllocator;

    #[global_allocator]
    static COUNTING: CountingAllocator = CountingAllocator;

    #[test]
    fn a_workload_does_twice_as_much_when_asked_to() {
        for workload in WORKLOADS.iter().filter(|workload| workload.counts_copies) {
            let run = |repeat| {
                let mut meter = Meter::default();
                (workload.run)(&mut meter, repeat);
                meter
            };
            let (once, twice) = (run(1), run(2));
            assert!(once.unit_count > 0, "{}", workload.name);
            assert_eq!(2 * once.unit_count, twice.unit_count, "{}", workload.name);
            assert_eq!(2 * once.send_count, twice.send_count, "{}", workload.name);
        }
    }
}
