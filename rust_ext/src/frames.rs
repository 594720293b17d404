//! TICK, around the decoder: where messages begin and end in a block of bytes, and many of them decoded at once.
//!
//! Messages are decoded a batch at a time. The decoder then runs without waiting for the book, and what the next messages will touch
//! is known while there is time to ask for it.

use crate::event::Event;
use crate::itch::{LONGEST_UNKNOWN, WINDOW, decode, is_known, size_of_type, unknown};

/// Why a run over wire bytes stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong: `zero_length`, `bad_length`, `unknown_type` or `fault`, the words Python knows.
    pub code: &'static str,
    /// Bytes into the block that was given.
    pub at: usize,
    /// Message number.
    pub index: u64,
    /// The length prefix; for a fault its number.
    pub size: usize,
    /// The type byte.
    pub letter: u8,
}

/// A whole message in a block: where its type byte stands and how long it is.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Offset of the type byte.
    pub at: usize,
    /// Bytes of the message.
    pub size: usize,
    /// Whether the type is known.
    pub known: bool,
}

/// What stands at an offset of a block.
pub enum Next {
    /// A whole message.
    Frame(Frame),
    /// Less than a whole message: more bytes are needed.
    More,
    /// Bytes that are no message: code, length prefix, type byte.
    Bad(&'static str, usize, u8),
}

/// What is wrong with a message of `size` bytes of type `letter`, if anything.
pub fn frame_problem(size: usize, letter: u8) -> Option<&'static str> {
    if size == 0 {
        Some("zero_length")
    } else if size != size_of_type(letter) && (is_known(letter) || size > LONGEST_UNKNOWN) {
        Some("bad_length")
    } else {
        None
    }
}

/// Look at the frame whose length prefix stands at `at`.
#[inline(always)]
pub fn next(data: &[u8], at: usize) -> Next {
    let Some(head) = data.get(at..at + 3) else { return Next::More };
    let size = u16::from_be_bytes([head[0], head[1]]) as usize;
    let letter = head[2];
    let known = size == size_of_type(letter);
    if !known && let Some(code) = frame_problem(size, letter) {
        return Next::Bad(code, size, letter);
    }
    if data.len() - at < size + 2 {
        return Next::More;
    }
    Next::Frame(Frame { at: at + 2, size, known })
}

/// The message at `at` as a window: in place where enough bytes follow, else through `spare`, padded with zeros.
#[inline(always)]
pub fn window<'a>(data: &'a [u8], at: usize, spare: &'a mut [u8; WINDOW]) -> &'a [u8; WINDOW] {
    match data.get(at..at + WINDOW).and_then(|bytes| bytes.try_into().ok()) {
        Some(bytes) => bytes,
        None => {
            let rest = &data[at.min(data.len())..];
            *spare = [0; WINDOW];
            spare[..rest.len()].copy_from_slice(rest);
            spare
        }
    }
}

/// Number of whole messages of known types at the start of a block.
pub fn count_known(data: &[u8]) -> usize {
    let (mut at, mut n) = (0, 0);
    while let Next::Frame(Frame { at: start, size, known: true }) = next(data, at) {
        at = start + size;
        n += 1;
    }
    n
}

/// Number of whole messages in a block, as far as it can be read.
pub fn count(data: &[u8]) -> usize {
    let (mut at, mut n) = (0, 0);
    while let Next::Frame(frame) = next(data, at) {
        at = frame.at + frame.size;
        n += 1;
    }
    n
}

/// Size and window of the message whose length prefix stands at `at`, where a whole window follows; one check covers every load.
#[inline(always)]
pub fn peek(data: &[u8], at: usize) -> Option<(usize, &[u8; WINDOW])> {
    let bytes = data.get(at..)?.first_chunk::<{ WINDOW + 2 }>()?;
    Some((u16::from_be_bytes([bytes[0], bytes[1]]) as usize, bytes[2..].first_chunk()?))
}

/// Messages decoded or asked for at once: enough for memory to answer, and few enough for what they touch to stay in the first cache.
pub const BATCH: usize = 64;

