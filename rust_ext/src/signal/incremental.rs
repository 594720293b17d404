//! `incremental`: nothing is computed that did not change. A sum changes by what its event brought, and levels are walked only where one
//! of the best came or went; what the touch decides stands until the touch moves.

use super::{
    Change, Config, Signal, State, advance, depth_imbalance, order_flow_imbalance, standing, touch_values,
};
use crate::book::Book;
use crate::book::levels::Levels;
use crate::book::orders::Index;
use crate::book::pool::Pool;
use crate::event::{ASK, BID};

/// Keeps the sums and the terms of the score.
#[derive(Default)]
pub struct Incremental;

impl Signal for Incremental {
    #[inline(always)]
    fn update<L: Levels, I: Index, P: Pool>(
        config: &Config,
        state: &mut State,
        book: &Book<L, I, P>,
        change: &Change,
    ) {
        let mid_before = state.values[0];
        let (touched, mut changed) = (change.touched, false);
        for (i, side) in [BID, ASK].into_iter().enumerate() {
            if touched.side & side != 0 && touched.best_key <= state.ends[i] {
                changed = true;
                if touched.reshaped {
                    let (sum, end) = book.depth_qty(change.event.instrument, side, config.levels);
                    (state.sums[i], state.ends[i]) = (sum, end.unwrap_or(i64::MAX));
                } else {
                    state.sums[i] = state.sums[i].wrapping_add_signed(touched.gained);
                }
            }
        }
        let mut e = 0;
        if changed {
            state.values[4] = depth_imbalance(state.sums);
            // A change behind the best levels cannot have moved the touch.
            if change.before != change.after {
                e = order_flow_imbalance(change.before, change.after);
                state.values[..4].copy_from_slice(&touch_values(change.after));
            }
            state.standing = standing(config, &state.values);
        }
        advance(config, state, change, e, mid_before);
    }
}
