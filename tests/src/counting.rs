//! A global allocator that counts what each thread asks of it, so that a test can prove that a path
//! allocates nothing.
//!
//! A program installs it with `#[global_allocator] static COUNTING: Counting = Counting;`. Without
//! that the count stays 0, so a proof begins by showing that a deliberate allocation is seen.
#![expect(unsafe_code, reason = "an allocator can only be written as an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with a count per thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting;

thread_local! {
    /// Without a destructor and made at compile time: touching it never allocates.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has asked for memory, growing included.
#[must_use]
pub fn allocation_count() -> u64 {
    COUNT.get()
}

/// How often `run` asks for memory.
pub fn allocations_of(run: impl FnOnce()) -> u64 {
    let before = allocation_count();
    run();
    allocation_count() - before
}

fn count_one() {
    COUNT.set(COUNT.get() + 1);
}

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` with this layout, because `alloc` passes on to it.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count_one();
        // SAFETY: `pointer` came from `System` with this layout, because `alloc` passes on to it.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}
