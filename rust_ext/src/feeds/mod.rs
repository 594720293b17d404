//! What a feed does before an engine sees it: messages of some instruments out of a block, modifies told apart (`orders`), records of
//! another format (`dbn`). The references are `hftlab.feeds.itch`, `hftlab.feeds.records` and `hftlab.feeds.dbn`.

use crate::frames::{Next, Problem, next};
use crate::itch::{WINDOW, size_of_type};
use crate::reserved::prefetch;

pub mod dbn;
pub mod orders;

/// Bytes that must follow a length prefix for its message to be hopped over without looking for the end of the block.
const HOP: usize = WINDOW + 2;
/// Bytes ahead of the walk that are asked for: a length is needed at once, and memory answers late.
const AHEAD: usize = 1024;

/// The messages of a block that are of a wanted stock locate, or of none, each behind its length; the bytes that were whole messages,
/// and what is wrong with those behind them. `wanted` has a place for each locate.
pub fn select(data: &[u8], wanted: &[bool; 1 << 16]) -> (Vec<u8>, usize, Option<Problem>) {
    let (mut out, mut at, mut index) = (Vec::new(), 0, 0);
    let (mut run, mut keeps) = (0, true); // where the wanted messages that lie together begin
    loop {
        let end = match hop(data, at) {
            Some(end) => end,
            None => match next(data, at) {
                Next::Frame(frame) => frame.at + frame.size,
                stopped => {
                    if keeps {
                        out.extend_from_slice(&data[run..at]);
                    }
                    let problem = match stopped {
                        Next::Bad(code, size, letter) => Some(Problem { code, at, index, size, letter }),
                        _ => None,
                    };
                    return (out, at, problem);
                }
            },
        };
        let locate = if end - at > 4 { u16::from_be_bytes([data[at + 3], data[at + 4]]) } else { 0 };
        let wants = locate == 0 || wanted[locate as usize];
        if wants != keeps {
            if keeps {
                out.extend_from_slice(&data[run..at]);
            }
            (run, keeps) = (at, wants);
        }
        (at, index) = (end, index + 1);
    }
}

/// Where the message whose length prefix stands at `at` ends, if it is of a known type and not among the last of the block.
#[inline(always)]
fn hop(data: &[u8], at: usize) -> Option<usize> {
    let head = data.get(at..at + HOP)?;
    if let Some(later) = data.get(at + AHEAD) {
        prefetch(later);
    }
    let size = u16::from_be_bytes([head[0], head[1]]) as usize;
    (size == size_of_type(head[2])).then_some(at + 2 + size)
}
