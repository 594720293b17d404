//! SIGNAL: nine numbers after each event. All arithmetic is float64, in the order the contract writes it, never fused and never
//! re-associated, so that every engine gives the same bits. How the sums of the best levels are kept is a variant per file:
//!
//! 1. `recompute`   walks the levels of both sides after every event
//! 2. `incremental` adds what an event brought to the sum it belongs to, and walks only where a level came or went

pub mod incremental;
pub mod recompute;

use std::hint::select_unpredictable;

use crate::book::apply::Instrument;
use crate::book::levels::{LevelTable, Levels};
use crate::book::{Top, Touched};
use crate::event::BID;

/// The nine, in the order in which they are kept.
pub const NAMES: [&str; 9] =
    ["mid", "spread", "microprice", "imbalance", "depth_imbalance", "ofi", "flow", "volatility", "score"];
/// One value by name.
pub type Values = [f64; NAMES.len()];

/// Before anything has happened, and for a message that names no instrument.
pub const NO_VALUES: Values = [f64::NAN, f64::NAN, f64::NAN, f64::NAN, f64::NAN, 0.0, 0.0, 0.0, 0.0];

/// Constants of the signals.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is left of ofi, flow and volatility after one event, in [0, 1].
    pub decay: f64,
    /// Shares at which ofi and flow reach half their weight, > 0.
    pub k: f64,
    /// Weights of the score's five terms.
    pub weights: [f64; 5],
    /// Levels a side summed for depth_imbalance, in [1, 64].
    pub levels: usize,
}

/// What lives from event to event, per instrument: one cache line. All else follows from it and the touch, see `values`.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct State {
    ofi: f64,
    flow: f64,
    volatility: f64,
    /// Shares of the best levels, bids and asks, at most `Config::levels` a side.
    sum: [u64; 2],
    /// Key of the last one of them; i64::MAX while the side has fewer.
    end: [i64; 2],
    /// How many.
    count: [u8; 2],
}

const _: () =
    assert!(size_of::<State>() == 64, "the signals of an instrument have outgrown their cache line");

impl Default for State {
    fn default() -> Self {
        State { ofi: 0.0, flow: 0.0, volatility: 0.0, sum: [0; 2], end: [i64::MAX; 2], count: [0; 2] }
    }
}

/// An applied event, and the touch of its instrument before it.
pub struct Change {
    /// What it changed.
    pub touched: Touched,
    /// Shares that an EXECUTE took, 0 for every other kind.
    pub executed: u32,
    /// The touch before it.
    pub top: Top,
    /// Its keys, i64::MAX for an empty side.
    pub best: [i64; 2],
}

/// How the signals are kept up to date.
pub trait Signal: Default + Send + Sync {
    /// Advance the signals of one instrument by one applied event; `known` is its book after it. Returns what they are then.
    fn update<L: Levels>(
        config: &Config,
        state: &mut State,
        known: &Instrument<L>,
        levels: &LevelTable,
        change: &Change,
    ) -> Values;
}

impl State {
    /// Sum the best n levels of a side anew.
    #[inline(always)]
    fn resum<L: Levels>(&mut self, i: usize, side: &L, levels: &LevelTable, n: usize) {
        let (mut sum, mut end, mut count) = (0, i64::MAX, 0);
        side.walk(levels, |level| {
            sum += level.qty;
            count += 1;
            if count == n {
                end = level.key;
            }
            count < n
        });
        (self.sum[i], self.end[i], self.count[i]) = (sum, end, count as u8);
    }

    /// The best levels of a side have more shares, or less.
    #[inline(always)]
    fn gain(&mut self, i: usize, shares: i64) {
        self.sum[i] = self.sum[i].wrapping_add_signed(shares);
    }
}

/// Shares by which buying pressure at the touch grew: Cont, Kukanov and Stoikov (2014). In keys both sides have one formula, but for the
/// sign; the key of an empty side is above all others, and its quantity 0. A side that did not move gives q - q. No branches: whether
/// an event concerned the touch is random to a predictor.
#[inline(always)]
fn order_flow_imbalance<L>(known: &Instrument<L>, change: &Change, i: usize) -> i64 {
    let (key, qty) = (known.best[i], known.top.qty[i] as i64);
    let (key_before, qty_before) = (change.best[i], change.top.qty[i] as i64);
    let came = select_unpredictable(key <= key_before, qty, 0);
    let left = select_unpredictable(key >= key_before, qty_before, 0);
    if i == 0 { came - left } else { left - came }
}

