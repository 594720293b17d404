//! `incremental`: a sum changes by what its event brought; levels are walked only where one of the best came or went.

use super::{Signal, State};
use crate::book::{Book, Touched};
use crate::event::{ASK, BID};
use crate::levels::Levels;
use crate::orders::Index;
use crate::pool::Pool;

/// Keeps the sums.
#[derive(Default)]
pub struct Incremental;

impl Signal for Incremental {
    #[inline(always)]
    fn sum<L: Levels, I: Index, P: Pool>(
        state: &mut State,
        book: &Book<L, I, P>,
        instrument: u16,
        touched: Touched,
        n: usize,
    ) {
        for (i, side) in [BID, ASK].into_iter().enumerate() {
            if touched.side & side != 0 && touched.best_key <= state.ends[i] {
                if touched.reshaped {
                    let (sum, end) = book.depth_qty(instrument, side, n);
                    (state.sums[i], state.ends[i]) = (sum, end.unwrap_or(i64::MAX));
                } else {
                    state.sums[i] = state.sums[i].wrapping_add_signed(touched.gained);
                }
            }
        }
    }
}
