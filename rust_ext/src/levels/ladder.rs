//! `ladder`: a window of ticks around the touch, one slot a tick, and a bitmap of the slots in use.
//!
//! ```text
//! base_key                                     base_key + SLOTS * tick
//!    |  .  .  o  o  .  O  O  .  O  o  ...  o  .  .  |      far: everything else, ordered
//!             ^ best = lowest bit
//! ```
//!
//! Nothing is lost and nothing is clamped: a price outside the window, or between two ticks, lives in an ordered map. A price better
//! than the window moves the window; so does a touch that has run away from it. The tick is learned from the prices themselves.

use std::collections::BTreeMap;

use super::{Level, Levels};

/// Ticks in the window. 256 ticks of 24 bytes are 6 KiB a side: 10,000 instruments fit into 120 MiB.
const SLOTS: usize = 256;
const WORDS: usize = SLOTS / 64;
/// Free ticks kept on the better side of the touch when the window is placed.
const LEAD: i64 = SLOTS as i64 / 4;
/// The touch may come this far into the window before it is placed anew.
const LATEST_BEST: usize = SLOTS * 3 / 4;
/// Ticks are at most this, so that SLOTS * tick^2 < 2^64 and the reciprocal in `slot` is exact.
const WIDEST_TICK: u64 = 1 << 28;
/// Prices between ticks that are accepted before the tick is learned anew.
const ODD_PRICES: u32 = 16;
/// Best levels that are looked at to learn a tick; a quarter of them is the least that says anything.
const LEARN_FROM: usize = 32;

/// See the head of this file.
pub struct Ladder {
    /// Key of slot 0, a multiple of the tick.
    base_key: i64,
    /// Price units per slot, in [1, 2^28].
    tick: u64,
    /// floor(2^64 / tick) + 1, so that a division is a multiplication; 0 for a tick of 1.
    reciprocal: u64,
    /// Slots in use, bit i of word w for slot 64 w + i.
    bits: [u64; WORDS],
    /// SLOTS levels once the first order has come, none before.
    slots: Box<[Level]>,
    /// Levels that have no slot.
    far: BTreeMap<i64, Level>,
    /// First key of `far`, i64::MAX if there is none.
    far_best: i64,
    /// Levels opened between ticks inside the window since the tick was learned.
    odd: u32,
}

impl Default for Ladder {
    fn default() -> Self {
        Ladder {
            base_key: 0,
            tick: 1,
            reciprocal: 0,
            bits: [0; WORDS],
            slots: Box::default(),
            far: BTreeMap::new(),
            far_best: i64::MAX,
            odd: 0,
        }
    }
}

impl Ladder {
    /// Slot of a key, if it has one; a ladder without slots has none.
    #[inline(always)]
    fn slot(&self, key: i64) -> Option<usize> {
        let offset = key.wrapping_sub(self.base_key) as u64;
        let slot = match self.reciprocal {
            0 => offset,
            _ => ((offset as u128 * self.reciprocal as u128) >> 64) as u64,
        };
        (slot < self.slots.len() as u64 && slot * self.tick == offset).then_some(slot as usize)
    }

    #[inline(always)]
    fn key(&self, slot: usize) -> i64 {
        self.base_key + slot as i64 * self.tick as i64
    }

    /// Lowest slot in use.
    #[inline(always)]
    fn first(&self) -> Option<usize> {
        let word = self.bits.iter().position(|&bits| bits != 0)?;
        Some(word * 64 + self.bits[word].trailing_zeros() as usize)
    }

    /// A key that has no slot: decide whether the window moves, then open the level.
    #[cold]
    fn open_outside(&mut self, key: i64) -> &mut Level {
        if self.slots.is_empty() {
            self.slots = vec![Level::EMPTY; SLOTS].into_boxed_slice();
            self.place(key, if key % 100 == 0 { 100 } else { 1 });
        } else if key < self.base_key {
            self.place(key, self.suitable_tick());
        } else if key.wrapping_sub(self.base_key) as u64 / self.tick < SLOTS as u64 {
            self.odd += 1;
            if self.odd > ODD_PRICES {
                let best = self.best().map_or(key, |(best, _)| best.min(key));
                self.place(best, self.suitable_tick());
            }
        }
        if let Some(slot) = self.slot(key) {
            self.bits[slot / 64] |= 1 << (slot % 64);
            return &mut self.slots[slot];
        }
        self.far_best = self.far_best.min(key);
        self.far.entry(key).or_insert(Level::EMPTY)
    }

