//! `ladder`: a window of ticks around the touch, one slot a tick, and a bitmap of the slots in use.
//!
//! ```text
//! base                                             base + SLOTS * tick
//!    |  .  .  o  o  .  O  O  .  O  o  ...  o  .  .  |      far: everything else, ordered
//!             ^ best = lowest bit
//! ```
//!
//! Nothing is lost and nothing is clamped: a price outside the window, or between two ticks, lives in an ordered list. A price better
//! than the window moves the window; so does a touch that has run away from it. The tick is learned from the prices themselves.
//!
//! What a look-up needs first stands in one cache line: where the window is, how wide a tick is, and which slots are in use. A slot
//! is four bytes, so 16 neighbouring prices share a line, and a side of an instrument takes 1 KiB.

use super::far::Far;
use super::grid::Grid;
use super::{Levels, NIL};

/// Ticks in the window: 256 slots of 4 bytes are 1 KiB a side, so 10,000 instruments fit into 22 MiB.
const SLOTS: usize = 256;
const WORDS: usize = SLOTS / 64;
/// Free ticks kept on the better side of the touch when the window is placed.
const LEAD: i64 = SLOTS as i64 / 8;
/// The touch may come this far into the window before it is placed anew.
const LATEST_BEST: usize = SLOTS / 2;
/// Levels between ticks that are accepted before the tick is learned anew; then twice as many as there are.
const ODD_PRICES: u32 = 16;

/// See the head of this file.
#[repr(align(64))]
pub struct Ladder {
    /// Key of slot 0, a multiple of the tick.
    base: i64,
    /// ceil(2^63 / tick), so that a division is a multiplication.
    reciprocal: u64,
    /// Price units per slot, in [1, 2^31]; 0 while there is no window.
    tick: u32,
    /// Levels between ticks inside the window.
    odd: u32,
    /// Slots in use, bit i of word w for slot 64 w + i.
    bits: [u64; WORDS],
    /// There once the first order has come.
    rungs: Option<Box<Rungs>>,
}

struct Rungs {
    slots: [u32; SLOTS],
    /// Levels that have no slot.
    far: Far,
    /// First key of `far`, i64::MAX if there is none.
    far_best: i64,
    /// So many levels between ticks, and the tick is learned anew.
    patience: u32,
}

impl Default for Rungs {
    fn default() -> Self {
        Rungs { slots: [NIL; SLOTS], far: Far::default(), far_best: i64::MAX, patience: ODD_PRICES }
    }
}

const _: () = assert!(size_of::<Ladder>() == 64, "a ladder's head has outgrown its cache line");

impl Default for Ladder {
    fn default() -> Self {
        Ladder { base: 0, reciprocal: 0, tick: 0, odd: 0, bits: [0; WORDS], rungs: None }
    }
}

impl Ladder {
    /// Slot of a key, if it has one. For a key on a tick the product is exact: its error is below slot * tick / 2^63.
    #[inline(always)]
    fn slot(&self, key: i64) -> Option<usize> {
        let offset = key.wrapping_sub(self.base) as u64;
        let tick = self.tick as u64;
        let slot = (((offset << 1) as u128 * self.reciprocal as u128) >> 64) as u64;
        (self.covers(key) && slot * tick == offset).then_some(slot as usize % SLOTS)
    }

    /// Whether a key lies between the ends of the window, on a tick or not.
    #[inline(always)]
    fn covers(&self, key: i64) -> bool {
        (key.wrapping_sub(self.base) as u64) < SLOTS as u64 * self.tick as u64
    }

    #[inline(always)]
    fn key(&self, slot: usize) -> i64 {
        self.base + slot as i64 * self.tick as i64
    }

    /// Lowest slot in use.
    #[inline(always)]
    fn first(&self) -> Option<usize> {
        let word = self.bits.iter().position(|&bits| bits != 0)?;
        Some(word * 64 + self.bits[word].trailing_zeros() as usize)
    }

