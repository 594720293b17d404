//! `incremental`: a sum changes by what its event brought. A level that comes pushes the last one out of the sum, one that goes lets the
//! next one in: one other level is looked at, not all of them, which on many instruments are lines that have left the caches. What the
//! touch decides is computed anew each time: that costs less than a branch that is right half of the time.

use std::hint::select_unpredictable;

use super::{Change, Config, Signal, State, Values, advance, order_flow_imbalance};
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
    ) -> Values {
        let touched = &change.touched;
        let i = (touched.side & ASK) as usize / 2;
        let within = touched.best_key <= state.end[i];
        if within & (touched.shape != Shape::Same) {
            state.reshape(i, &known.sides[i], levels, config.levels, touched);
        } else {
            state.gain(i, select_unpredictable(within, touched.gained, 0));
        }
        let mut e = order_flow_imbalance(known, change, i);
        if touched.side == BOTH {
            // A CLEAR: nothing is left on the other side, either.
            state.resum(1 - i, &known.sides[1 - i], levels, config.levels);
            e += order_flow_imbalance(known, change, 1 - i);
        }
        advance(config, state, &known.top, change, e)
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

impl State {
    /// One of the best n levels came or went, or more than one changed. Whether one came or went makes no branch: it is random to a
    /// predictor.
    #[inline(always)]
    fn reshape<L: Levels>(&mut self, i: usize, side: &L, levels: &LevelTable, n: usize, touched: &Touched) {
        let (came, went) = (touched.shape == Shape::Came, touched.shape == Shape::Went);
        let count = self.count[i].wrapping_add(came as u8).wrapping_sub(went as u8);
        let full = self.count[i] as usize == n;
        if (came | went) & !full & (count as usize != n) {
            self.count[i] = count;
            self.gain(i, touched.gained);
        } else if (came | went) & full
            && let Some((end, crossing)) = side.shifted(self.end[i], came, levels)
        {
            self.end[i] = end;
            self.gain(i, touched.gained + select_unpredictable(came, -(crossing as i64), crossing as i64));
        } else {
            self.reshape_slowly(i, side, levels, n, touched);
        }
    }

    /// The same, where levels run out or stand where it takes a search.
    #[inline(never)]
    fn reshape_slowly<L: Levels>(
        &mut self,
        i: usize,
        side: &L,
        levels: &LevelTable,
        n: usize,
        touched: &Touched,
    ) {
        let full = self.count[i] as usize == n;
        match touched.shape {
            Shape::Came if !full => {
                self.gain(i, touched.gained);
                self.count[i] += 1;
                if self.count[i] as usize == n {
                    self.end[i] = last_key(side, levels);
                }
            }
            Shape::Came => {
                let out = levels.get(side.get(self.end[i], levels)).qty;
                self.gain(i, touched.gained - out as i64);
                self.end[i] = side.before(self.end[i], levels).key;
            }
            Shape::Went if full => {
                let next = side.behind(self.end[i], levels);
                let none = next.count == 0;
                self.gain(i, touched.gained + next.qty as i64);
                self.count[i] -= none as u8;
                self.end[i] = if none { i64::MAX } else { next.key };
            }
            Shape::Went => {
                self.gain(i, touched.gained);
                self.count[i] -= 1;
            }
            _ => self.resum(i, side, levels, n),
        }
    }
}
