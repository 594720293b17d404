//! One side's price levels, from price to level, a variant per file:
//!
//! 1. `btree`   an ordered map: logarithmic, never wrong, a cache miss per node
//! 2. `sorted`  a sorted vector with the best at the end: quick while it is short or the activity is at the touch
//! 3. `ladder`  an array of ticks around the touch with an occupancy bitmap: constant, close to the touch
//!
//! A key is a side-signed price (bid: -price, ask: +price), so the best level has the SMALLEST key on both sides and no file below
//! this one knows bids from asks. The levels themselves stand in one table, each in one slot for as long as it lives, so that an order
//! names its level by the slot and is never told of another. Which slot that is the variant decides.

pub mod btree;
mod far;
mod grid;
pub mod ladder;
pub mod sorted;
mod window;

use self::far::Nodes;
use crate::reserved::{Pages, Zeroed};

/// Nobody: no order, no level. Slot 0 of every table stands for it and may be written to, which saves a branch per link.
pub const NIL: u32 = 0;

/// All orders at one price: totals, and the ends of the FIFO queue that runs through the orders themselves. 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Side-signed price, in price units; 0 in a slot that never held a level.
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

/// What a book needs of one side: an ordered map from key, which is never 0, to the slot of a level in the table.
pub trait Levels: Default + Send + Sync {
    /// The slot of the level at `key`. One that was not there has been opened: its `count` is 0, and the caller puts an order into it
    /// before it calls anything else. `book_side` is what an opened level says it belongs to.
    fn entry(&mut self, key: i64, book_side: u32, table: &mut LevelTable) -> u32;

    /// Drop the level at `key`, which stands in `slot` and has just lost its last order.
    fn remove(&mut self, key: i64, slot: u32, table: &mut LevelTable);

    /// The level with the smallest key, or `NIL`. Asked for after the best level was removed.
    fn best(&mut self, table: &mut LevelTable) -> u32;

    /// The level at `key`, or `NIL`.
    fn get(&self, key: i64, table: &LevelTable) -> u32;

    /// Give the levels in order, best first, until `each` answers false.
    fn walk(&self, table: &LevelTable, each: impl FnMut(&Level) -> bool);

    /// The level with the largest key below `key`, an empty one if there is none.
    fn before(&self, key: i64, table: &LevelTable) -> Level {
        walk_before(self, key, table)
    }

    /// The level with the smallest key above `key`, an empty one if there is none.
    fn behind(&self, key: i64, table: &LevelTable) -> Level {
        walk_behind(self, key, table)
    }

    /// Where a level came before the one at `end`, that one and the key before it; where one went, the level behind `end` and its key: the
    /// new end of as many levels, and the shares of the one that crosses it. None where `before` and `behind` must say.
    fn shifted(&self, _end: i64, _came: bool, _table: &LevelTable) -> Option<(i64, u64)> {
        None
    }

    /// Drop all levels; what stands in their slots counts no longer.
    fn clear(&mut self, table: &mut LevelTable);

    /// Bytes it takes beyond its own struct and the table.
    fn bytes(&self) -> usize;

    /// The slot in which `entry` will look first, whose line has been asked for; `NIL` if that would cost a search.
    fn prefetch(&self, _key: i64, _table: &LevelTable) -> u32 {
        NIL
    }
}

/// `Levels::before`, where nothing is quicker than looking at all of them.
#[inline(never)]
fn walk_before<L: Levels>(side: &L, key: i64, table: &LevelTable) -> Level {
    let mut found = Level::default();
    side.walk(table, |level| {
        let nearer = level.key < key;
        found = if nearer { *level } else { found };
        nearer
    });
    found
}

/// `Levels::behind`, where nothing is quicker.
#[inline(never)]
fn walk_behind<L: Levels>(side: &L, key: i64, table: &LevelTable) -> Level {
    let mut found = Level::default();
    side.walk(table, |level| {
        let beyond = level.key > key;
        found = if beyond { *level } else { found };
        !beyond
    });
    found
}

