//! ORDER: decide, check the risk, encode an OUCH 5.0 Enter Order. In replay an order that passes is taken as filled at its limit at
//! once: it moves the position, nothing else. Live, an order works until its reports have closed it, only fills move the position,
//! and risk looks at the worst case, as if everything that works on the order's side were filled.

use std::collections::{BTreeMap, VecDeque};

use crate::book::Top;
use crate::by_instrument::ByInstrument;
use crate::event::{ASK, BID};
use crate::protocols::ouch::{EnterOrder, HIGHEST_LIMIT};

mod live;

pub use live::Instrument;

/// Number of limits that risk tests, in the order of Python's `REJECTS`.
pub const REJECTS: usize = 6;
/// OUCH prices have four implied decimals.
const OUCH_SCALE: i128 = 10_000;
const SECOND_NS: u64 = 1_000_000_000;
const TRADING: u32 = b'T' as u32;

/// Why an instrument is not traded.
pub mod blocked {
    /// Its last trading state was not T.
    pub const HALTED: u32 = 1;
    /// Its own book is not to be relied on.
    pub const STALE: u32 = 2;
    /// No book is to be relied on.
    pub const ALL_STALE: u32 = 4;
}

/// When to act, and the limits before acting.
#[derive(Clone, Debug)]
pub struct Config {
    /// |score| above which it acts.
    pub threshold: f64,
    /// Shares per order, in [1, 999,999].
    pub lot: u32,
    /// Applied events of an instrument from one attempt to the next, >= 1.
    pub cooldown: u32,
    /// Refuse everything.
    pub kill: bool,
    /// Largest number of shares per order.
    pub max_order_qty: u32,
    /// Largest value of an order, in whole units of currency.
    pub max_notional: u64,
    /// Largest distance of the limit from the mid, in basis points of the mid.
    pub collar_bps: u32,
    /// Largest absolute position per instrument after the fill, in shares.
    pub position_limit: u64,
    /// Accepted orders in any second of event time.
    pub max_orders_per_sec: usize,
    /// Price units per 1.0 of currency.
    pub price_scale: u64,
    /// Fills come by `report`; else an order is filled at once.
    pub reported: bool,
    /// UserRefNum of the first order, from 1.
    pub first: u32,
}

/// What the stage knows of one instrument.
#[derive(Clone, Debug, Default)]
struct State {
    /// Applied events until it may act.
    wait: u32,
    /// Why it is not traded, of `blocked`; 0 if it is.
    blocked: u32,
    /// Shares.
    position: i64,
}

/// An order that the exchange has not closed yet.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// Dense instrument number.
    pub instrument: u16,
    /// `event::BID` buys, `event::ASK` sells.
    pub side: u8,
    /// Shares that still work.
    pub left: u32,
}

/// An accepted order, `Config::lot` shares of it.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// Number of the message that caused it, the first of the run being 0.
    pub index: u64,
    /// Time of that message in nanoseconds, as the feed counts them.
    pub ts_ns: u64,
    /// Dense instrument number, never 0.
    pub instrument: u16,
    /// `event::BID` buys, `event::ASK` sells.
    pub side: u8,
    /// UserRefNum.
    pub number: u32,
    /// The quote it aims at, in price units of the feed.
    pub price: i64,
    /// The score that caused it: above the threshold for a buy, below minus the threshold for a sell.
    pub score: f64,
    /// Shares of the instrument after it, negative for a short position; where fills are reported, if all that works is filled.
    pub position: i64,
}

/// A decision, before risk has seen it.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// As in `Accepted`.
    pub index: u64,
    /// As in `Accepted`.
    pub ts_ns: u64,
    /// As in `Accepted`.
    pub instrument: u16,
    /// The touch then.
    pub top: Top,
    /// The score that caused it.
    pub score: f64,
    /// The instrument's name then.
    pub name: [u8; 8],
}

/// Decide, risk and encode for all instruments.
pub struct OrderEntry {
    config: Config,
    states: ByInstrument<State>,
    /// What the `blocked` of an instrument that has not been seen yet begins with.
    blank: u32,
    /// Refuse everything, for now.
    killed: bool,
    /// The latest UserRefNum.
    number: u32,
    /// Open orders by UserRefNum, where fills are reported.
    open: BTreeMap<u32, Open>,
    /// Shares that these may buy and sell, by instrument; empty in replay.
    working: Vec<[u64; 2]>,
    /// Event times of the latest accepted orders, at most `max_orders_per_sec`.
    recent: VecDeque<u64>,
    /// The accepted orders.
    pub orders: Vec<Accepted>,
    /// Refused attempts by the first limit broken: kill switch, quantity, notional, collar, position, rate.
    pub rejects: [u64; REJECTS],
    /// The exact bytes sent, 47 per order.
    pub stream: Vec<u8>,
    /// Attempts, where they are only listed, for another order stage to `send` them.
    pub listed: Option<Vec<Attempt>>,
}

impl OrderEntry {
    /// An order stage that has seen nothing.
    pub fn new(config: Config) -> Self {
        let recent = VecDeque::with_capacity(config.max_orders_per_sec);
        OrderEntry {
            states: ByInstrument::default(),
            blank: 0,
            killed: config.kill,
            number: config.first.saturating_sub(1),
            open: BTreeMap::new(),
            working: Vec::new(),
            config,
            recent,
            orders: Vec::new(),
            rejects: [0; REJECTS],
            stream: Vec::new(),
            listed: None,
        }
    }

    /// Shares per order.
    pub fn lot(&self) -> u32 {
        self.config.lot
    }

