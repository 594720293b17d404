//! One side's price levels, from price to level, a variant per file:
//!
//! 1. `btree`   an ordered map: logarithmic, never wrong, a cache miss per node
//! 2. `sorted`  a sorted vector with the best at the end: quick while it is short or the activity is at the touch
//! 3. `ladder`  an array of ticks around the touch with an occupancy bitmap: constant, close to the touch
//!
//! A key is a side-signed price (bid: -price, ask: +price), so the best level has the SMALLEST key on both sides and no file below
//! this one knows bids from asks. The levels themselves stand in a table of their own, so that an order can name its level and a
//! level that moves in one of these structures does not move in memory.

pub mod btree;
mod far;
mod grid;
pub mod ladder;
pub mod sorted;

use crate::reserved::{Pages, Zeroed};

/// Nobody: no order, no level. Slot 0 of every table stands for it and may be written to, which saves a branch per link.
pub const NIL: u32 = 0;

/// All orders at one price: totals, and the ends of the FIFO queue that runs through the orders themselves. 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Side-signed price, in price units.
    pub key: i64,
    /// Total quantity, in shares.
    pub qty: u64,
    /// Number of orders.
    pub count: u32,
    /// Slot of the first order in time priority, or `NIL`.
    pub head: u32,
    /// Slot of the last order, or `NIL`.
    pub tail: u32,
    /// Twice the instrument, plus 0 for its bids or 1 for its asks.
    pub book_side: u32,
}

// SAFETY: integers only.
unsafe impl Zeroed for Level {}

/// What a book needs of one side: an ordered map from key to the slot of a level.
pub trait Levels: Default + Send + Sync {
    /// The place of `key`: `NIL` if it was not there, and then the caller puts a level in before it calls anything else.
    fn entry(&mut self, key: i64) -> &mut u32;

    /// Drop `key`, which is there.
    fn remove(&mut self, key: i64);

    /// The level with the smallest key, or `NIL`. Asked for after the best level was removed.
    fn best(&mut self) -> u32;

    /// The level at `key`, or `NIL`.
    fn get(&self, key: i64) -> u32;

    /// Give the levels in order, best first, until `each` answers false.
    fn walk(&self, each: impl FnMut(u32) -> bool);

    /// Bytes it takes beyond its own struct.
    fn bytes(&self) -> usize;

    /// Ask for the cache line in which `entry` will look; the answer is for `guess`.
    fn prefetch(&self, _key: i64) -> u32 {
        0
    }

    /// The level at the key that `prefetch` was asked about, if that costs no search.
    fn guess(&self, _hint: u32) -> u32 {
        NIL
    }
}

/// Levels of all instruments, in slots that are reused.
pub struct LevelTable {
    levels: Pages<Level>,
    /// First slot that was never used.
    end: u32,
    /// First free slot, chained through `head`; `NIL` if there is none.
    free: u32,
}

/// Levels for which addresses are reserved: 1 GiB, of which only what is used becomes memory.
const RESERVED: usize = 1 << 25;
/// Levels whose pages are touched before the first message: 512 KiB.
const READY: usize = 1 << 14;

impl Default for LevelTable {
    fn default() -> Self {
        LevelTable { levels: Pages::new(RESERVED, READY), end: NIL + 1, free: NIL }
    }
}

impl LevelTable {
    /// A new, empty level; returns its slot.
    #[inline(always)]
    pub fn open(&mut self, key: i64, book_side: u32) -> u32 {
        let slot = if self.free != NIL {
            let slot = self.free;
            self.free = self.get(slot).head;
            slot
        } else {
            self.levels.ensure(self.end as usize + 1);
            self.end += 1;
            self.end - 1
        };
        *self.get_mut(slot) = Level { key, book_side, ..Level::default() };
        slot
    }

    /// Give back a level that has become empty.
    #[inline(always)]
    pub fn close(&mut self, slot: u32) {
        self.get_mut(slot).head = self.free;
        self.free = slot;
    }

    /// The level in a slot; `NIL` gives an empty one.
    #[inline(always)]
    pub fn get(&self, slot: u32) -> &Level {
        // SAFETY: slots come from `open`, which made room for them, and room is never given back.
        unsafe { self.levels.at(slot) }
    }

    /// The same, to be changed; not for `NIL`.
    #[inline(always)]
    pub fn get_mut(&mut self, slot: u32) -> &mut Level {
        // SAFETY: as above.
        unsafe { self.levels.at_mut(slot) }
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        (self.end as usize).max(READY) * size_of::<Level>()
    }
}
