//! The rows of a run, column by column, so that they can be handed to NumPy without a copy.

use crate::book::Top;
use crate::signal::{self, Values};

/// Which rows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// None.
    None,
    /// Those whose best bid or ask changed.
    Top,
    /// One per message.
    All,
}

/// Columns of `Run.frame`, all of one length: a row is the state after one message.
pub struct Recorder {
    mode: Mode,
    /// Whether rows have signals: those of a run that ends at the book do not.
    signals: bool,
    /// Message number, the first of the run being 0.
    pub index: Vec<u64>,
    /// The event's time in nanoseconds, as the feed counts them.
    pub ts_ns: Vec<u64>,
    /// The event's instrument; 0 is none.
    pub instrument: Vec<u16>,
    /// Best bid in price units of the feed, 0 where there is no bid.
    pub bid_price: Vec<i64>,
    /// Shares at the best bid, 0 where there is none.
    pub bid_qty: Vec<u64>,
    /// Best ask in price units of the feed, 0 where there is no ask.
    pub ask_price: Vec<i64>,
    /// Shares at the best ask, 0 where there is none.
    pub ask_qty: Vec<u64>,
    /// The nine signals in the order of `signal::Values`, NaN where one has no value yet; empty where rows have none.
    pub values: [Vec<f64>; signal::NAMES.len()],
}

impl Recorder {
    /// No rows yet.
    pub fn new(mode: Mode, signals: bool) -> Self {
        Recorder {
            mode,
            signals,
            index: Vec::new(),
            ts_ns: Vec::new(),
            instrument: Vec::new(),
            bid_price: Vec::new(),
            bid_qty: Vec::new(),
            ask_price: Vec::new(),
            ask_qty: Vec::new(),
            values: Default::default(),
        }
    }

    /// Make room for the rows of `messages` more messages. Where each message gives a row the pages are touched, too; where fewer
    /// come, the rest is never touched and costs nothing.
    pub fn reserve(&mut self, messages: usize) {
        let all = self.mode == Mode::All;
        if self.mode != Mode::None {
            ready(&mut self.index, messages, all);
            ready(&mut self.ts_ns, messages, all);
            ready(&mut self.instrument, messages, all);
            ready(&mut self.bid_price, messages, all);
            ready(&mut self.bid_qty, messages, all);
            ready(&mut self.ask_price, messages, all);
            ready(&mut self.ask_qty, messages, all);
            if self.signals {
                self.values.iter_mut().for_each(|column| ready(column, messages, all));
            }
        }
    }

    /// Whether rows have signals.
    pub fn signals(&self) -> bool {
        self.signals
    }

    /// Add a row.
    #[inline]
    pub fn push(&mut self, index: u64, ts_ns: u64, instrument: u16, top: &Top, values: &Values) {
        self.index.push(index);
        self.ts_ns.push(ts_ns);
        self.instrument.push(instrument);
        self.bid_price.push(top.price[0]);
        self.bid_qty.push(top.qty[0]);
        self.ask_price.push(top.price[1]);
        self.ask_qty.push(top.qty[1]);
        if self.signals {
            for (column, &value) in self.values.iter_mut().zip(values) {
                column.push(value);
            }
        }
    }
}

/// The values so far, which are handed over; with `room` for as many as there was room for.
pub fn taken<T>(column: &mut Vec<T>, room: bool) -> Vec<T> {
    let mut next = Vec::new();
    if room {
        crate::reserved::reserve(&mut next, column.capacity());
    }
    std::mem::replace(column, next)
}

/// Room for `more` values; touched by writing them once.
fn ready<T: Clone + Default>(column: &mut Vec<T>, more: usize, touch: bool) {
    let len = column.len();
    crate::reserved::reserve(column, more);
    if touch {
        column.resize(len + more, T::default());
        column.truncate(len);
    }
}