    /// A key that has no slot: decide whether the window moves, then give its place.
    #[cold]
    fn entry_outside(&mut self, key: i64) -> &mut u32 {
        if self.rungs.is_none() {
            self.rungs = Some(Box::default());
            self.place(key, if key % 100 == 0 { 100 } else { 1 });
        } else if key < self.base {
            self.place(key, self.suitable_tick());
        } else if let Some(far_best) =
            self.rungs.as_ref().filter(|rungs| self.odd >= rungs.patience).map(|rungs| rungs.far_best)
            && self.covers(key)
        {
            // A level between ticks may be the best of all; left below the window, it would not be seen again.
            let best = self.first().map_or(key, |slot| self.key(slot).min(key)).min(far_best);
            self.place(best, self.suitable_tick());
        }
        let (slot, covered) = (self.slot(key), self.covers(key));
        let rungs = self.rungs.as_mut().expect("made above");
        match slot {
            Some(slot) => {
                self.bits[slot / 64] |= 1 << (slot % 64);
                &mut rungs.slots[slot]
            }
            None => {
                let place = rungs.far.entry(key);
                self.odd += (covered && *place == NIL) as u32;
                rungs.far_best = rungs.far_best.min(key);
                place
            }
        }
    }

    /// The tick that suits the best levels.
    fn suitable_tick(&self) -> u64 {
        let mut grid = Grid::of(self.tick as u64);
        self.walk_keys(|key, _| grid.see(key));
        grid.tick()
    }

    /// Put the window around `best`: levels that have no slot any more go to `far`, those of `far` that have one now come back.
    fn place(&mut self, best: i64, tick: u64) {
        let Some(mut rungs) = self.rungs.take() else { return };
        let (mut near, mut n) = ([(0, NIL); SLOTS], 0);
        for slot in (0..SLOTS).filter(|&slot| self.bits[slot / 64] >> (slot % 64) & 1 == 1) {
            near[n] = (self.key(slot), std::mem::replace(&mut rungs.slots[slot], NIL));
            n += 1;
        }
        self.bits = [0; WORDS];
        self.tick = tick as u32;
        self.reciprocal = (1u64 << 63).div_ceil(tick);
        let tick = tick as i64;
        let grid = best.saturating_sub(best.rem_euclid(tick));
        // The window ends before the largest key does, so that no key counts as inside by wrapping around.
        let latest = (i64::MAX - SLOTS as i64 * tick) / tick * tick;
        self.base = grid.saturating_sub(LEAD * tick).min(latest);
        let end = self.base + SLOTS as i64 * tick;
        self.odd = 0;
        let mut from = self.base;
        while let Some((key, level)) = rungs.far.next(from).filter(|row| row.0 < end) {
            if self.seat(&mut rungs, key, level) {
                rungs.far.remove(key);
            }
            from = key + 1;
        }
        for &(key, level) in &near[..n] {
            if !self.seat(&mut rungs, key, level) {
                *rungs.far.entry(key) = level;
            }
        }
        rungs.far_best = rungs.far.next(i64::MIN).map_or(i64::MAX, |row| row.0);
        rungs.patience = ODD_PRICES.max(2 * self.odd);
        self.rungs = Some(rungs);
    }

    /// Give a level its slot, if it has one; else count it if it lies between ticks of the window.
    fn seat(&mut self, rungs: &mut Rungs, key: i64, level: u32) -> bool {
        let slot = self.slot(key);
        match slot {
            Some(slot) => {
                rungs.slots[slot] = level;
                self.bits[slot / 64] |= 1 << (slot % 64);
            }
            None => self.odd += self.covers(key) as u32,
        }
        slot.is_some()
    }

    #[cold]
    fn remove_far(&mut self, key: i64) {
        self.odd -= self.covers(key) as u32;
        if let Some(rungs) = &mut self.rungs {
            rungs.far.remove(key);
            rungs.far_best = rungs.far.next(i64::MIN).map_or(i64::MAX, |row| row.0);
        }
    }