/// Events of consecutive messages.
pub struct Batch {
    events: [Event; BATCH],
    len: usize,
    /// Offset of the first message's length prefix in the block.
    start: usize,
    /// Messages of unknown type among them.
    pub unknown: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Batch { events: [Event::default(); BATCH], len: 0, start: 0, unknown: 0 }
    }
}

impl Batch {
    /// What has been decoded.
    #[inline(always)]
    pub fn events(&self) -> &[Event] {
        &self.events[..self.len.min(BATCH)]
    }

    /// Leave only the first `len` messages.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Decode whole messages from `start` on, at most `most` and at most `BATCH` of them. Returns the offset behind the last one, and
    /// what stands there if it is bytes that are no message.
    #[inline(always)]
    pub fn fill(&mut self, data: &[u8], start: usize, most: usize) -> (usize, Option<Next>) {
        let (mut at, most, mut len) = (start, most.min(BATCH), 0);
        (self.start, self.unknown) = (start, 0);
        // One check covers the prefix and every load of the decoder.
        while len < most
            && let Some((size, window)) = peek(data, at)
        {
            if size != size_of_type(window[0]) {
                break;
            }
            self.events[len] = decode(window);
            len += 1;
            at += size + 2;
        }
        self.len = len;
        if len == most { (at, None) } else { self.fill_slowly(data, at, most) }
    }

    /// The last messages of a block, and those that the loop above does not know.
    #[cold]
    fn fill_slowly(&mut self, data: &[u8], mut at: usize, most: usize) -> (usize, Option<Next>) {
        let mut spare = [0; WINDOW];
        while self.len < most {
            match next(data, at) {
                Next::Frame(frame) => {
                    let window = window(data, frame.at, &mut spare);
                    self.events[self.len] =
                        if frame.known { decode(window) } else { unknown(window, frame.size) };
                    self.unknown += !frame.known as usize;
                    self.len += 1;
                    at = frame.at + frame.size;
                }
                Next::More => break,
                bad => return (at, Some(bad)),
            }
        }
        (at, None)
    }

    /// The i-th message of the batch in the block it was decoded from. Found by hopping over those before it: asked for rarely.
    #[cold]
    pub fn message<'a>(&self, data: &'a [u8], i: usize) -> (usize, &'a [u8]) {
        let mut at = self.start;
        for _ in 0..i {
            at += 2 + u16::from_be_bytes([data[at], data[at + 1]]) as usize;
        }
        (at, &data[at + 2..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart() {
        assert!(matches!(next(&[0, 12], 0), Next::More));
        assert!(matches!(next(&[0, 0, b'S'], 0), Next::Bad("zero_length", 0, b'S')));
        assert!(matches!(next(&[0, 13, b'S'], 0), Next::Bad("bad_length", 13, b'S')));
        assert!(matches!(next(&[1, 0, b'!'], 0), Next::Bad("bad_length", 256, b'!')));
        assert!(matches!(next(&[0, 1, b'!'], 0), Next::Frame(Frame { size: 1, known: false, .. })));
    }

    #[test]
    fn a_batch_is_the_same_wherever_the_block_ends() {
        let mut data = Vec::new();
        for n in 0..200u64 {
            data.extend_from_slice(&19u16.to_be_bytes());
            data.push(b'D');
            data.extend_from_slice(&[0; 10]);
            data.extend_from_slice(&n.to_be_bytes());
        }
        for end in 0..data.len() {
            let (mut batch, mut at, mut seen) = (Batch::default(), 0, 0);
            loop {
                let (to, bad) = batch.fill(&data[..end], at, usize::MAX);
                assert!(bad.is_none());
                assert!(batch.events().iter().zip(seen..).all(|(event, n)| event.order_id == n));
                seen += batch.events().len() as u64;
                at = to;
                if batch.events().len() < BATCH {
                    break;
                }
            }
            assert_eq!((seen, at), (end as u64 / 21, end / 21 * 21));
        }
    }
}