    #[inline(always)]
    fn state(&mut self, instrument: u16) -> &mut State {
        let blocked = self.blank;
        self.states.at(instrument, || State { blocked, ..State::default() })
    }

    /// The trading state of an instrument changed; `code` is its ASCII letter. Only T is trading.
    pub fn status(&mut self, instrument: u16, code: u32) {
        block(self.state(instrument), blocked::HALTED, code != TRADING);
    }

    /// Whether to attempt an order on one applied event of an instrument.
    #[inline(always)]
    pub fn acts(&mut self, instrument: u16, top: &Top, score: f64) -> bool {
        let threshold = self.config.threshold;
        let state = self.state(instrument);
        state.wait = state.wait.saturating_sub(1);
        // One branch, which is nearly always right: each of these by itself is random to a predictor.
        (state.wait == 0)
            & ((score > threshold) | (score < -threshold))
            & (state.blocked == 0)
            & (top.qty[0] > 0)
            & (top.qty[1] > 0)
    }

    /// Send an order, if risk lets it through; an attempt counts, whatever risk says.
    #[inline(never)]
    pub fn attempt(
        &mut self,
        index: u64,
        ts_ns: u64,
        instrument: u16,
        top: &Top,
        score: f64,
        name: &[u8; 8],
    ) {
        let (cooldown, lot) = (self.config.cooldown, self.config.lot);
        if let Some(listed) = &mut self.listed {
            listed.push(Attempt { index, ts_ns, instrument, top: *top, score, name: *name });
            self.state(instrument).wait = cooldown;
            return;
        }
        let (side, price) = if score > 0.0 { (BID, top.price[1]) } else { (ASK, top.price[0]) };
        let limit = self.ouch_price(price, side);
        let working = self.working_of(instrument)[side as usize - 1] + lot as u64;
        let state = self.state(instrument);
        state.wait = cooldown;
        let position = state.position + if side == BID { working as i64 } else { -(working as i64) };
        let before = position - if side == BID { lot as i64 } else { -(lot as i64) };
        if let Some(limit) = self.refuses(ts_ns, price, limit, top, [before, position]) {
            self.rejects[limit] += 1;
            return;
        }
        self.number += 1;
        if self.config.reported {
            self.adopt(self.number, Open { instrument, side, left: lot });
        } else {
            self.state(instrument).position = position;
        }
        if self.recent.len() == self.config.max_orders_per_sec {
            self.recent.pop_front();
        }
        self.recent.push_back(ts_ns);
        let number = self.number;
        self.orders.push(Accepted { index, ts_ns, instrument, side, number, price, score, position });
        self.encode(side, limit as u64, name);
    }

    /// Send an order that another order stage has listed.
    pub fn send(&mut self, attempt: &Attempt) {
        let Attempt { index, ts_ns, instrument, top, score, name } = attempt;
        self.attempt(*index, *ts_ns, *instrument, top, *score, name);
    }

    /// The first limit that the order breaks. Integers only, so that a boundary is a boundary.
    fn refuses(
        &self,
        ts_ns: u64,
        price: i64,
        limit: i128,
        top: &Top,
        [before, after]: [i64; 2],
    ) -> Option<usize> {
        let config = &self.config;
        let (lot, price) = (config.lot as i128, price as i128);
        let twice_mid = top.price[0] as i128 + top.price[1] as i128;
        let distance = (2 * price - twice_mid).abs();
        let recent = self.recent.front().filter(|_| self.recent.len() == config.max_orders_per_sec);
        [
            self.killed || self.number == u32::MAX,
            config.lot > config.max_order_qty,
            lot * price.abs() > config.max_notional as i128 * config.price_scale as i128,
            distance * 10_000 > config.collar_bps as i128 * twice_mid.abs()
                || !(1..=HIGHEST_LIMIT as i128).contains(&limit),
            after.unsigned_abs() > config.position_limit.max(before.unsigned_abs()), // an excess may be reduced
            recent.is_some_and(|&oldest| ts_ns < oldest || ts_ns - oldest < SECOND_NS),
        ]
        .iter()
        .position(|&broken| broken)
    }

    /// Price in 1/10,000; where the feed is finer, rounded so that the order still reaches the quote it aims at.
    fn ouch_price(&self, price: i64, side: u8) -> i128 {
        let scaled = price as i128 * OUCH_SCALE;
        let scale = self.config.price_scale as i128;
        if side == BID { -((-scaled).div_euclid(scale)) } else { scaled.div_euclid(scale) }
    }

    fn encode(&mut self, side: u8, price: u64, name: &[u8; 8]) {
        let order = EnterOrder {
            user_ref: self.number,
            side: if side == BID { b'B' } else { b'S' },
            quantity: self.config.lot,
            symbol: if *name == [0; 8] { *b"        " } else { *name },
            price,
            time_in_force: b'3', // immediate or cancel
            display: b'Y',
            capacity: b'P', // principal
            intermarket_sweep: b'N',
            cross_type: b'N', // continuous
            cl_ord_id: cl_ord_id(self.number),
        };
        self.stream.extend_from_slice(&order.bytes());
    }
}

/// "HL" and the number in 12 digits.
fn cl_ord_id(number: u32) -> [u8; 14] {
    let (mut out, mut rest) = (*b"HL000000000000", number);
    for digit in out[2..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out
}

/// Set or clear one reason of an instrument.
fn block(state: &mut State, bit: u32, on: bool) {
    state.blocked = if on { state.blocked | bit } else { state.blocked & !bit };
}
