//! One side's price levels, a variant per file:
//!
//! 1. `btree`   an ordered map: logarithmic, never wrong, a cache miss per node
//! 2. `ladder`  an array of ticks around the touch with an occupancy bitmap: constant, close to the touch
//!
//! A key is a side-signed price (bid: -price, ask: +price), so the best level has the SMALLEST key on both sides and no file below
//! this one knows bids from asks.

pub mod btree;
pub mod ladder;

/// No order: the end of a queue.
pub const NIL: u32 = u32::MAX;

/// All orders at one price: totals, and the ends of the FIFO queue that runs through the orders themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Total quantity, in shares.
    pub qty: u64,
    /// Number of orders; 0 marks a level that is not there.
    pub count: u32,
    /// Slot of the first order in time priority, or `NIL`.
    pub head: u32,
    /// Slot of the last order, or `NIL`.
    pub tail: u32,
}

impl Level {
    /// A level that holds nothing.
    pub const EMPTY: Level = Level { qty: 0, count: 0, head: NIL, tail: NIL };
}

/// What a book needs of one side.
pub trait Levels: Default + Send + Sync {
    /// The level at `key`, opened if it was not there. The caller puts an order into it before it calls anything else.
    fn open(&mut self, key: i64) -> &mut Level;

    /// The level at `key`, which holds at least one order.
    fn at(&mut self, key: i64) -> &mut Level;

    /// Drop the level at `key`, which has become empty.
    fn close(&mut self, key: i64);

    /// Key and total quantity of the best level.
    fn best(&self) -> Option<(i64, u64)>;

    /// Give the levels in order, best first, until `each` answers false.
    fn walk(&self, each: impl FnMut(i64, &Level) -> bool);

    /// The level at `key`, if there is one.
    fn get(&self, key: i64) -> Option<&Level>;

    /// Bytes it takes beyond its own struct.
    fn bytes(&self) -> usize;
}