/// a - b as float64, also where the difference leaves i64.
#[inline(always)]
fn difference(a: i64, b: i64) -> f64 {
    match a.checked_sub(b) {
        Some(d) => d as f64,
        None => (a as i128 - b as i128) as f64,
    }
}

/// Middle of a touch; NaN where a side is empty.
#[inline(always)]
fn mid(touch: &Top) -> f64 {
    let [bid, ask] = touch.price.map(|price| price as f64);
    if (touch.qty[0] == 0) | (touch.qty[1] == 0) { f64::NAN } else { (bid + ask) / 2.0 }
}

/// mid, spread, microprice and imbalance of a touch; NaN where a side is empty.
#[inline(always)]
fn touch_values(touch: &Top) -> [f64; 4] {
    let [bid_qty, ask_qty] = touch.qty.map(|qty| qty as i64);
    if (bid_qty == 0) | (ask_qty == 0) {
        return [f64::NAN; 4];
    }
    let [bid, ask] = touch.price.map(|price| price as f64);
    let microprice = (bid * ask_qty as f64 + ask * bid_qty as f64) / (bid_qty as f64 + ask_qty as f64);
    let imbalance = (bid_qty - ask_qty) as f64 / (bid_qty + ask_qty) as f64;
    [(bid + ask) / 2.0, difference(touch.price[1], touch.price[0]), microprice, imbalance]
}

/// Imbalance of the sums of the best levels; NaN if both are empty.
#[inline(always)]
fn depth_imbalance(sums: [u64; 2]) -> f64 {
    let [bids, asks] = sums.map(|sum| sum as i64);
    if bids + asks > 0 { (bids - asks) as f64 / (bids + asks) as f64 } else { f64::NAN }
}

/// The terms of the score that the book alone decides, in the order of the contract; NaN where there is no score.
#[inline(always)]
fn standing(config: &Config, [mid, spread, microprice, imbalance]: [f64; 4], depth_imbalance: f64) -> f64 {
    let [w0, w1, w2, ..] = config.weights;
    if spread > 0.0 {
        w0 * imbalance + w1 * depth_imbalance + (w2 * (microprice - mid)) / spread
    } else {
        f64::NAN
    }
}

/// The nine signals of an instrument by its state and its touch.
#[inline(always)]
pub fn values(config: &Config, state: &State, top: &Top) -> Values {
    nine(config, state, touch_values(top))
}

/// The same, where what the touch alone decides is known.
#[inline(always)]
fn nine(config: &Config, state: &State, touch: [f64; 4]) -> Values {
    let [mid, spread, microprice, imbalance] = touch;
    let depth_imbalance = depth_imbalance(state.sum);
    let standing = standing(config, touch, depth_imbalance);
    let (State { ofi, flow, volatility, .. }, [_, _, _, w3, w4]) = (*state, config.weights);
    let score = standing + (w3 * ofi) / (ofi.abs() + config.k) + (w4 * flow) / (flow.abs() + config.k);
    let score = if standing.is_nan() { 0.0 } else { score };
    [mid, spread, microprice, imbalance, depth_imbalance, ofi, flow, volatility, score]
}

/// Advance what has a memory by one event, `e` its order-flow imbalance; the sums are those after it.
#[inline(always)]
fn advance(config: &Config, state: &mut State, top: &Top, change: &Change, e: i64) -> Values {
    let (decay, touch) = (config.decay, touch_values(top));
    state.ofi = state.ofi * decay + e as f64;
    // An execution of a resting bid is a sale.
    let traded = if change.touched.side == BID { -(change.executed as i64) } else { change.executed as i64 };
    state.flow = state.flow * decay + traded as f64;
    let d = touch[0] - mid(&change.top);
    let volatility = state.volatility;
    state.volatility = if d.is_nan() { volatility } else { volatility * decay + ((1.0 - decay) * d) * d };
    nine(config, state, touch)
}
