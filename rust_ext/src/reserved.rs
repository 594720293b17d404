//! Memory that grows in place: a range of addresses is reserved once, the system gives a page when it is first touched, and nothing
//! is copied or moved as it fills.
//!
//! ```text
//! | small pages | huge pages: what was made ready | small pages as they are touched, zeros | addresses only |
//! 0           64 KiB                                                                                 capacity
//! ```
//!
//! Zeroing a huge page takes a quarter of a millisecond, so no message ever pays for one: `ready` makes them between messages, where
//! many are to come, and they save misses in the address cache. What is touched unannounced costs a small page, about a microsecond.
//!
//! The first pages are small, so that a short run takes little. Where the process may have few addresses (`ulimit -v`), a range
//! is reserved that leaves room for others, and what outgrows it moves; where there is no more, the run ends with `OutOfMemory`.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

/// Size of a huge page in bytes.
const HUGE: usize = 1 << 21;
/// Size of a small page in bytes, or less.
const PAGE: usize = 4096;
/// Bytes at the start of a range that are on small pages.
const SMALL: usize = 1 << 16;

/// What a run ends with where the system has no more memory; unwinds like a panic, but says nothing on its way.
#[derive(Clone, Copy, Debug)]
pub struct OutOfMemory {
    /// What was asked for.
    pub bytes: usize,
}

/// End the run: there is no memory for `bytes`.
#[cold]
pub fn out_of_memory(bytes: usize) -> ! {
    std::panic::resume_unwind(Box::new(OutOfMemory { bytes }))
}

/// Make room in a vector for `more` values, or end the run.
pub fn reserve<T>(values: &mut Vec<T>, more: usize) {
    if values.try_reserve(more).is_err() {
        out_of_memory(values.len().saturating_add(more).saturating_mul(size_of::<T>()));
    }
}

/// Types for which all bits zero is a value, and a copy is a copy of the bits.
///
/// # Safety
/// All zeros must be a valid value of the type.
pub unsafe trait Zeroed: Copy {}

// SAFETY: 0 is a u32.
unsafe impl Zeroed for u32 {}

/// A slice of zeros that costs memory only where it has been written.
pub struct Pages<T: Zeroed> {
    start: NonNull<T>,
    /// Values that fit into the reserved range.
    capacity: usize,
    /// Values whose pages were made ready.
    ready: usize,
}

// SAFETY: it owns its memory as a Box<[T]> does.
unsafe impl<T: Zeroed + Send> Send for Pages<T> {}
// SAFETY: as above.
unsafe impl<T: Zeroed + Sync> Sync for Pages<T> {}

impl<T: Zeroed> Pages<T> {
    /// Reserve room for `capacity` values, less where the process may not have the addresses, and touch the first `ready`. Ends the
    /// run with `OutOfMemory` if not even these can be had.
    pub fn new(capacity: usize, ready: usize) -> Self {
        let least = ready.max(1);
        let mut capacity = capacity.min(allowed() / size_of::<T>()).max(least);
        let start = loop {
            match map(capacity * size_of::<T>()) {
                Some(start) => break start.cast(),
                None if capacity / 2 >= least => capacity /= 2,
                None => out_of_memory(capacity * size_of::<T>()),
            }
        };
        let mut pages = Pages { start, capacity, ready };
        pages.touch(0, ready * size_of::<T>());
        pages
    }

    /// Have the system give the pages of the values below `len` now rather than when they are needed; those below `used` have theirs.
    /// Beyond the first small pages they are huge, as far as nothing of a huge page has been touched yet.
    pub fn ready(&mut self, used: usize, len: usize) {
        if len > self.ready && len <= self.capacity {
            self.prepare(self.ready.max(used) * size_of::<T>(), len * size_of::<T>());
        }
    }

    #[cold]
    fn prepare(&mut self, mut at: usize, end: usize) {
        while at < end {
            let next = SMALL + (at + HUGE - SMALL) / HUGE * HUGE;
            let whole = at >= SMALL && at + HUGE == next && next <= self.capacity * size_of::<T>();
            let to = if whole { next } else { next.min(end) };
            if whole {
                self.advise_huge(at);
            }
            self.touch(at, to);
            at = to;
        }
        self.ready = at / size_of::<T>();
    }

    /// Touch the pages of the bytes [from, to).
    fn touch(&mut self, from: usize, to: usize) {
        for at in (from / PAGE * PAGE..to).step_by(PAGE) {
            // SAFETY: `to` is within the range, and nobody else has it now. An exchange of 0 for 0 changes nothing, but is a write from
            // the start: a read would be given the page of zeros that all share, and the write behind it would take that away again,
            // on all cores.
            let place = unsafe { AtomicU8::from_ptr(self.start.cast::<u8>().add(at).as_ptr()) };
            _ = place.compare_exchange(0, 0, Relaxed, Relaxed);
        }
    }

