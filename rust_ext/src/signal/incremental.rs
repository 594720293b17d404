//! `incremental`: a sum changes by what its event brought, and levels are walked only where one of the best came or went. What the touch
//! decides is computed anew each time: that costs less than a branch that is right half of the time.

use std::hint::select_unpredictable;

use super::{Change, Config, Signal, State, advance, depth_sum, order_flow_imbalance};
use crate::book::apply::Instrument;
use crate::book::levels::{LevelTable, Levels};
use crate::event::{ASK, BOTH};

/// Keeps the sums of the best levels.
#[derive(Default)]
pub struct Incremental;

impl Signal for Incremental {
    #[inline(always)]
    fn update<L: Levels>(
        config: &Config,
        state: &mut State,
        known: &Instrument<L>,
        levels: &LevelTable,
        change: &Change,
    ) {
        let touched = &change.touched;
        let i = (touched.side & ASK) as usize / 2;
        let within = touched.best_key <= state.ends[i];
        if within & touched.reshaped {
            (state.sums[i], state.ends[i]) = depth_sum(&known.sides[i], levels, config.levels);
        } else {
            let gained = select_unpredictable(within, touched.gained, 0);
            state.sums[i] = state.sums[i].wrapping_add_signed(gained);
        }
        let mut e = order_flow_imbalance(known, change, i);
        if touched.side == BOTH {
            // A CLEAR: nothing is left on the other side, either.
            (state.sums, state.ends) = ([0; 2], [i64::MAX; 2]);
            e += order_flow_imbalance(known, change, 1 - i);
        }
        advance(config, state, &known.top, change, e);
    }
}
