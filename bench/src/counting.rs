//! Counts what a piece of work asks of the allocator, on its own thread.
//!
//! A test binary installs [`CountingAllocator`] with `#[global_allocator]`; without that, counting
//! panics instead of reporting a comfortable zero.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

/// The system's allocator, with a count per thread.
#[derive(Debug)]
pub struct CountingAllocator;

/// What was asked of the allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// New blocks and blocks made larger or smaller.
    pub count: u64,
    /// Bytes of the new sizes.
    pub bytes: u64,
}

thread_local! {
    // Constant and without destructor: reading it allocates nothing, at any time of a thread's life.
    static SEEN: Cell<Allocations> = const { Cell::new(Allocations { count: 0, bytes: 0 }) };
    static HELD_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// Does the work, and says what it gave and what it allocated.
///
/// # Panics
/// When the binary did not install [`CountingAllocator`].
pub fn allocations_during<T>(work: impl FnOnce() -> T) -> (T, Allocations) {
    let unproven = SEEN.get();
    drop(black_box(Box::new(1_u64)));
    let before = SEEN.get();
    assert_ne!(before, unproven, "the counting allocator is not installed in this binary");
    let result = work();
    let after = SEEN.get();
    let count = after.count - before.count;
    (result, Allocations { count, bytes: after.bytes - before.bytes })
}

/// Does the work, and says what it gave and how many bytes it left allocated.
///
/// # Panics
/// When the binary did not install [`CountingAllocator`].
pub fn held_bytes_during<T>(work: impl FnOnce() -> T) -> (T, i64) {
    let before = HELD_BYTES.get();
    let (result, _) = allocations_during(work);
    (result, HELD_BYTES.get() - before)
}

fn hold(taken: usize, freed: usize) {
    let bytes = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    HELD_BYTES.set(HELD_BYTES.get() + bytes(taken) - bytes(freed));
}

fn note(bytes: usize) {
    let seen = SEEN.get();
    SEEN.set(Allocations { count: seen.count + 1, bytes: seen.bytes + bytes as u64 });
}

#[expect(unsafe_code, reason = "the trait is unsafe; every call goes unchanged to the system")]
// SAFETY: each method hands its arguments to the system's allocator, whose contract is the same, and
// besides touches only a counter of its own thread.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        hold(layout.size(), 0);
        // SAFETY: the caller keeps the contract of this method, which is that of the called one.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        hold(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        hold(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        hold(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}
