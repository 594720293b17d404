//! SIGNAL: nine numbers after each event. All arithmetic is float64, in the order the contract writes it, never fused and never
//! re-associated, so that every engine gives the same bits. How the sums of the best levels are kept is a variant per file:
//!
//! 1. `recompute`   walks the levels of both sides after every event
//! 2. `incremental` adds what an event brought to the sum it belongs to, and walks only where a level came or went

pub mod incremental;
pub mod recompute;

use crate::book::{Book, Top, Touched};
use crate::event::{BID, Event, kind};
use crate::levels::Levels;
use crate::orders::Index;
use crate::pool::Pool;

/// mid, spread, microprice, imbalance, depth_imbalance, ofi, flow, volatility, score.
pub type Values = [f64; 9];

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

/// What lives from event to event, per instrument.
#[derive(Clone, Debug)]
pub struct State {
    /// Shares of the best levels, bid and ask.
    sums: [u64; 2],
    /// Keys of the last level in each sum; i64::MAX while the side has fewer levels.
    ends: [i64; 2],
    /// The latest nine.
    pub values: Values,
}

impl Default for State {
    fn default() -> Self {
        State { sums: [0; 2], ends: [i64::MAX; 2], values: NO_VALUES }
    }
}

/// How the signals are kept up to date.
pub trait Signal: Default + Send + Sync {
    /// Bring `state.sums` up to date after an event that touched the book.
    fn sum<L: Levels, I: Index, P: Pool>(
        state: &mut State,
        book: &Book<L, I, P>,
        instrument: u16,
        touched: Touched,
        n: usize,
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

/// Advance the signals of one instrument by one applied event; `state.sums` are up to date.
#[inline(always)]
pub fn update(
    config: &Config,
    state: &mut State,
    event: &Event,
    touched: Touched,
    before: &Top,
    after: &Top,
) {
    let [mid_before, _, _, _, _, ofi, flow, volatility, _] = state.values;
    let decay = config.decay;

    let ofi = ofi * decay + order_flow_imbalance(before, after) as f64;
    let traded = match (event.kind, touched.side) {
        (kind::EXECUTE, BID) => -(event.qty as i64), // an execution of a resting bid is a sale
        (kind::EXECUTE, _) => event.qty as i64,
        _ => 0,
    };
    let flow = flow * decay + traded as f64;

    let [bids, asks] = state.sums.map(|sum| sum as i64);
    let depth_imbalance =
        if bids + asks > 0 { (bids - asks) as f64 / (bids + asks) as f64 } else { f64::NAN };

    let mut values = NO_VALUES;
    (values[4], values[5], values[6], values[7]) = (depth_imbalance, ofi, flow, volatility);
    let [bid_qty, ask_qty] = after.qty.map(|qty| qty as i64);
    if bid_qty > 0 && ask_qty > 0 {
        let [bid, ask] = after.price.map(|price| price as f64);
        let mid = (bid + ask) / 2.0;
        let spread = difference(after.price[1], after.price[0]);
        let microprice = (bid * ask_qty as f64 + ask * bid_qty as f64) / (bid_qty as f64 + ask_qty as f64);
        let imbalance = (bid_qty - ask_qty) as f64 / (bid_qty + ask_qty) as f64;
        if !mid_before.is_nan() {
            let d = mid - mid_before;
            values[7] = volatility * decay + ((1.0 - decay) * d) * d;
        }
        if spread > 0.0 {
            let [w0, w1, w2, w3, w4] = config.weights;
            values[8] = w0 * imbalance
                + w1 * depth_imbalance
                + (w2 * (microprice - mid)) / spread
                + (w3 * ofi) / (ofi.abs() + config.k)
                + (w4 * flow) / (flow.abs() + config.k);
        }
        (values[0], values[1], values[2], values[3]) = (mid, spread, microprice, imbalance);
    }
    state.values = values;
}
