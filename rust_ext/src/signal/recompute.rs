//! `recompute`: everything anew after every event, the best levels of both sides walked each time.

use super::{
    Change, Config, Signal, State, advance, depth_imbalance, order_flow_imbalance, standing, touch_values,
};
use crate::book::Book;
use crate::book::levels::Levels;
use crate::book::orders::Index;
use crate::book::pool::Pool;
use crate::event::{ASK, BID};

/// Keeps nothing but what has a memory.
#[derive(Default)]
pub struct Recompute;

impl Signal for Recompute {
    fn update<L: Levels, I: Index, P: Pool>(
        config: &Config,
        state: &mut State,
        book: &Book<L, I, P>,
        change: &Change,
    ) {
        let mid_before = state.values[0];
        let instrument = change.event.instrument;
        state.sums = [BID, ASK].map(|side| book.depth_qty(instrument, side, config.levels).0);
        state.values[..4].copy_from_slice(&touch_values(change.after));
        state.values[4] = depth_imbalance(state.sums);
        state.standing = standing(config, &state.values);
        let e = order_flow_imbalance(change.before, change.after);
        advance(config, state, change, e, mid_before);
    }
}
