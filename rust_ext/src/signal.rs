//! SIGNAL: nine numbers after each event. All arithmetic is float64, in the order the contract writes it, never fused and never
//! re-associated, so that every engine gives the same bits.
//!
//! 1. `Recompute`   walks the levels of both sides after every event
//! 2. `Incremental` walks a side only if one of its best levels changed

use crate::book::{Book, Top, Touched};
use crate::event::{ASK, BID, Event, kind};
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
    /// Keys of the last level in each sum; None while the side has fewer levels.
    ends: [Option<i64>; 2],
    /// The latest nine.
    pub values: Values,
}

impl Default for State {
    fn default() -> Self {
        State { sums: [0; 2], ends: [None; 2], values: NO_VALUES }
    }
}

/// How the sums of the best levels are kept.
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

/// `signal=recompute`.
#[derive(Default)]
pub struct Recompute;

impl Signal for Recompute {
    fn sum<L: Levels, I: Index, P: Pool>(
        state: &mut State,
        book: &Book<L, I, P>,
        instrument: u16,
        _: Touched,
        n: usize,
    ) {
        state.sums = [BID, ASK].map(|side| book.depth_qty(instrument, side, n).0);
    }
}

/// `signal=incremental`.
#[derive(Default)]
pub struct Incremental;

impl Signal for Incremental {
    #[inline(always)]
    fn sum<L: Levels, I: Index, P: Pool>(
        state: &mut State,
        book: &Book<L, I, P>,
        instrument: u16,
        touched: Touched,
        n: usize,
    ) {
        for side in [BID, ASK] {
            let i = side as usize - 1;
            if touched.side & side != 0 && state.ends[i].is_none_or(|end| touched.best_key <= end) {
                (state.sums[i], state.ends[i]) = book.depth_qty(instrument, side, n);
            }
        }
    }
}

/// Shares by which buying pressure at the touch grew: Cont, Kukanov and Stoikov (2014). An empty side has quantity 0; an empty bid
/// counts as price minus infinity, an empty ask as plus infinity.
#[inline(always)]
fn order_flow_imbalance(before: &Top, after: &Top) -> i64 {
    let mut e = 0;
    if before.bid_qty == 0 || (after.bid_qty > 0 && after.bid_price >= before.bid_price) {
        e += after.bid_qty as i64;
    }
    if after.bid_qty == 0 || (before.bid_qty > 0 && after.bid_price <= before.bid_price) {
        e -= before.bid_qty as i64;
    }
    if before.ask_qty == 0 || (after.ask_qty > 0 && after.ask_price <= before.ask_price) {
        e -= after.ask_qty as i64;
    }
    if after.ask_qty == 0 || (before.ask_qty > 0 && after.ask_price >= before.ask_price) {
        e += before.ask_qty as i64;
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
    if after.bid_qty > 0 && after.ask_qty > 0 {
        let (bid, ask) = (after.bid_price as f64, after.ask_price as f64);
        let (bid_qty, ask_qty) = (after.bid_qty as i64, after.ask_qty as i64);
        let mid = (bid + ask) / 2.0;
        let spread = difference(after.ask_price, after.bid_price);
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
