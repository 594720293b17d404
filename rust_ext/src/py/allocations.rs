//! What the engine asks of the heap, counted by the allocator: the system's own does the work.
//!
//! Each thread counts for itself, so nothing is shared and nothing is lost: an engine runs on the thread that calls it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Calls of alloc, alloc_zeroed and realloc, and the bytes they asked for. Needs no destructor and no allocation of its own.
    static ASKED: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// What this thread has asked of the heap so far: allocations, a block that moved or grew among them, and bytes.
pub fn asked() -> (u64, u64) {
    ASKED.get()
}

#[inline(always)]
fn count(bytes: usize) {
    let (calls, sum) = ASKED.get();
    ASKED.set((calls + 1, sum + bytes as u64));
}

struct Counting;

// SAFETY: the system's allocator does the work; what is done besides touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: promised by the caller.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: promised by the caller.
        unsafe { System.dealloc(at, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: promised by the caller.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