    /// Take a huge page for the bytes from `at` on.
    fn advise_huge(&mut self, at: usize) {
        #[cfg(target_os = "linux")]
        // SAFETY: within the range; advice, which may be refused.
        unsafe {
            libc::madvise(self.start.cast::<u8>().add(at).as_ptr().cast(), HUGE, libc::MADV_HUGEPAGE);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = at;
    }

    /// The value in a slot. Unchecked access: even masking the slot took 2 to 3 ns a message.
    ///
    /// # Safety
    /// The slot must be below `len()`.
    #[inline(always)]
    pub unsafe fn at(&self, slot: u32) -> &T {
        debug_assert!((slot as usize) < self.capacity);
        // SAFETY: promised by the caller.
        unsafe { self.start.add(slot as usize).as_ref() }
    }

    /// The same, to be changed.
    ///
    /// # Safety
    /// The slot must be below `len()`.
    #[inline(always)]
    pub unsafe fn at_mut(&mut self, slot: u32) -> &mut T {
        debug_assert!((slot as usize) < self.capacity);
        // SAFETY: promised by the caller; and nobody else has it.
        unsafe { self.start.add(slot as usize).as_mut() }
    }

    /// Have room for `len` values; where the reserved range is too short, they move to one twice as long.
    #[inline(always)]
    pub fn ensure(&mut self, len: usize) {
        if len > self.capacity {
            self.grow(len);
        }
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        let mut larger = Pages::new(2 * self.len(), len);
        larger[..self.len()].copy_from_slice(self);
        *self = larger;
    }
}

impl<T: Zeroed> Deref for Pages<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the range is mapped and readable for that many values, and zeros are values of T.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.capacity) }
    }
}

impl<T: Zeroed> DerefMut for Pages<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.capacity) }
    }
}

impl<T: Zeroed> Drop for Pages<T> {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `map` gave.
        unsafe { libc::munmap(self.start.as_ptr().cast(), rounded(self.len() * size_of::<T>())) };
    }
}

/// Ask for the cache line of `place`: a hint that reads nothing, and any address is allowed.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    let place: *const T = place;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and faults nowhere; SSE is in every x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast())
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch reads nothing and faults nowhere.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) place, options(nostack, preserves_flags, readonly))
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = place;
}

/// Whole huge pages, where there is at least one.
fn rounded(bytes: usize) -> usize {
    bytes.next_multiple_of(if bytes >= HUGE { HUGE } else { PAGE })
}

/// Addresses that one range may take: a sixteenth of what the process is allowed.
fn allowed() -> usize {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it writes to `limit`, and nothing else.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } == 0;
    if known && limit.rlim_cur != libc::RLIM_INFINITY { limit.rlim_cur as usize / 16 } else { usize::MAX }
}

/// A range of zeros; one that is longer than a huge page ends its small pages where a huge page may begin.
fn map(bytes: usize) -> Option<NonNull<u8>> {
    let length = rounded(bytes);
    let spare = if length >= HUGE { HUGE } else { 0 };
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE);
    // SAFETY: a new private mapping; what is cut off before and behind the aligned range is given back and known to nobody.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), length + spare, access, kind, -1, 0);
        if start == libc::MAP_FAILED {
            return None;
        }
        let lead = if spare > 0 { start.add(SMALL).align_offset(HUGE) } else { 0 };
        if lead > 0 {
            libc::munmap(start, lead);
        }
        let start = start.add(lead);
        if spare > lead {
            libc::munmap(start.add(length), spare - lead);
        }
        #[cfg(target_os = "linux")]
        if spare > 0 {
            libc::madvise(start, length, libc::MADV_NOHUGEPAGE); // advice: it may be refused
        }
        NonNull::new(start.cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_ready_ends_with_a_small_page_at_the_start_and_a_huge_one_later() {
        let mut pages = Pages::<u32>::new(1 << 22, 10);
        let ready = |pages: &mut Pages<u32>, used, len| {
            pages.ready(used, len);
            4 * pages.ready
        };
        assert_eq!(ready(&mut pages, 0, 1000), 4000);
        assert_eq!(ready(&mut pages, 0, 999), 4000);
        assert_eq!(ready(&mut pages, 0, SMALL / 4), SMALL);
        assert_eq!(ready(&mut pages, 0, SMALL / 4 + 1), SMALL + HUGE);
        // The next huge page has been touched already.
        assert_eq!(ready(&mut pages, (SMALL + HUGE) / 4 + 1, (SMALL + HUGE) / 4 + 2), SMALL + HUGE + 8);
        assert_eq!(ready(&mut pages, 0, 1 << 22), 1 << 24);
        assert_eq!(ready(&mut pages, 0, usize::MAX), 1 << 24);
        assert!(pages.iter().all(|&value| value == 0));
    }

    #[test]
    fn pages_are_zeros_and_keep_what_was_written_when_they_grow() {
        for capacity in [10, 1 << 20] {
            let mut pages = Pages::<u32>::new(capacity, 10);
            assert!(pages.iter().all(|&value| value == 0));
            pages[9] = 7;
            pages.ensure(3 << 20);
            assert!(pages.len() >= 3 << 20 && pages[9] == 7 && pages[(3 << 20) - 1] == 0);
        }
    }
}
