//! `recompute`: everything anew after every event, the best levels of both sides walked each time.

use super::{Change, Config, Signal, State, Values, advance, order_flow_imbalance};
use crate::book::apply::Instrument;
use crate::book::levels::{LevelTable, Levels};

/// Keeps nothing but what has a memory.
#[derive(Default)]
pub struct Recompute;

impl Signal for Recompute {
    fn update<L: Levels>(
        config: &Config,
        state: &mut State,
        known: &Instrument<L>,
        levels: &LevelTable,
        change: &Change,
    ) -> Values {
        for (i, side) in known.sides.iter().enumerate() {
            state.resum(i, side, levels, config.levels);
        }
        let e = order_flow_imbalance(known, change, 0) + order_flow_imbalance(known, change, 1);
        advance(config, state, &known.top, change, e)
    }
}