/// Levels of all instruments. Slots are given out one by one and reused, or as a block that stays with one side for good.
pub struct LevelTable {
    levels: Pages<Level>,
    /// First slot that was never given out, a multiple of `BLOCK`.
    end: u32,
    /// First free single slot, chained through `head`; `NIL` if there is none.
    free: u32,
    /// Blocks of numbers for whoever needs one per slot of a block.
    notes: Pages<u32>,
    /// First note that was never given out.
    notes_end: u32,
    /// What the trees of far levels are made of.
    nodes: Nodes,
}

/// Slots of a block: 4 KiB.
pub const BLOCK: u32 = 128;
/// Levels for which addresses are reserved: 1 GiB, of which only what is used becomes memory.
const RESERVED: usize = 1 << 25;
/// Notes for which addresses are reserved: 64 MiB.
const NOTES: usize = 1 << 24;

impl Default for LevelTable {
    fn default() -> Self {
        let (levels, notes) = (Pages::new(RESERVED, 1), Pages::new(NOTES, 0));
        let mut table =
            LevelTable { levels, end: BLOCK, free: NIL, notes, notes_end: BLOCK, nodes: Nodes::default() };
        table.chain(NIL + 1, BLOCK);
        table
    }
}

impl LevelTable {
    /// A new, empty level; returns its slot.
    #[inline(always)]
    pub fn open(&mut self, key: i64, book_side: u32) -> u32 {
        if self.free == NIL {
            let start = self.block(0);
            self.chain(start, start + BLOCK);
        }
        let slot = self.free;
        self.free = self.get(slot).head;
        *self.get_mut(slot) = Level { key, book_side, ..Level::default() };
        slot
    }

    /// Give back a level that `open` gave and that has become empty.
    #[inline(always)]
    pub fn close(&mut self, slot: u32) {
        self.get_mut(slot).head = self.free;
        self.free = slot;
    }

    /// `BLOCK` empty levels side by side, for good, from a multiple of `BLOCK` on; returns the first slot.
    #[cold]
    pub fn block(&mut self, book_side: u32) -> u32 {
        let start = self.end;
        self.levels.ensure((start + BLOCK) as usize);
        self.end += BLOCK;
        for slot in start..self.end {
            self.get_mut(slot).book_side = book_side;
        }
        start
    }

    /// Empty a slot of a block.
    pub fn vacate(&mut self, slot: u32) {
        let level = self.get_mut(slot);
        *level = Level { book_side: level.book_side, ..Level::default() };
    }

    /// `BLOCK` notes, for good; returns the number of the first.
    #[cold]
    pub fn note_block(&mut self) -> u32 {
        let start = self.notes_end;
        self.notes.ensure((start + BLOCK) as usize);
        self.notes_end += BLOCK;
        start
    }

    /// What a note says.
    #[inline(always)]
    pub fn note(&self, at: u32) -> u32 {
        self.notes[at as usize]
    }

    /// Write a note.
    pub fn set_note(&mut self, at: u32, value: u32) {
        self.notes[at as usize] = value;
    }

    /// Have memory ready for so many blocks more, as long as there are fewer than `limit` in all.
    pub fn ready(&mut self, blocks: usize, limit: usize) {
        let (used, block) = (self.end as usize, BLOCK as usize);
        self.levels.ready(used, used + blocks.min(limit.saturating_sub(used / block)) * block);
    }

    /// Put the slots [from, to) on the list of free ones, the first in front.
    fn chain(&mut self, from: u32, to: u32) {
        for slot in (from..to).rev() {
            self.close(slot);
        }
    }

    /// The level in a slot; `NIL` gives an empty one.
    #[inline(always)]
    pub fn get(&self, slot: u32) -> &Level {
        // SAFETY: slots come from `open` and `block`, which made room for them, and room is never given back.
        unsafe { self.levels.at(slot) }
    }

    /// The same, to be changed; not for `NIL`.
    #[inline(always)]
    pub fn get_mut(&mut self, slot: u32) -> &mut Level {
        // SAFETY: as above.
        unsafe { self.levels.at_mut(slot) }
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        let notes = self.notes_end as usize * size_of::<u32>();
        self.end as usize * size_of::<Level>() + notes + self.nodes.bytes()
    }
}
