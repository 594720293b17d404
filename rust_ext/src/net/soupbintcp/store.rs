//! The messages of a session, one behind the other in one block of memory.

use super::LONGEST;

/// The sequenced messages of a session, kept for whoever comes later.
#[derive(Default)]
pub struct Store {
    bytes: Vec<u8>,
    /// Where each message ends.
    ends: Vec<usize>,
}

impl Store {
    /// A store that has asked for the memory of so many messages and bytes.
    pub fn with_capacity(messages: usize, bytes: usize) -> Self {
        Store { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(messages) }
    }

    /// Append the message that `write` appends; false, and nothing kept, if it is too long for a packet.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let start = self.bytes.len();
        write(&mut self.bytes);
        if self.bytes.len() - start >= LONGEST {
            self.bytes.truncate(start);
            return false;
        }
        self.ends.push(self.bytes.len());
        true
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The i-th from 0 on; its number is one more.
    pub fn get(&self, i: usize) -> Option<&[u8]> {
        let start = if i == 0 { 0 } else { *self.ends.get(i - 1)? };
        self.bytes.get(start..*self.ends.get(i)?)
    }
}
