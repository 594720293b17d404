//! `recompute`: both sides are summed again after every event.

use super::{Signal, State};
use crate::book::{Book, Touched};
use crate::event::{ASK, BID};
use crate::levels::Levels;
use crate::orders::Index;
use crate::pool::Pool;

/// Walks the levels each time.
#[derive(Default)]
pub struct Recompute;

impl Signal for Recompute {
    fn sum<L: Levels, I: Index, P: Pool>(
        state: &mut State,
        book: &Book<L, I, P>,
        instrument: u16,
        _: Touched,
        n: usize,
    ) {
        state.sums = [BID, ASK].map(|side| book.depth_qty(instrument, side, n).0);
    }
}
