//! `incremental`: a sum changes by what its event brought. A level that comes pushes the last one out of the sum, one that goes lets the
//! next one in: one other level is looked at, not all of them, which on many instruments are lines that have left the caches. What the
//! touch decides is computed anew each time: that costs less than a branch that is right half of the time.

use std::hint::select_unpredictable;

use super::{Change, Config, Depth, Signal, State, advance, depth, order_flow_imbalance};
use crate::book::apply::{Instrument, Shape, Touched};
use crate::book::levels::{LevelTable, Levels, NIL};
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
        let depth = &mut state.depths[i];
        let within = touched.best_key <= depth.end;
        if within & (touched.shape != Shape::Same) {
            reshape(depth, &known.sides[i], levels, config.levels, touched);
        } else {
            depth.gain(select_unpredictable(within, touched.gained, 0));
        }
        let mut e = order_flow_imbalance(known, change, i);
        if touched.side == BOTH {
            // A CLEAR: nothing is left on the other side, either.
            state.depths = Default::default();
            e += order_flow_imbalance(known, change, 1 - i);
        }
        advance(config, state, &known.top, change, e);
    }
}

impl Depth {
    #[inline(always)]
    fn gain(&mut self, shares: i64) {
        self.sum = self.sum.wrapping_add_signed(shares);
    }
}

/// The largest key of a side that has levels; there may be one at the end of all keys.
#[inline(always)]
fn last_key<L: Levels>(side: &L, levels: &LevelTable) -> i64 {
    match side.get(i64::MAX, levels) {
        NIL => side.before(i64::MAX, levels).key,
        _ => i64::MAX,
    }
}

/// One of the best n levels came or went, or more than one changed.
#[inline(always)]
fn reshape<L: Levels>(to: &mut Depth, side: &L, levels: &LevelTable, n: usize, touched: &Touched) {
    match touched.shape {
        Shape::Came if to.count < n => {
            to.gain(touched.gained);
            to.count += 1;
            if to.count == n {
                to.end = last_key(side, levels);
            }
        }
        Shape::Came => {
            let out = levels.get(side.get(to.end, levels)).qty;
            to.gain(touched.gained - out as i64);
            to.end = side.before(to.end, levels).key;
        }
        Shape::Went => {
            to.gain(touched.gained);
            if to.count == n {
                let next = side.behind(to.end, levels);
                let none = next.count == 0;
                to.sum += next.qty;
                to.count -= none as usize;
                to.end = if none { i64::MAX } else { next.key };
            } else {
                to.count -= 1;
            }
        }
        _ => *to = depth(side, levels, n),
    }
}
