//! The tick of a side, learned from the prices on it.

/// Ticks are at most this, so that a window of them stays far from 2^63.
const WIDEST: u64 = 1 << 31;
/// Best levels that are looked at; a quarter of them is the least that says anything.
const LOOKED_AT: usize = 32;

/// What has been seen of the keys of a side, best first.
pub(super) struct Grid {
    /// The tick so far, in price units.
    tick: u64,
    /// Keys seen.
    n: usize,
    /// Those that are multiples of the tick.
    on_grid: usize,
    /// Greatest common divisor of all.
    common: u64,
}

impl Grid {
    /// Nothing seen yet.
    pub fn of(tick: u64) -> Self {
        Grid { tick, n: 0, on_grid: 0, common: 0 }
    }

    /// Take one more key into account; false when there have been enough.
    pub fn see(&mut self, key: i64) -> bool {
        self.n += 1;
        self.on_grid += key.unsigned_abs().is_multiple_of(self.tick) as usize;
        self.common = gcd(self.common, key.unsigned_abs());
        self.n < LOOKED_AT
    }

    /// The tick that suits: coarser if all keys stand on a coarser grid, finer if most are off this one.
    pub fn tick(self) -> u64 {
        let off = self.common > self.tick || self.on_grid * 2 < self.n;
        if self.n >= LOOKED_AT / 4 && off { self.common.clamp(1, WIDEST) } else { self.tick }
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
