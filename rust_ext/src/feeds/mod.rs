//! What a feed does before an engine sees it: messages of some instruments out of a block, modifies told apart (`orders`), records of
//! another format (`dbn`). The references are `hftlab.feeds.itch`, `hftlab.feeds.records` and `hftlab.feeds.dbn`.

use crate::frames::{Next, Problem, next};
use crate::itch::{WINDOW, size_of_type};
use crate::reserved::prefetch;

pub mod dbn;
pub mod orders;

/// Bytes ahead of the walk that are asked for, and must follow a length prefix for its message to be hopped over without looking for the
/// end of the block.
const AHEAD: usize = 1024;
const _: () = assert!(AHEAD >= WINDOW + 2, "no message may end beyond what was looked at");

/// Which messages are wanted.
pub struct Wanted {
    /// A bit for each stock locate: all of them stay in the first cache.
    locates: Box<[u64; 1 << 10]>,
    types: [bool; 256],
}

impl Wanted {
    /// Those of some stock locates, default all, and of none (0); of some types, b"" for all.
    pub fn new(locates: Option<Vec<u16>>, types: &[u8]) -> Self {
        let mut bits = Box::new([if locates.is_none() { u64::MAX } else { 0 }; 1 << 10]);
        for locate in locates.into_iter().flatten().chain([0]) {
            bits[locate as usize >> 6] |= 1 << (locate & 63);
        }
        let mut wanted = Wanted { locates: bits, types: [types.is_empty(); 256] };
        types.iter().for_each(|&letter| wanted.types[letter as usize] = true);
        wanted
    }

    #[inline(always)]
    fn wants(&self, locate: u16, letter: u8) -> bool {
        self.locates[locate as usize >> 6] >> (locate & 63) & 1 != 0 && self.types[letter as usize]
    }
}

/// What `select` found in a block.
#[derive(Debug, PartialEq, Eq)]
pub struct Selected {
    /// The messages, each behind its length.
    pub out: Vec<u8>,
    /// Bytes and messages of the block that were whole messages, wanted or not.
    pub used: usize,
    /// As above.
    pub messages: u64,
    /// What is wrong with the bytes behind them.
    pub stopped: Option<Problem>,
}

/// The wanted messages of a block, of which the first is message `first`.
pub fn select(data: &[u8], wanted: &Wanted, first: u64) -> Selected {
    let (mut out, mut at, mut messages) = (Vec::new(), 0, 0);
    let (mut run, mut keeps) = (0, true); // where the wanted messages that lie together begin
    let stopped = loop {
        let (end, locate) = match hop(data, at) {
            Some(message) => message,
            None => match next(data, at) {
                Next::Frame(frame) if frame.size > 2 => {
                    (frame.at + frame.size, u16::from_be_bytes([data[at + 3], data[at + 4]]))
                }
                Next::Frame(frame) => (frame.at + frame.size, 0),
                Next::More => break None,
                Next::Bad(code, size, letter) => {
                    break Some(Problem { code, at, index: first + messages, size, letter });
                }
            },
        };
        let wants = wanted.wants(locate, data[at + 2]);
        if wants != keeps {
            if keeps {
                out.extend_from_slice(&data[run..at]);
            }
            (run, keeps) = (at, wants);
        }
        (at, messages) = (end, messages + 1);
    };
    if keeps {
        out.extend_from_slice(&data[run..at]);
    }
    Selected { out, used: at, messages, stopped }
}

/// Where the message whose length prefix stands at `at` ends, and its locate, if it is of a known type and not among the last of the block.
#[inline(always)]
fn hop(data: &[u8], at: usize) -> Option<(usize, u16)> {
    let head = data.get(at..)?.first_chunk::<AHEAD>()?;
    prefetch(&head[AHEAD - 1]);
    let size = u16::from_be_bytes([head[0], head[1]]) as usize;
    (size == size_of_type(head[2])).then(|| (at + 2 + size, u16::from_be_bytes([head[3], head[4]])))
}
