//! ITCH 5.0 messages as framed bytes.
//!
//! A stamp is tracking number << 48 | nanoseconds since midnight: the two neighbours in the header as one word.

/// Bytes of the longest message the generator writes, frame included.
pub(super) const LONGEST: usize = 46;

const HOUR: u64 = 3_600_000_000_000;
const MINUTE: u64 = 60_000_000_000;
pub(super) const START_OF_MESSAGES: u64 = 3 * HOUR;
pub(super) const START_OF_SYSTEM: u64 = 4 * HOUR;
pub(super) const OPEN: u64 = 9 * HOUR + 30 * MINUTE;
pub(super) const CLOSE: u64 = 16 * HOUR;
pub(super) const END_OF_SYSTEM: u64 = 20 * HOUR;
pub(super) const END_OF_MESSAGES: u64 = 20 * HOUR + 5 * MINUTE;

/// One message being written: the header at once, then field after field, big-endian.
pub(super) struct Message<'a>(&'a mut Vec<u8>);

impl<'a> Message<'a> {
    /// Writes frame and header; `length` is that of the message without its frame.
    pub(super) fn new(out: &'a mut Vec<u8>, length: u8, kind: u8, locate: u16, stamp: u64) -> Self {
        let [high, low] = locate.to_be_bytes();
        out.extend_from_slice(&[0, length, kind, high, low]);
        out.extend_from_slice(&stamp.to_be_bytes());
        Self(out)
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn word(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// A quantity or a price; both fit in four bytes by construction.
    pub(super) fn half(self, value: u64) -> Self {
        self.bytes(&(value as u32).to_be_bytes())
    }
}
