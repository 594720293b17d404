//! Mapped memory: of a file, of a ring of the kernel, or of nothing.

use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

/// Zeroed or shared bytes, aligned to a page, until it is dropped.
pub struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it owns its mapping; what is in it is reached through raw pointers, for which their users answer.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Zeros of our own.
    pub fn anonymous(bytes: usize) -> io::Result<Mapping> {
        Mapping::map(-1, 0, bytes, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)
    }

    /// What a descriptor has from `offset` on, shared.
    pub fn shared(of: &impl AsRawFd, offset: i64, bytes: usize) -> io::Result<Mapping> {
        Mapping::map(of.as_raw_fd(), offset, bytes, libc::MAP_SHARED)
    }

    fn map(file: libc::c_int, offset: i64, bytes: usize, kind: libc::c_int) -> io::Result<Mapping> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = kind | libc::MAP_POPULATE;
        // SAFETY: a new mapping; nothing of ours is replaced.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind, file, offset as _) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { start: NonNull::new(start.cast()).expect("mapped"), bytes })
    }

    /// The byte at `offset`.
    ///
    /// # Panics
    /// If it is outside.
    #[inline]
    pub fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.bytes);
        // SAFETY: within the mapping.
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// How many.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: what `map` has mapped, once.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