    /// The tick that suits the best levels: coarser if all of them stand on a coarser grid, finer if most are off this one.
    fn suitable_tick(&self) -> u64 {
        let (mut n, mut on_grid, mut common) = (0, 0, 0);
        self.walk(|key, _| {
            n += 1;
            on_grid += key.unsigned_abs().is_multiple_of(self.tick) as usize;
            common = gcd(common, key.unsigned_abs());
            n < LEARN_FROM
        });
        if n >= LEARN_FROM / 4 && (common > self.tick || on_grid * 2 < n) {
            common.clamp(1, WIDEST_TICK)
        } else {
            self.tick
        }
    }

    /// Put the window around `best`: all levels go to `far`, and those that have a slot now come back.
    fn place(&mut self, best: i64, tick: u64) {
        for slot in (0..SLOTS).filter(|&slot| self.bits[slot / 64] >> (slot % 64) & 1 == 1) {
            self.far.insert(self.key(slot), std::mem::replace(&mut self.slots[slot], Level::EMPTY));
        }
        self.bits = [0; WORDS];
        self.odd = 0;
        self.tick = tick;
        self.reciprocal = if tick == 1 { 0 } else { (u64::MAX / tick) + 1 };
        let grid = best.saturating_sub(best.rem_euclid(tick as i64));
        self.base_key = grid.saturating_sub(LEAD * tick as i64);
        let end = self.base_key.saturating_add(SLOTS as i64 * tick as i64);
        let near: Vec<i64> = self.far.range(self.base_key..end).map(|(&key, _)| key).collect();
        for key in near {
            if let Some(slot) = self.slot(key)
                && let Some(level) = self.far.remove(&key)
            {
                self.slots[slot] = level;
                self.bits[slot / 64] |= 1 << (slot % 64);
            }
        }
        self.far_best = self.far.first_key_value().map_or(i64::MAX, |(&key, _)| key);
    }

    /// After a level was closed: follow a touch that has left the window, or is about to.
    #[inline]
    fn follow(&mut self) {
        match self.first() {
            Some(first) if first <= LATEST_BEST => {}
            Some(first) => self.place(self.key(first).min(self.far_best), self.suitable_tick()),
            None if self.far.is_empty() => {}
            None => self.place(self.far_best, self.suitable_tick()),
        }
    }
}

impl Levels for Ladder {
    #[inline(always)]
    fn open(&mut self, key: i64) -> &mut Level {
        match self.slot(key) {
            Some(slot) => {
                self.bits[slot / 64] |= 1 << (slot % 64);
                &mut self.slots[slot]
            }
            None => self.open_outside(key),
        }
    }

    #[inline(always)]
    fn at(&mut self, key: i64) -> &mut Level {
        match self.slot(key) {
            Some(slot) => &mut self.slots[slot],
            None => self.far.entry(key).or_insert(Level::EMPTY),
        }
    }

    #[inline(always)]
    fn close(&mut self, key: i64) {
        match self.slot(key) {
            Some(slot) => {
                self.slots[slot] = Level::EMPTY;
                self.bits[slot / 64] &= !(1 << (slot % 64));
            }
            None => {
                self.far.remove(&key);
                self.far_best = self.far.first_key_value().map_or(i64::MAX, |(&key, _)| key);
            }
        }
        self.follow();
    }

    #[inline(always)]
    fn best(&self) -> Option<(i64, u64)> {
        let first = self.first();
        match first.map(|slot| (self.key(slot), self.slots[slot].qty)) {
            Some(best) if best.0 < self.far_best => Some(best),
            _ => self.far.first_key_value().map(|(&key, level)| (key, level.qty)),
        }
    }

    fn walk(&self, mut each: impl FnMut(i64, &Level) -> bool) {
        let mut far = self.far.iter().peekable();
        for word in 0..WORDS {
            let mut bits = self.bits[word];
            while bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let key = self.key(slot);
                if key > self.far_best {
                    while let Some((&other, level)) = far.next_if(|&(&other, _)| other < key) {
                        if !each(other, level) {
                            return;
                        }
                    }
                }
                if !each(key, &self.slots[slot]) {
                    return;
                }
            }
        }
        for (&key, level) in far {
            if !each(key, level) {
                return;
            }
        }
    }

    fn get(&self, key: i64) -> Option<&Level> {
        match self.slot(key) {
            Some(slot) => Some(&self.slots[slot]).filter(|level| level.count > 0),
            None => self.far.get(&key),
        }
    }

    fn bytes(&self) -> usize {
        let far = self.far.len() * (size_of::<i64>() + size_of::<Level>()) * 3 / 2;
        self.slots.len() * size_of::<Level>() + far
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
