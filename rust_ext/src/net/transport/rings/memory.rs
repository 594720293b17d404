//! Two threads of one process: a ring each way in memory of both.

use std::alloc::{self, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Layout, Peer, Rings};
use crate::net::transport::{Failure, Options, Pair};

/// Zeroed memory, aligned to a page.
struct Block {
    start: NonNull<u8>,
    layout: alloc::Layout,
}

// SAFETY: it owns its memory as a Box<[u8]> does; who writes where, the rings settle.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    fn new(bytes: usize) -> Block {
        let layout = alloc::Layout::from_size_align(bytes, 4096).expect("a size that Options allow");
        // SAFETY: `bytes` is not 0.
        let start = unsafe { alloc_zeroed(layout) };
        Block { start: NonNull::new(start).unwrap_or_else(|| alloc::handle_alloc_error(layout)), layout }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: what `new` was given, once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// What both ends keep alive.
struct Shared {
    _block: Block,
    /// An end has gone.
    closed: AtomicBool,
}

/// The end that goes says so.
struct Both(Arc<Shared>);

impl Peer for Both {
    #[inline]
    fn gone(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
    }
}

pub fn pair(options: &Options) -> Result<Pair, Failure> {
    let layout = Layout::new(options.slots, options.size);
    let block = Block::new(2 * layout.bytes());
    let there = block.start.as_ptr();
    // SAFETY: two rings lie in the block one behind the other; both are whole lines long.
    let back = unsafe { there.add(layout.bytes()) };
    let shared = Arc::new(Shared { _block: block, closed: AtomicBool::new(false) });
    let end = |out: *mut u8, into: *mut u8| {
        // SAFETY: zeroed, aligned, big enough and kept by `shared`; each ring gets one sender and one receiver.
        Box::new(unsafe { Rings::new(out, into, layout, Both(shared.clone())) })
    };
    Ok((end(there, back), end(back, there)))
}
