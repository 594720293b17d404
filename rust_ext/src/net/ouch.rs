//! OUCH 5.0, both directions, from one table: a message is a struct of its fixed fields and a view on its appendage, read without a
//! copy of anything but those fields and written behind what a buffer holds already.
//!
//! The same letter means different things in and out, so there is one decoder per direction. Where the table says `maybe`, the later
//! edition of the protocol allows an appendage whose length may be absent, too: the frame around the message decides.

pub mod appendage;
mod field;
mod messages;
#[cfg(test)]
mod tests;

pub use appendage::Appendage;
pub use field::{Field, Value};
pub use messages::*;

use super::error::WireError;

/// Bytes of the longest message without its appendage, its length included.
pub const LONGEST: usize = 68;

/// What follows the fixed fields of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    /// Nothing at all.
    Never,
    /// An appendage, or nothing, not even its length.
    Maybe,
    /// The length of an appendage and the appendage.
    Always,
}

/// The appendage that is the rest of a message, which starts at `at`.
#[inline(always)]
fn tail<'a>(tail: Tail, at: usize, rest: &'a [u8]) -> Result<Appendage<'a>, WireError> {
    if rest.is_empty() && tail != Tail::Always {
        return Ok(Appendage::default());
    }
    let (length, elements) = rest.split_first_chunk().unwrap_or((&[0, 0], &[]));
    let length = u16::from_be_bytes(*length) as usize;
    if rest.len() != length + 2 {
        return Err(WireError::new(
            "length of an OUCH appendage",
            at,
            length,
            elements.len()..=elements.len(),
        ));
    }
    Appendage::new(elements, at + 2)
}

/// Append an appendage with its length; one that may be absent is when it is empty.
fn put_tail(to: &mut Vec<u8>, tail: Tail, appendage: Appendage) {
    let bytes = appendage.bytes();
    if tail == Tail::Always || (tail == Tail::Maybe && !bytes.is_empty()) {
        to.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        to.extend_from_slice(bytes);
    }
}
