//! SIGNAL: nine numbers after each event. All arithmetic is float64, in the order the contract writes it, never fused and never
//! re-associated, so that every engine gives the same bits. How the sums of the best levels are kept is a variant per file:
//!
//! 1. `recompute`   walks the levels of both sides after every event
//! 2. `incremental` adds what an event brought to the sum it belongs to, and walks only where a level came or went

pub mod incremental;
pub mod recompute;

use crate::book::levels::Levels;
use crate::book::orders::Index;
use crate::book::pool::Pool;
use crate::book::{Book, Top, Touched};
use crate::event::{BID, Event, kind};
use crate::prefetch::prefetch;

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
    /// The first three terms of the score, which the book alone decides; NaN where there is no score.
    standing: f64,
    /// Shares of the best levels, bid and ask.
    sums: [u64; 2],
    /// Keys of the last level in each sum; i64::MAX while the side has fewer levels.
    ends: [i64; 2],
}

impl Default for State {
    fn default() -> Self {
        State { values: NO_VALUES, standing: f64::NAN, sums: [0; 2], ends: [i64::MAX; 2] }
    }
}

impl State {
    /// Ask for both lines.
    #[inline(always)]
    pub fn prefetch(&self) {
        prefetch(&self.values);
        prefetch(&self.ends);
    }
}

/// An applied event, and the touch of its instrument before and after it.
pub struct Change<'a> {
    /// The event.
    pub event: &'a Event,
    /// What it changed.
    pub touched: Touched,
    /// The touch before it.
    pub before: &'a Top,
    /// The touch after it.
    pub after: &'a Top,
}

/// How the signals are kept up to date.
pub trait Signal: Default + Send + Sync {
    /// Advance the signals of one instrument by one applied event.
    fn update<L: Levels, I: Index, P: Pool>(
        config: &Config,
        state: &mut State,
        book: &Book<L, I, P>,
        change: &Change,
    );
}

/// Shares by which buying pressure at the touch grew: Cont, Kukanov and Stoikov (2014). An empty side has quantity 0; an empty bid
/// counts as price minus infinity, an empty ask as plus infinity.
#[inline(always)]
fn order_flow_imbalance(before: &Top, after: &Top) -> i64 {
    let ([bid0, ask0], [bid, ask]) = (before.price, after.price);
    let ([bid_qty0, ask_qty0], [bid_qty, ask_qty]) = (before.qty, after.qty);
    let mut e = 0;
    if bid_qty0 == 0 || (bid_qty > 0 && bid >= bid0) {
        e += bid_qty as i64;
    }
    if bid_qty == 0 || (bid_qty0 > 0 && bid <= bid0) {
        e -= bid_qty0 as i64;
    }
    if ask_qty0 == 0 || (ask_qty > 0 && ask <= ask0) {
        e -= ask_qty as i64;
    }
    if ask_qty == 0 || (ask_qty0 > 0 && ask >= ask0) {
        e += ask_qty0 as i64;
    }
    e
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
fn depth_imbalance(sums: [u64; 2]) -> f64 {
    let [bids, asks] = sums.map(|sum| sum as i64);
    if bids + asks > 0 { (bids - asks) as f64 / (bids + asks) as f64 } else { f64::NAN }
}

/// The terms of the score that the book alone decides, in the order of the contract; NaN where there is no score.
#[inline(always)]
fn standing(config: &Config, values: &Values) -> f64 {
    let [mid, spread, microprice, imbalance, depth_imbalance, ..] = *values;
    let [w0, w1, w2, ..] = config.weights;
    if spread > 0.0 {
        w0 * imbalance + w1 * depth_imbalance + (w2 * (microprice - mid)) / spread
    } else {
        f64::NAN
    }
}

/// Advance what has a memory: ofi by `e`, flow, volatility; then the score. The first five values are up to date.
#[inline(always)]
fn advance(config: &Config, state: &mut State, change: &Change, e: i64, mid_before: f64) {
    let [mid, _, _, _, _, ofi, flow, volatility, _] = state.values;
    let decay = config.decay;
    let ofi = ofi * decay + e as f64;
    let traded = match (change.event.kind, change.touched.side) {
        (kind::EXECUTE, BID) => -(change.event.qty as i64), // an execution of a resting bid is a sale
        (kind::EXECUTE, _) => change.event.qty as i64,
        _ => 0,
    };
    let flow = flow * decay + traded as f64;
    let d = mid - mid_before;
    let volatility = if d.is_nan() { volatility } else { volatility * decay + ((1.0 - decay) * d) * d };
    let [_, _, _, w3, w4] = config.weights;
    let score = state.standing + (w3 * ofi) / (ofi.abs() + config.k) + (w4 * flow) / (flow.abs() + config.k);
    let score = if state.standing.is_nan() { 0.0 } else { score };
    state.values[5..].copy_from_slice(&[ofi, flow, volatility, score]);
}
