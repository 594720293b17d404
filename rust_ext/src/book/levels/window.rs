//! The arithmetic of a ladder's window: which tick a key is on, which slot belongs to a tick, which ticks have a level.

use std::hint::select_unpredictable;

use super::BLOCK;

/// Ticks in the window.
pub(super) const SLOTS: u64 = BLOCK as u64;
/// Free ticks kept on the better side of the touch when the window is placed.
const LEAD: i64 = SLOTS as i64 / 8;

/// A circular window over `BLOCK` slots.
#[derive(Clone, Copy, Default)]
pub(super) struct Window {
    /// Key of the first tick, a multiple of the tick.
    pub base: i64,
    /// ceil(2^63 / tick), so that a division is a multiplication.
    reciprocal: u64,
    /// Slots of the block whose ticks have a level.
    bits: [u64; 2],
    /// Price units per tick, in [1, 2^31]; 0 while there is no window, and then no key is in it.
    pub tick: u32,
    /// The slot of the first tick, or `NIL` while there is no block.
    pub origin: u32,
}

impl Window {
    /// A window that owns a block and stands nowhere yet.
    pub fn of(block: u32) -> Self {
        Window { origin: block, ..Window::default() }
    }

    /// Tick of a key in the window, if it is on one. For a key on a tick the product is exact: its error is below n * tick / 2^63.
    #[inline(always)]
    pub fn tick_of(&self, key: i64) -> Option<u32> {
        let offset = key.wrapping_sub(self.base) as u64;
        let (n, tick) = (self.nearest(key), self.tick as u64);
        ((offset < SLOTS * tick) & (n as u64 * tick == offset)).then_some(n)
    }

    /// Tick at or below a key in the window; for any other key any number.
    #[inline(always)]
    pub fn nearest(&self, key: i64) -> u32 {
        let offset = key.wrapping_sub(self.base) as u64;
        (((offset << 1) as u128 * self.reciprocal as u128) >> 64) as u32
    }

    /// Whether a key lies between the ends of the window, on a tick or not.
    #[inline(always)]
    pub fn covers(&self, key: i64) -> bool {
        (key.wrapping_sub(self.base) as u64) < SLOTS * self.tick as u64
    }

    /// Key behind the last tick.
    pub fn end(&self) -> i64 {
        self.base + SLOTS as i64 * self.tick as i64
    }

    /// First slot of the block.
    #[inline(always)]
    pub fn block(&self) -> u32 {
        self.origin & !(BLOCK - 1)
    }

    /// Whether a slot is one of the block.
    #[inline(always)]
    pub fn owns(&self, slot: u32) -> bool {
        slot & !(BLOCK - 1) == self.block()
    }

    /// Slot of the n-th tick of the window.
    #[inline(always)]
    pub fn slot(&self, n: u32) -> u32 {
        self.block() | self.origin.wrapping_add(n) & (BLOCK - 1)
    }

    /// Key of the n-th tick.
    #[inline(always)]
    pub fn key(&self, n: u32) -> i64 {
        self.base + n as i64 * self.tick as i64
    }

    /// The ticks that have a level, the first in the lowest bit.
    #[inline(always)]
    pub fn ticks(&self) -> u128 {
        (self.bits[0] as u128 | (self.bits[1] as u128) << 64).rotate_right(self.origin % BLOCK)
    }

    /// First tick that has a level.
    #[inline(always)]
    pub fn first(&self) -> Option<u32> {
        (self.bits != [0; 2]).then(|| self.ticks().trailing_zeros())
    }

    /// Last tick before the n-th that has a level; `BLOCK` is behind all.
    #[inline(always)]
    pub fn before(&self, n: u32) -> Option<u32> {
        (self.ticks() & !u128::MAX.checked_shl(n).unwrap_or(0)).checked_ilog2()
    }

    /// First tick behind the n-th that has a level.
    #[inline(always)]
    pub fn behind(&self, n: u32) -> Option<u32> {
        let ticks = self.ticks() & (u128::MAX << n << 1);
        (ticks != 0).then(|| ticks.trailing_zeros())
    }

    /// The nearest tick before the n-th that has a level, or the nearest behind it. Without a branch: which one is random to a predictor.
    #[inline(always)]
    pub fn beside(&self, n: u32, before: bool) -> Option<u32> {
        let (ticks, at) = (self.ticks(), 1u128 << n);
        let (lower, upper) = (ticks & (at - 1), ticks & !(at | (at - 1)));
        let near =
            select_unpredictable(before, 127u32.wrapping_sub(lower.leading_zeros()), upper.trailing_zeros());
        (near < BLOCK).then_some(near)
    }

    /// The tick of a slot has a level.
    #[inline(always)]
    pub fn set(&mut self, slot: u32) {
        self.bits[(slot % BLOCK / 64) as usize] |= 1 << (slot % 64);
    }

    /// It has none any more.
    #[inline(always)]
    pub fn unset(&mut self, slot: u32) {
        self.bits[(slot % BLOCK / 64) as usize] &= !(1 << (slot % 64));
    }

    /// Whether the tick of a slot has a level.
    #[inline(always)]
    pub fn is_set(&self, slot: u32) -> bool {
        self.bits[(slot % BLOCK / 64) as usize] >> (slot % 64) & 1 == 1
    }

    /// Stand around `best` with ticks of a width; what the bits say is then of another place.
    pub fn place(&mut self, best: i64, tick: u64) {
        let width = tick as i64;
        let grid = best.saturating_sub(best.rem_euclid(width));
        // The window ends before the largest key does, so that no key counts as inside by wrapping around.
        let latest = (i64::MAX - SLOTS as i64 * width) / width * width;
        self.base = grid.saturating_sub(LEAD * width).min(latest);
        if tick != self.tick as u64 {
            self.tick = tick as u32;
            self.reciprocal = (1u64 << 63).div_ceil(tick);
        }
        self.origin = self.block() | self.base.div_euclid(width).rem_euclid(SLOTS as i64) as u32;
    }

    /// The ticks of this window that are ticks of another one of the same width, too. At the end of all keys a window may stand between
    /// the multiples of its tick: then there are none.
    pub fn common(&self, other: &Window) -> u128 {
        let (away, tick) = (other.base as i128 - self.base as i128, self.tick as i128);
        match away / tick {
            _ if away % tick != 0 => 0,
            shift @ 0..128 => u128::MAX << shift,
            shift @ -127..0 => u128::MAX >> -shift,
            _ => 0,
        }
    }

    /// Stand where another one does, with the bits of this one: their slots are slots of the same block.
    pub fn turn(&mut self, to: &Window) {
        *self = Window { bits: self.bits, ..*to };
    }
}
