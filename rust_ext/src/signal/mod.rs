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
use crate::reserved::prefetch;

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

/// What lives from event to event, per instrument: two cache lines.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct State {
    /// The latest nine.
    pub values: Values,
    /// The best levels, bid and ask.
    depths: [Depth; 2],
}

/// The best levels of one side, at most `Config::levels` of them.
#[derive(Clone, Copy, Debug)]
struct Depth {
    /// Their shares.
    sum: u64,
    /// Key of the last one; i64::MAX while the side has fewer.
    end: i64,
    /// How many.
    count: usize,
}

impl Default for Depth {
    fn default() -> Self {
        Depth { sum: 0, end: i64::MAX, count: 0 }
    }
}

impl Default for State {
    fn default() -> Self {
        State { values: NO_VALUES, depths: Default::default() }
    }
}

impl State {
    /// Ask for both lines.
    #[inline(always)]
    pub fn prefetch(&self) {
        prefetch(&self.values);
        prefetch(&self.depths[1]);
    }
}

/// An applied event, and the touch of its instrument before it.
pub struct Change {
    /// What it changed.
    pub touched: Touched,
    /// Shares that an EXECUTE took, 0 for every other kind.
    pub executed: u32,
    /// Keys of the best levels before it, i64::MAX for an empty side.
    pub best: [i64; 2],
    /// Shares of these levels, 0 for an empty side.
    pub qty: [u64; 2],
}

/// How the signals are kept up to date.
pub trait Signal: Default + Send + Sync {
    /// Advance the signals of one instrument by one applied event; `known` is its book after it.
    fn update<L: Levels>(
        config: &Config,
        state: &mut State,
        known: &Instrument<L>,
        levels: &LevelTable,
        change: &Change,
    );
}

/// The best n levels of a side.
#[inline(always)]
fn depth<L: Levels>(side: &L, levels: &LevelTable, n: usize) -> Depth {
    let mut depth = Depth::default();
    side.walk(levels, |level| {
        depth.sum += level.qty;
        depth.count += 1;
        if depth.count == n {
            depth.end = level.key;
        }
        depth.count < n
    });
    depth
}

/// Shares by which buying pressure at the touch grew: Cont, Kukanov and Stoikov (2014). In keys both sides have one formula, but for the
/// sign; the key of an empty side is above all others, and its quantity 0. A side that did not move gives q - q. No branches: whether
/// an event concerned the touch is random to a predictor.
#[inline(always)]
fn order_flow_imbalance<L>(known: &Instrument<L>, change: &Change, i: usize) -> i64 {
    let (key, qty) = (known.best[i], known.top.qty[i] as i64);
    let (key_before, qty_before) = (change.best[i], change.qty[i] as i64);
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

/// mid, spread, microprice and imbalance of a touch; NaN where a side is empty.
#[inline(always)]
fn touch_values(touch: &Top) -> [f64; 4] {
    let [bid_qty, ask_qty] = touch.qty.map(|qty| qty as i64);
    if bid_qty == 0 || ask_qty == 0 {
        return [f64::NAN; 4];
    }
    let [bid, ask] = touch.price.map(|price| price as f64);
    let microprice = (bid * ask_qty as f64 + ask * bid_qty as f64) / (bid_qty as f64 + ask_qty as f64);
    let imbalance = (bid_qty - ask_qty) as f64 / (bid_qty + ask_qty) as f64;
    [(bid + ask) / 2.0, difference(touch.price[1], touch.price[0]), microprice, imbalance]
}

/// Imbalance of the sums of the best levels; NaN if both are empty.
#[inline(always)]
fn depth_imbalance(depths: &[Depth; 2]) -> f64 {
    let [bids, asks] = depths.each_ref().map(|depth| depth.sum as i64);
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

/// Advance the state by one event: what the book decides anew from touch and sums, what has a memory by `e` and the shares traded.
#[inline(always)]
fn advance(config: &Config, state: &mut State, top: &Top, change: &Change, e: i64) {
    let [mid_before, _, _, _, _, ofi, flow, volatility, _] = state.values;
    let touch = touch_values(top);
    let [mid, spread, microprice, imbalance] = touch;
    let depth_imbalance = depth_imbalance(&state.depths);
    let standing = standing(config, touch, depth_imbalance);
    let decay = config.decay;
    let ofi = ofi * decay + e as f64;
    // An execution of a resting bid is a sale.
    let traded = if change.touched.side == BID { -(change.executed as i64) } else { change.executed as i64 };
    let flow = flow * decay + traded as f64;
    let d = mid - mid_before;
    let volatility = if d.is_nan() { volatility } else { volatility * decay + ((1.0 - decay) * d) * d };
    let [_, _, _, w3, w4] = config.weights;
    let score = standing + (w3 * ofi) / (ofi.abs() + config.k) + (w4 * flow) / (flow.abs() + config.k);
    let score = if standing.is_nan() { 0.0 } else { score };
    state.values = [mid, spread, microprice, imbalance, depth_imbalance, ofi, flow, volatility, score];
}
