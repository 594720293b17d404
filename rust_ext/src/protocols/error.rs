//! Bytes from the wire that are not what their protocol says.

use std::fmt;
use std::ops::RangeInclusive;

/// What stands where, and what could. It holds no byte of what was received, so that it can be written to any log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError {
    /// What was looked at.
    pub what: &'static str,
    /// Bytes into the packet, the message or the stream.
    pub offset: u64,
    /// What was found: a length, a count, a byte.
    pub found: u64,
    /// The least and the greatest that are allowed, `u64::MAX` for no end; None where it is no matter of size.
    pub allowed: Option<(u64, u64)>,
}

impl WireError {
    #[cold]
    pub(super) fn not_allowed(what: &'static str, offset: usize, found: u8) -> Self {
        WireError { what, offset: offset as u64, found: found as u64, allowed: None }
    }

    #[cold]
    pub(super) fn new(
        what: &'static str,
        offset: usize,
        found: usize,
        allowed: RangeInclusive<usize>,
    ) -> Self {
        let allowed = Some((*allowed.start() as u64, *allowed.end() as u64));
        WireError { what, offset: offset as u64, found: found as u64, allowed }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let WireError { what, offset, found, allowed } = self;
        match allowed {
            Some((low, high)) if low == high => {
                write!(out, "{what}: offset {offset}: must be {low}, got {found}")
            }
            Some((low, u64::MAX)) => {
                write!(out, "{what}: offset {offset}: must be at least {low}, got {found}")
            }
            Some((low, high)) => write!(out, "{what}: offset {offset}: must be {low} to {high}, got {found}"),
            None => write!(out, "{what}: offset {offset}: {found} is not allowed"),
        }
    }
}

impl std::error::Error for WireError {}
