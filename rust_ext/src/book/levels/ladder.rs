//! `ladder`: a circular window of ticks around the touch. Each side owns `BLOCK` neighbouring slots of the level table, and the level of
//! a tick stands in the slot that is the number of the tick modulo `BLOCK`: no search, no indirection, and neighbouring prices share a
//! cache line. One bit per slot says which ticks have a level.
//!
//! ```text
//! ticks   ... base ........................... base + 127 * tick ...        far: everything else, ordered by key
//! slots   origin, origin + 1 ... wraps around in its block ... origin - 1
//! ```
//!
//! **A level never moves**, so no order is ever told of a new slot. When the window moves, the levels that stay in it stay where they
//! are. One that leaves it keeps its slot and is found through `far`. One that comes in from elsewhere keeps its slot, too, and a note
//! beside the slot of its tick says which it is (`moved`); so does a new one whose slot is still taken by a level that has left.
//!
//! Nothing is lost and nothing is clamped: a price outside the window, or between two ticks (`odd`), lives in an ordered list. A price
//! better than the window moves the window; so does a touch that has run away from it. The tick is learned from the prices themselves.

mod outside;

use std::hint::select_unpredictable;

use self::outside::Outside;
use super::window::{SLOTS, Window};
use super::{BLOCK, Level, LevelTable, Levels, NIL, walk_before, walk_behind};

/// The touch may come this far into the window before it is placed anew.
const LATEST_BEST: u64 = SLOTS / 2;

/// See the head of this file.
#[derive(Default)]
#[repr(align(64))]
pub struct Ladder {
    window: Window,
    /// Levels of `far`.
    far: u32,
    /// Those of them with a key inside the window.
    odd: u32,
    /// Ticks whose level stands in another slot than theirs.
    moved: u32,
    /// There once the first order has come.
    outside: Option<Box<Outside>>,
}

const _: () = assert!(size_of::<Ladder>() == 64, "a ladder's head has outgrown its cache line");

impl Ladder {
    /// Where the level of a tick stands that has one, by the slot of the tick.
    #[inline(always)]
    fn level_of(&self, slot: u32, table: &LevelTable) -> u32 {
        if self.moved == 0 { slot } else { self.moved_level(slot, table) }
    }

    fn moved_level(&self, slot: u32, table: &LevelTable) -> u32 {
        match &self.outside {
            Some(outside) if outside.moved >> (slot % BLOCK) & 1 == 1 => {
                table.note(outside.notes + slot % BLOCK)
            }
            _ => slot,
        }
    }
}

impl Levels for Ladder {
    #[inline(always)]
    fn entry(&mut self, key: i64, book_side: u32, table: &mut LevelTable) -> u32 {
        if let Some(n) = self.window.tick_of(key) {
            let slot = self.window.slot(n);
            let level = table.get_mut(slot);
            // It holds the level, or is free: one branch, since which of them is random to a predictor.
            let (other, taken) = ((level.key ^ key) as u64, level.count | self.moved);
            if other.min(taken as u64) == 0 {
                level.key = key;
                self.window.set(slot);
                return slot;
            }
        }
        self.entry_outside(key, book_side, table)
    }

    #[inline(always)]
    fn remove(&mut self, key: i64, slot: u32, table: &mut LevelTable) {
        match self.window.tick_of(key) {
            Some(n) if self.window.slot(n) == slot => self.window.unset(slot),
            _ => self.remove_outside(key, slot, table),
        }
    }

    #[inline(always)]
    fn best(&mut self, table: &mut LevelTable) -> u32 {
        match self.window.first() {
            Some(n) if n as u64 <= LATEST_BEST && self.odd == 0 => self.level_of(self.window.slot(n), table),
            _ => self.best_outside(table),
        }
    }

    #[inline]
    fn get(&self, key: i64, table: &LevelTable) -> u32 {
        match self.window.tick_of(key).map(|n| self.window.slot(n)) {
            Some(slot) if self.window.is_set(slot) => self.level_of(slot, table),
            Some(_) => NIL,
            None if self.far == 0 => NIL,
            None => self.outside.as_ref().map_or(NIL, |outside| outside.far.get(key, &table.nodes)),
        }
    }

    #[inline(always)]
    fn walk(&self, table: &LevelTable, mut each: impl FnMut(&Level) -> bool) {
        if self.odd > 0 {
            return self.walk_merged(table, each);
        }
        let mut ticks = self.window.ticks();
        while ticks != 0 {
            let slot = self.window.slot(ticks.trailing_zeros());
            ticks &= ticks - 1;
            if !each(table.get(self.level_of(slot, table))) {
                return;
            }
        }
        if self.far > 0 {
            self.walk_far(table, each);
        }
    }

    #[inline(always)]
    fn before(&self, key: i64, table: &LevelTable) -> Level {
        let n =
            if self.far == 0 && key >= self.window.end() { Some(BLOCK) } else { self.window.tick_of(key) };
        match n.and_then(|n| self.window.before(n)) {
            Some(n) if self.odd == 0 => *table.get(self.level_of(self.window.slot(n), table)),
            _ => walk_before(self, key, table),
        }
    }

    #[inline(always)]
    fn behind(&self, key: i64, table: &LevelTable) -> Level {
        match self.window.tick_of(key).map(|n| self.window.behind(n)) {
            Some(Some(n)) if self.odd == 0 => *table.get(self.level_of(self.window.slot(n), table)),
            Some(None) if self.far == 0 => Level::default(),
            _ => walk_behind(self, key, table),
        }
    }

    #[inline(always)]
    fn shifted(&self, end: i64, came: bool, table: &LevelTable) -> Option<(i64, u64)> {
        let at = self.window.tick_of(end).filter(|_| self.odd == 0)?;
        let next = self.window.beside(at, came)?;
        let crosses = table.get(self.level_of(self.window.slot(select_unpredictable(came, at, next)), table));
        Some((self.window.key(next), crosses.qty))
    }

    fn clear(&mut self, table: &mut LevelTable) {
        let (block, mut levels) = (self.window.block(), Vec::new());
        let mut ticks = self.window.ticks();
        while ticks != 0 {
            levels.push(self.level_of(self.window.slot(ticks.trailing_zeros()), table));
            ticks &= ticks - 1;
        }
        if let Some(outside) = &mut self.outside {
            levels.extend(outside.far.iter(&table.nodes).map(|row| row.1));
            outside.far.clear(&mut table.nodes);
        }
        levels.into_iter().filter(|&level| !self.window.owns(level)).for_each(|level| table.close(level));
        if block != NIL {
            (block..block + BLOCK).for_each(|slot| table.vacate(slot));
        }
        *self = Ladder { window: Window::of(block), ..Ladder::default() };
    }

    fn bytes(&self) -> usize {
        self.outside.as_ref().map_or(0, |_| size_of::<Outside>())
    }

    /// A key outside the window or between ticks gives any slot of the block.
    #[inline(always)]
    fn prefetch(&self, key: i64, table: &LevelTable) -> u32 {
        let slot = self.window.slot(self.window.nearest(key));
        crate::reserved::prefetch(table.get(slot));
        slot
    }
}