    /// The touch has left the window, or is about to, or stands between ticks.
    #[cold]
    fn best_outside(&mut self) -> u32 {
        let far_best = self.rungs.as_ref().and_then(|rungs| rungs.far.next(i64::MIN)).map(|row| row.0);
        match (self.first(), far_best) {
            (None, None) => return NIL,
            (None, Some(best)) => self.place(best, self.suitable_tick()),
            (Some(first), _) if first > LATEST_BEST => {
                let first = self.key(first);
                self.place(far_best.map_or(first, |best| best.min(first)), self.suitable_tick());
            }
            _ => {}
        }
        let mut best = NIL;
        self.walk(|level| {
            best = level;
            false
        });
        best
    }

    fn walk_keys(&self, mut each: impl FnMut(i64, u32) -> bool) {
        let Some(rungs) = &self.rungs else { return };
        let mut far = rungs.far.iter().peekable();
        for word in 0..WORDS {
            let mut bits = self.bits[word];
            while bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let key = self.key(slot);
                while rungs.far_best < key
                    && let Some((other, level)) = far.next_if(|row| row.0 < key)
                {
                    if !each(other, level) {
                        return;
                    }
                }
                if !each(key, rungs.slots[slot]) {
                    return;
                }
            }
        }
        for (key, level) in far {
            if !each(key, level) {
                return;
            }
        }
    }
}

impl Levels for Ladder {
    #[inline(always)]
    fn entry(&mut self, key: i64) -> &mut u32 {
        match (self.slot(key), self.rungs.is_some()) {
            (Some(slot), true) => {
                self.bits[slot / 64] |= 1 << (slot % 64);
                &mut self.rungs.as_mut().expect("asked above").slots[slot]
            }
            _ => self.entry_outside(key),
        }
    }

    #[inline(always)]
    fn remove(&mut self, key: i64) {
        match (self.slot(key), &mut self.rungs) {
            (Some(slot), Some(rungs)) => {
                rungs.slots[slot] = NIL;
                self.bits[slot / 64] &= !(1 << (slot % 64));
            }
            _ => self.remove_far(key),
        }
    }

    #[inline(always)]
    fn best(&mut self) -> u32 {
        match (self.first(), &self.rungs) {
            (Some(first), Some(rungs)) if first <= LATEST_BEST && self.odd == 0 => rungs.slots[first],
            _ => self.best_outside(),
        }
    }

    fn get(&self, key: i64) -> u32 {
        let Some(rungs) = &self.rungs else { return NIL };
        self.slot(key).map_or_else(|| rungs.far.get(key), |slot| rungs.slots[slot])
    }

    #[inline(always)]
    fn walk(&self, mut each: impl FnMut(u32) -> bool) {
        let Some(rungs) = &self.rungs else { return };
        if self.odd > 0 {
            return self.walk_keys(|_, level| each(level));
        }
        for (bits, slots) in self.bits.iter().zip(rungs.slots.as_chunks::<64>().0) {
            let mut bits = *bits;
            while bits != 0 {
                if !each(slots[bits.trailing_zeros() as usize]) {
                    return;
                }
                bits &= bits - 1;
            }
        }
        for (_, level) in rungs.far.iter() {
            if !each(level) {
                return;
            }
        }
    }

    fn bytes(&self) -> usize {
        self.rungs.as_ref().map_or(0, |rungs| size_of::<Rungs>() + rungs.far.bytes())
    }

    #[inline(always)]
    fn prefetch(&self, key: i64) -> u32 {
        match (self.slot(key), &self.rungs) {
            (Some(slot), Some(rungs)) => {
                crate::prefetch::prefetch(&rungs.slots[slot]);
                slot as u32
            }
            _ => 0,
        }
    }

    #[inline(always)]
    fn guess(&self, hint: u32) -> u32 {
        self.rungs.as_ref().map_or(NIL, |rungs| rungs.slots[hint as usize % SLOTS])
    }
}
